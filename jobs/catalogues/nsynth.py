"""NSynth (Engel 2017): 305,979 notes of 4 s by 1,006 instruments, 11 families, 128 pitches.

Everything stands in `examples.json`, one for each split, and a part of it in the names
(`<family>_<source>_<number>-<pitch>-<velocity>`), so each is checked against the other.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jobs.catalogues.catalogue import Catalogue, ClipRef, KnownLeak
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble, published_file
from jobs.catalogues.tables import table_error
from jobs.sources import Source
from shardwriter.audio import DurationRule

_FAMILIES = (
    *("bass", "brass", "flute", "guitar", "keyboard", "mallet"),
    *("organ", "reed", "string", "synth_lead", "vocal"),
)
_SOURCES = ("acoustic", "electronic", "synthetic")
_QUALITIES = (
    *("bright", "dark", "distortion", "fast_decay", "long_release"),
    *("multiphonic", "nonlinear_env", "percussive", "reverb", "tempo-synced"),
)
_LABELS = {
    "family": _FAMILIES,
    "pitch": tuple(str(pitch) for pitch in range(128)),
    "source": _SOURCES,
    "qualities": _QUALITIES,
}
_PARTS = {"train": "nsynth-train", "val": "nsynth-valid", "test": "nsynth-test"}
_NUM_BY_SPLIT = {"train": 289_205, "val": 12_678, "test": 4096}
_DURATION = DurationRule(seconds=4.0, tolerance_seconds=0.01)
# A family may hold `_` itself: synth_lead.
_NAME = re.compile(
    r"(?P<instrument_str>(?P<instrument_family_str>[a-z_]+)_(?P<instrument_source_str>[a-z]+)"
    r"_\d{3})-(?P<pitch>\d{3})-(?P<velocity>\d{3})",
    re.ASCII,
)


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    splits = tuple(_PARTS) if options["split"] == "all" else (options["split"],)
    files = frozenset(source.names())
    clips = [clip for split in splits for clip in _clips(source, split, options["labels"], files)]
    return assemble(
        DATASET,
        mixed(clips),
        labels=_LABELS[options["labels"]],
        expected=_expected(splits),
        where=source.url,
    )


def _clips(source: Source, split: str, target: str, files: frozenset[str]) -> Iterator[ClipRef]:
    path = f"{_PARTS[split]}/examples.json"
    data, where = published_file(source, path, layout=DATASET.layout)
    root = where.removeprefix(f"{source.url}/").removesuffix("examples.json")
    try:
        notes: dict[str, dict[str, Any]] = json.loads(data)
        items = notes.items()
    except (ValueError, RecursionError, AttributeError) as err:
        raise table_error(where, f"is no JSON object: {err}") from err
    for name, note in items:
        problem = _problem(name, note)
        if problem:
            raise table_error(where, f"note {name[:100]!r}: {problem}")
        file = f"{root}audio/{name}.wav"
        yield _clip(name, note, split=split, target=target, file=file if file in files else None)


def _problem(name: str, note: object) -> str | None:
    """Say how an entry contradicts its name or itself."""
    match = _NAME.fullmatch(name)
    if match is None:
        return "is not called FAMILY_SOURCE_NUMBER-PITCH-VELOCITY"
    said: dict[str, object] = {"note_str": name, **match.groupdict()}
    said |= {field: int(match[field]) for field in ("pitch", "velocity")}
    if match["instrument_family_str"] not in _FAMILIES:
        return f"no family is called {match['instrument_family_str']!r}"
    if match["instrument_source_str"] not in _SOURCES:
        return f"no source is called {match['instrument_source_str']!r}"
    if max(int(match["pitch"]), int(match["velocity"])) > 127:
        return "pitch and velocity go to 127"
    if not isinstance(note, dict):
        return f"is {note!r:.100}, expected its fields"
    for field, value in said.items():
        if note.get(field) != value:
            return f"{field} is {note.get(field)!r}, the name says {value!r}"
    return _qualities_problem(note)


def _qualities_problem(note: Mapping[str, Any]) -> str | None:
    """Say how the two lists of qualities contradict each other."""
    names, flags = note.get("qualities_str"), note.get("qualities")
    if not isinstance(names, list) or flags != [int(name in names) for name in _QUALITIES]:
        return f"qualities {flags!r} are not those of {names!r}"
    return None


def _clip(
    name: str, note: Mapping[str, Any], *, split: str, target: str, file: str | None
) -> ClipRef:
    metadata = {
        "pitch": note["pitch"],
        "velocity": note["velocity"],
        "instrument": note["instrument_str"],
        "family": note["instrument_family_str"],
        "source": note["instrument_source_str"],
        "qualities": note["qualities_str"],
    }
    chosen = metadata[target]
    return ClipRef(
        id=f"{DATASET.name}/{name}",
        file=file,
        split=split,
        labels=tuple(chosen) if target == "qualities" else (str(chosen),),
        group=note["instrument_str"],
        duration=_DURATION,
        metadata=metadata,
    )


def _expected(splits: tuple[str, ...]) -> ExpectedCounts:
    return ExpectedCounts(
        name="notes", num_by_split={split: _NUM_BY_SPLIT[split] for split in splits}
    )


DATASET = Dataset(
    name="nsynth",
    title="NSynth",
    summary="305,979 notes of 4 s by 1,006 instruments, 11 families, 128 pitches",
    num_classes=len(_FAMILIES),
    size="340 hours; as 16-bit wav 39 GB unpacked",
    licence="NSynth by Google: CC BY 4.0",
    citation="J. Engel et al. Neural Audio Synthesis of Musical Notes with WaveNet Autoencoders. "
    "ICML 2017",
    homepage="https://magenta.tensorflow.org/datasets/nsynth",
    how_to_get="download the jsonwav tar.gz of each split that is wanted (not the tfrecords); no "
    "registration",
    layout="nsynth-train/examples.json, nsynth-train/audio/{NOTE}.wav\n"
    "nsynth-valid/..., nsynth-test/... alike",
    read=_read,
    options=(
        Option(
            name="split",
            help="read one split only; no files of the others are needed then",
            choices=("all", *_PARTS),
            default="all",
        ),
        Option(
            name="labels",
            help="what the classes are: 11 families, 128 pitches, 3 sources, or 10 qualities "
            "(none to several a note)",
            choices=tuple(_LABELS),
            default="family",
        ),
    ),
    expected=(_expected(tuple(_PARTS)),),
    targets={
        "pitch": "MIDI note, 0 to 127",
        "velocity": "MIDI velocity",
        "instrument": "name of the instrument",
        "family": "one of 11",
        "source": "acoustic, electronic or synthetic",
        "qualities": "none to several of 10",
    },
    faults=(
        "synth_lead occurs in the training set only",
        "the number in a name is not the field `instrument`; names are used here",
        "HEAR's pitch task keeps the pitches 21 to 108, and splits anew",
    ),
    leaks=(
        KnownLeak(
            what="val and test share instruments; no instrument of theirs is in train",
        ),
    ),
)
