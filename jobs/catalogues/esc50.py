"""ESC-50 (Piczak 2015): 2,000 clips of 5 s, 50 classes, five folds; ESC-10 is its part of 400.

The originals are Ogg files of the same stem and of 3.6 to 7.3 s; the published wavs are those,
cut or zero-padded to 5 s, and so are ours.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from jobs.catalogues.catalogue import Catalogue, ClipRef, KnownLeak
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.reading import assemble, published_file
from jobs.catalogues.tables import Row, TableForm, read_table
from jobs.sources import Source
from shardwriter.audio import DurationRule

Subset = Literal["esc50", "esc10"]

SPLIT = "train"
"""The set has no train/test split of its own: it is one split with a `fold` column."""
NUM_CLASSES = 50
NUM_FOLDS = 5
WAV_DURATION = DurationRule(seconds=5.0, tolerance_seconds=0.01)
ORIGINAL_DURATION = DurationRule(seconds=5.0, tolerance_seconds=2.3, fit=True)

_META = "meta/esc50.csv"
_FORM = TableForm(columns=("filename", "fold", "target", "category", "esc10", "src_file", "take"))
_STEM = re.compile(
    r"(?P<fold>[1-5])-(?P<src_file>\d{1,9})-(?P<take>[A-Z])-(?P<target>\d{1,2})", re.ASCII
)
_AUDIO_SUFFIXES = (".wav", ".ogg", ".flac")
"""In order of preference, where a clip is there more than once."""
_ESC10 = (
    *("dog", "rooster", "rain", "sea_waves", "crackling_fire"),
    *("crying_baby", "sneezing", "clock_tick", "helicopter", "chainsaw"),
)
_COUNTS: dict[Subset, ExpectedCounts] = {
    "esc50": ExpectedCounts(
        name="esc50",
        num_by_split={SPLIT: 2000},
        num_by_fold=dict.fromkeys(range(1, 6), 400),
        num_classes=NUM_CLASSES,
        num_each_label=40,
    ),
    "esc10": ExpectedCounts(
        name="esc10",
        num_by_split={SPLIT: 400},
        num_by_fold=dict.fromkeys(range(1, 6), 80),
        num_by_label=dict.fromkeys(_ESC10, 40),
    ),
}


def read_catalogue(source: Source, *, subset: Subset = "esc50") -> Catalogue:
    """Read `meta/esc50.csv` and find each clip's file in the source.

    Raises:
        ConfigError: the csv is not there, is not ESC-50's, or a row contradicts itself.
    """
    data, where = published_file(source, _META, layout=DATASET.layout)
    files = source.files_by_stem(_AUDIO_SUFFIXES)
    names: dict[str, str] = {}
    targets: dict[str, str] = {}
    vocabulary: dict[int, str] = {}
    clips = []
    for row in read_table(data, _FORM, where=where):
        problem = _problem(row) or _renamed(row, names, targets)
        if problem:
            raise row.error(problem)
        if subset == "esc50" or row["esc10"] == "True":
            vocabulary[int(row["target"])] = row["category"]
            clips.append(_clip(row, file=files.get(row["filename"].removesuffix(".wav"))))
    catalogue = assemble(
        DATASET,
        clips,
        labels=tuple(vocabulary[target] for target in sorted(vocabulary)),
        expected=_COUNTS[subset],
        where=where,
    )
    if subset == "esc10":
        return replace(catalogue, name="esc10", title="ESC-10", licence=ESC10_LICENCE)
    return catalogue


def _problem(row: Row) -> str | None:
    """Say how a row contradicts itself; the file name repeats four of the columns."""
    match = _STEM.fullmatch(row["filename"].removesuffix(".wav"))
    if match is None or not row["filename"].endswith(".wav"):
        return f"filename {row['filename']!r} is not FOLD-CLIP-TAKE-TARGET.wav"
    for column, value in match.groupdict().items():
        if row[column] != value:
            return f"column {column} is {row[column]!r}, the filename says {value!r}"
    if int(row["target"]) >= NUM_CLASSES:
        return f"target {row['target']} is not in 0..{NUM_CLASSES - 1}"
    if row["esc10"] not in ("True", "False"):
        return f"esc10 is {row['esc10']!r}, expected True or False"
    return None if row["category"] else "category is empty"


def _renamed(row: Row, names: dict[str, str], targets: dict[str, str]) -> str | None:
    """Say how a row contradicts an earlier one: a target has one name, a name one target."""
    target, name = row["target"], row["category"]
    if names.setdefault(target, name) != name:
        return f"target {target} is called {name!r}, and {names[target]!r} further up"
    if targets.setdefault(name, target) != target:
        return f"{name!r} is target {target}, and {targets[name]} further up"
    return None


def _clip(row: Row, *, file: str | None) -> ClipRef:
    return ClipRef(
        id=f"esc50/{row['filename'].removesuffix('.wav')}",
        file=file,
        split=SPLIT,
        labels=(row["category"],),
        fold=int(row["fold"]),
        group=row["src_file"],
        duration=WAV_DURATION if file is None or file.endswith(".wav") else ORIGINAL_DURATION,
        metadata={
            "category": row["category"],
            "target": int(row["target"]),
            "esc10": row["esc10"] == "True",
            "src_file": row["src_file"],
            "take": row["take"],
        },
    )


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    return read_catalogue(source, subset="esc10" if options["subset"] == "esc10" else "esc50")


ESC10_LICENCE = "ESC-10 by K. J. Piczak: CC BY 3.0; each clip by its Freesound uploader's licence"
DATASET = Dataset(
    name="esc50",
    title="ESC-50",
    summary="2,000 environmental sounds of 5 s, 50 classes, 5 folds",
    num_classes=NUM_CLASSES,
    size="600 MB",
    licence="ESC-50 by K. J. Piczak: CC BY-NC 3.0; each clip by its Freesound uploader's licence",
    citation="K. J. Piczak. ESC: Dataset for Environmental Sound Classification. "
    "ACM Multimedia 2015. doi:10.1145/2733373.2806390",
    homepage="https://github.com/karolpiczak/ESC-50",
    how_to_get="download the zip of the repository; no registration",
    layout="meta/esc50.csv\naudio/{FOLD}-{CLIP}-{TAKE}-{TARGET}.wav (or the original .ogg)",
    read=_read,
    options=(
        Option(
            name="subset",
            help="esc10: only the 400 clips of ESC-10",
            choices=("esc50", "esc10"),
            default="esc50",
        ),
    ),
    expected=tuple(_COUNTS.values()),
    faults=("many clips end in digital silence: shorter recordings were zero-padded to 5 s",),
    leaks=(
        KnownLeak(
            what="four recordings have clips in two folds",
            groups=frozenset({"131943", "134049", "209698", "234879"}),
        ),
    ),
)
