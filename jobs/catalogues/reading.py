"""The common path from a dataset's description to its catalogue."""

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.catalogues.counts import ExpectedCounts, count_differences
from jobs.catalogues.description import Dataset
from jobs.catalogues.split_file import SPLITS, with_splits
from jobs.catalogues.targets import find_targets
from jobs.sources import NoFiles, Source
from shardwriter import Rejection, RejectionReason
from shardwriter.errors import ConfigError


def read_catalogue(
    dataset: Dataset, source: Source | None, options: Mapping[str, str] | None = None
) -> Catalogue:
    """Read a dataset's listing, and find its clips in the source.

    Args:
        dataset: Its description.
        source: Where the published files lie; None where clips come from the web.
        options: What was chosen, by name of the option; the rest is as the description says.
            Every dataset has the option `splits` beside its own.

    Raises:
        ConfigError: an option that the dataset does not have, a value that it does not take,
            or published files that are not there or not as published.
    """
    if source is None and not dataset.has_videos:
        raise ConfigError(
            f"{dataset.title} is read from the files as published; give their place\n"
            f"{dataset.how_to_get}"
        )
    if source is None:
        source = NoFiles()
    with _collector_paused():
        chosen = _all_options(dataset, options or {})
        splits = chosen.pop(SPLITS.name)
        catalogue = dataset.read(source, chosen)
        targets = catalogue.targets or find_targets(
            (clip.metadata for clip in catalogue.clips), dataset.targets, dataset=dataset.name
        )
    catalogue = replace(catalogue, targets=targets)
    if splits:  # the leaks that are known are those of the published splits
        return with_splits(catalogue, Path(splits))
    return replace(catalogue, leaks=dataset.leaks)


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep Python's collector from passing over millions of values that are all kept.

    It takes a third of the time of AudioSet's two million rows, and finds nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _all_options(dataset: Dataset, chosen: Mapping[str, str]) -> dict[str, str]:
    known = {option.name: option for option in (*dataset.options, SPLITS)}
    for name, value in chosen.items():
        if name not in known:
            raise ConfigError(
                f"{dataset.title} has no option {name!r}; it has {', '.join(known) or 'none'}"
            )
        if known[name].choices and value not in known[name].choices:
            raise ConfigError(
                f"option {name} of {dataset.title} is one of {', '.join(known[name].choices)}, "
                f"got {value!r}"
            )
    return {name: option.default for name, option in known.items()} | dict(chosen)


def published_file(source: Source, name: str, *, layout: str) -> tuple[bytes, str]:
    """Return a file that must be in the source, and its place for messages.

    Raises:
        ConfigError: it is not there.
    """
    held = source.find(name)
    if held is None:
        unread = "".join(f"\n  not opened: {archive}" for archive in source.unread)
        raise ConfigError(f"{source.url} holds no {name}; expected{unread}\n{indented(layout)}")
    return source.read(held), f"{source.url}/{held}"


def optional_file(source: Source, name: str) -> tuple[bytes, str] | None:
    """Return a file and its place, or None if the source does not hold it."""
    held = source.find(name)
    return None if held is None else (source.read(held), f"{source.url}/{held}")


def chosen_file(path: str, name: str) -> tuple[bytes, str]:
    """Return a file that an option names, or the file `name` in the folder that it names.

    Raises:
        ConfigError: it is not there.
    """
    place = Path(path) / name if Path(path).is_dir() else Path(path)
    try:
        return place.read_bytes(), str(place)
    except OSError as err:
        raise ConfigError(f"{place}: {err.strerror}; give {name}, or its folder") from err


def indented(text: str) -> str:
    """Return a layout as it stands in messages."""
    return "\n".join(f"  {line}" for line in text.splitlines())


def assemble(
    dataset: Dataset,
    clips: Iterable[ClipRef],
    *,
    labels: tuple[str, ...],
    expected: ExpectedCounts,
    where: str,
) -> Catalogue:
    """Return the catalogue of the clips, compared with the published counts.

    A clip that is listed again is a rejection; the first row is kept.

    Args:
        dataset: Whose clips they are.
        clips: In the order in which they are to be written.
        labels: The vocabulary, in order of ids.
        expected: The published counts of what was chosen.
        where: The list, for messages.

    Raises:
        ConfigError: there is no clip.
    """
    ids: set[str] = set()
    kept = []
    rejections = []
    for clip in clips:
        if clip.id in ids:
            rejections.append(_listed_again(clip, where))
        else:
            ids.add(clip.id)
            kept.append(clip)
    if not kept:
        raise ConfigError(f"{where} lists no clip of {expected.name}")
    return Catalogue(
        name=dataset.name,
        title=dataset.title,
        labels=labels,
        clips=tuple(kept),
        rejections=tuple(rejections),
        expected_num_clips=expected.num_clips,
        licence=dataset.licence,
        citation=dataset.citation,
        differences=count_differences(kept, expected),
    )


def _listed_again(clip: ClipRef, where: str) -> Rejection:
    return Rejection(
        clip_id=clip.id,
        stage="catalogue",
        reason=RejectionReason.DUPLICATE,
        detail=f"{where} lists it more than once; the first row is kept",
    )
