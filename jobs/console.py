"""What a person sees: lines, stages, progress bars. The only module that prints."""

import contextlib
import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def say(line: str = "") -> None:
    """Print a line, above any progress bar."""
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


def complain(line: str) -> None:
    """Print a line to standard error."""
    tqdm.write(line, file=sys.stderr)


def complain_beside(line: str) -> None:
    """Print a line to standard error, where another process may have drawn a progress bar."""
    sys.stderr.write(f"\r\x1b[K{line}\n" if sys.stderr.isatty() else f"\n{line}\n")
    sys.stderr.flush()


def stage(title: str) -> None:
    """Announce a stage of a longer job."""
    say(f"\n== {title}")


def progress(
    items: Iterable[Item], *, total: int, what: str, unit: str, hidden: bool = False
) -> Iterator[Item]:
    """Yield the items behind a progress bar; a log file gets one line in ten seconds."""
    yield from tqdm(
        items,
        total=total,
        desc=what,
        unit=unit,
        disable=hidden,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
        ascii=not sys.stderr.isatty(),
        dynamic_ncols=True,
    )


@contextlib.contextmanager
def clip_progress(
    num_clips: int,
    *,
    what: str,
    state: Callable[[], str],
    max_per_second: float = math.inf,
    hidden: bool = False,
) -> Iterator[Callable[[int], None]]:
    """Show a progress bar of clips with rate and ETA; give the function that moves it.

    Args:
        num_clips: How many there are to do.
        what: Stands in front of the bar.
        state: What stands behind it; asked each time that the bar is drawn.
        max_per_second: Rate that is not exceeded in the long run, whatever came at first: the
            time that is left is not told by more.
        hidden: Show nothing.
    """

    class Bar(tqdm):  # type: ignore[type-arg]  # it iterates over nothing
        @property
        def format_dict(self) -> dict[str, Any]:
            told = super().format_dict
            rate = told["rate"] or told["n"] / max(told["elapsed"], 1e-9) or math.inf
            bounded = min(rate, max_per_second)
            return {**told, "postfix": state(), "rate": bounded if bounded < math.inf else None}

    with Bar(
        total=num_clips,
        desc=what,
        unit="clip",
        disable=hidden,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
        ascii=not sys.stderr.isatty(),
        dynamic_ncols=True,
    ) as bar:

        def advance(done: int) -> None:
            bar.update(done)

        yield advance


@contextlib.contextmanager
def byte_progress(
    num_bytes: int, what: str, *, hidden: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show a progress bar of bytes; give the function that moves it, for any thread to call."""
    with tqdm(
        total=num_bytes,
        desc=what,
        unit="B",
        unit_scale=True,
        disable=hidden,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
        ascii=not sys.stderr.isatty(),
        dynamic_ncols=True,
    ) as bar:
        lock = threading.Lock()

        def advance(done: int) -> None:
            with lock:
                bar.update(done)

        yield advance


def table(rows: Iterable[tuple[str, str]]) -> None:
    """Print two aligned columns."""
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        say(f"  {name:<{width}}  {value}")


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun, e.g. `1 clip`, `2,000 clips`; `plural` unless it ends in s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def human_bytes(num_bytes: float) -> str:
    """Return a size in decimal units, e.g. `12.3 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(num_bytes) < 1000:
            return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} TB"
