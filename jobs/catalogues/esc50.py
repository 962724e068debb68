"""ESC-50 (Piczak 2015): 2,000 clips of 5 s, 50 classes, five folds; ESC-10 is its part of 400.

Published as a folder or zip with `meta/esc50.csv` and `audio/{FOLD}-{CLIP}-{TAKE}-{TARGET}.wav`,
44.1 kHz mono 16 bit, 220,500 samples each. The originals are Ogg files of the same stem and of
3.6 to 7.3 s; the published wavs are those, cut or zero-padded to 5 s, and so are ours.
Known and kept: four `src_file` ids lie in two folds (131943, 134049, 209698, 234879).
"""

import csv
import io
import re
from typing import Literal

from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.sources import Source
from shardwriter import Rejection, RejectionReason
from shardwriter.audio import DurationRule
from shardwriter.errors import ConfigError

Subset = Literal["esc50", "esc10"]

NAME = "esc50"
LICENCES: dict[Subset, str] = {
    "esc50": "ESC-50 by K. J. Piczak: CC BY-NC 3.0; each clip by its Freesound uploader's licence",
    "esc10": "ESC-10 by K. J. Piczak: CC BY 3.0; each clip by its Freesound uploader's licence",
}
CITATION = (
    "K. J. Piczak. ESC: Dataset for Environmental Sound Classification. "
    "ACM Multimedia 2015. doi:10.1145/2733373.2806390"
)
SPLIT = "train"
"""The set has no train/test split of its own: it is one split with a `fold` column."""
NUM_CLASSES = 50
NUM_FOLDS = 5
WAV_DURATION = DurationRule(seconds=5.0, tolerance_seconds=0.01)
ORIGINAL_DURATION = DurationRule(seconds=5.0, tolerance_seconds=2.3, fit=True)
EXPECTED_NUM_CLIPS: dict[Subset, int] = {"esc50": 2000, "esc10": 400}

_META = "meta/esc50.csv"
_COLUMNS = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]
_STEM = re.compile(
    r"(?P<fold>[1-5])-(?P<src_file>\d{1,9})-(?P<take>[A-Z])-(?P<target>\d{1,2})", re.ASCII
)
_AUDIO_SUFFIXES = (".wav", ".ogg", ".flac")
"""In order of preference, where a clip is there more than once."""


def read_catalogue(source: Source, *, subset: Subset = "esc50") -> Catalogue:
    """Read `meta/esc50.csv` and find each clip's file in the source.

    Raises:
        ConfigError: the csv is not there, is not ESC-50's, or a row contradicts itself.
    """
    meta = source.find(_META)
    if meta is None:
        raise ConfigError(
            f"{source.url} holds no {_META}; expected ESC-50 as published: "
            "a folder (or zip) with audio/ and meta/esc50.csv"
        )
    rows = _read_rows(source.read(meta), where=f"{source.url}/{meta}")
    files = source.files_by_stem(_AUDIO_SUFFIXES)
    clips: dict[str, ClipRef] = {}
    rejections = []
    for row in rows:
        if subset == "esc10" and row["esc10"] != "True":
            continue
        clip = _clip(row, file=files.get(row["filename"].removesuffix(".wav")))
        if clip.id in clips:
            rejections.append(
                Rejection(
                    clip_id=clip.id,
                    stage="catalogue",
                    reason=RejectionReason.DUPLICATE,
                    detail=f"{_META} lists {row['filename']} more than once",
                )
            )
            continue
        clips[clip.id] = clip
    if not clips:
        raise ConfigError(f"{source.url}/{meta} lists no clip of {subset}")
    return Catalogue(
        name=NAME if subset == "esc50" else subset,
        title="ESC-50" if subset == "esc50" else "ESC-10",
        labels=_vocabulary(rows, subset=subset),
        clips=tuple(clips.values()),
        rejections=tuple(rejections),
        expected_num_clips=EXPECTED_NUM_CLIPS[subset],
        licence=LICENCES[subset],
        citation=CITATION,
    )


def _read_rows(data: bytes, *, where: str) -> list[dict[str, str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise ConfigError(f"{where} is not UTF-8 text: {err}") from err
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        return _checked_rows(reader, where=where)
    except csv.Error as err:
        raise ConfigError(
            f"{where} after line {reader.line_num}: {err}; take the file as published"
        ) from err


def _checked_rows(reader: "csv.DictReader[str]", *, where: str) -> list[dict[str, str]]:
    if reader.fieldnames != _COLUMNS:
        raise ConfigError(
            f"{where}: expected the columns {','.join(_COLUMNS)}, got "
            f"{','.join(reader.fieldnames or ['nothing'])}; take the file as published"
        )
    rows: list[dict[str, str]] = []
    names: dict[str, str] = {}
    targets: dict[str, str] = {}
    for row in reader:
        problem = _problem(row) or _renamed(row, names, targets)
        if problem:
            raise ConfigError(
                f"{where} line {reader.line_num}: {problem}; take the file as published"
            )
        rows.append(row)
    return rows


def _problem(row: dict[str, str]) -> str | None:
    """Say how a row contradicts itself; the file name repeats four of the columns."""
    if None in row or None in row.values():
        return f"expected {len(_COLUMNS)} columns"
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
    if not row["category"]:
        return "category is empty"
    return None


def _renamed(row: dict[str, str], names: dict[str, str], targets: dict[str, str]) -> str | None:
    """Say how a row contradicts an earlier one: a target has one name, a name one target."""
    target, name = row["target"], row["category"]
    if names.setdefault(target, name) != name:
        return f"target {target} is called {name!r}, and {names[target]!r} further up"
    if targets.setdefault(name, target) != target:
        return f"{name!r} is target {target}, and {targets[name]} further up"
    return None


def _clip(row: dict[str, str], *, file: str | None) -> ClipRef:
    return ClipRef(
        id=f"{NAME}/{row['filename'].removesuffix('.wav')}",
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


def _vocabulary(rows: list[dict[str, str]], *, subset: Subset) -> tuple[str, ...]:
    """Return the class names in order of `target`; ESC-10's are its ten in the same order."""
    names = {
        int(row["target"]): row["category"]
        for row in rows
        if subset == "esc50" or row["esc10"] == "True"
    }
    return tuple(names[target] for target in sorted(names))
