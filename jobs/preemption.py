"""Being told to stop by a cluster: finish the step, save, leave with a status of its own.

Slurm sends what `--signal` asks for and SIGTERM before the end of a job's time, Kubernetes and
spot instances SIGTERM. Some ranks may get it and others not, or later: the flag travels with each
step's reduction of the loss, so that all stop behind the same step.

torchrun passes SIGTERM on to its workers, and SIGUSR1 with `--signals-to-handle
SIGTERM,SIGINT,SIGUSR1` (without that SIGUSR1 ends torchrun itself at once); 30 s later it kills
what is left. Whatever status workers end with, its own is then 1: read the marker.
"""

import contextlib
import json
import signal
import types
from collections.abc import Iterator
from pathlib import Path

EXIT_PREEMPTED = 85
"""Exit status of a rank that has saved its state because it was told to stop; run it again."""

MARKER_NAME = "preempted"
"""File in the output folder that says the same; the next start removes it."""

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class StopRequest:
    """Whether this process was told to stop."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    @property
    def is_set(self) -> bool:
        """Whether it was."""
        return self.signal_name is not None

    def set(self, number: int, frame: types.FrameType | None = None) -> None:
        """Remember the signal; nothing else is safe to do in a handler."""
        del frame
        self.signal_name = signal.Signals(number).name


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Catch `SIGNALS` in here; afterwards they do again what they did before."""
    request = StopRequest()
    before = {number: signal.signal(number, request.set) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_marker(folder: Path, *, step: int, num_steps: int) -> Path:
    """Say in the output folder that the run was stopped and can go on."""
    path = folder / MARKER_NAME
    path.write_text(json.dumps({"step": step, "num_steps": num_steps}) + "\n", encoding="utf-8")
    return path


def remove_marker(folder: Path) -> None:
    """Remove the marker of an earlier run."""
    (folder / MARKER_NAME).unlink(missing_ok=True)
