"""UrbanSound8K (Salamon 2014): 8,732 slices of up to 4 s from Freesound, 10 classes, ten folds.

Results are comparable only over the ten given folds: slices of one recording lie in one fold, and
a new split of the slices would mix them.
"""

import re
from collections.abc import Mapping

from jobs.catalogues.catalogue import Catalogue, ClipRef, KnownLeak
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset
from jobs.catalogues.reading import assemble, published_file
from jobs.catalogues.tables import Row, TableForm, read_table
from jobs.sources import Source

SPLIT = "train"
"""The set has no train/test split of its own: it is one split with a `fold` column."""
_LABELS = (
    *("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling"),
    *("engine_idling", "gun_shot", "jackhammer", "siren", "street_music"),
)
_META = "metadata/UrbanSound8K.csv"
_FORM = TableForm(
    columns=("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
)
_NAME = re.compile(r"(?P<fsID>\d{1,9})-(?P<classID>\d)-\d{1,9}-\d{1,9}\.wav", re.ASCII)
_FOLD = re.compile(r"[1-9]|10", re.ASCII)
_SALIENCE = {"1": "foreground", "2": "background"}
_EXPECTED = ExpectedCounts(
    name="UrbanSound8K",
    num_by_split={SPLIT: 8732},
    num_by_fold=dict(
        enumerate((873, 888, 925, 990, 936, 823, 838, 806, 816, 837), start=1),
    ),
    num_by_label=dict.fromkeys(_LABELS, 1000) | {"siren": 929, "car_horn": 429, "gun_shot": 374},
)


def _read(source: Source, _options: Mapping[str, str]) -> Catalogue:
    data, where = published_file(source, _META, layout=DATASET.layout)
    root = where.removeprefix(f"{source.url}/").removesuffix(_META)
    files = frozenset(source.names())
    rows = read_table(data, _FORM, where=where)
    return assemble(
        DATASET,
        [_clip(row, root=root, files=files) for row in rows],
        labels=_LABELS,
        expected=_EXPECTED,
        where=where,
    )


def _clip(row: Row, *, root: str, files: frozenset[str]) -> ClipRef:
    problem = _problem(row)
    if problem:
        raise row.error(problem)
    name = row["slice_file_name"]
    file = f"{root}audio/fold{row['fold']}/{name}"
    return ClipRef(
        id=f"urbansound8k/{name.removesuffix('.wav')}",
        file=file if file in files else None,
        split=SPLIT,
        labels=(row["class"],),
        fold=int(row["fold"]),
        group=row["fsID"],
        metadata={
            "fsID": row["fsID"],
            "start_seconds": row.number("start"),
            "end_seconds": row.number("end"),
            "salience": _SALIENCE[row["salience"]],
        },
    )


def _problem(row: Row) -> str | None:
    """Say how a row contradicts itself; the file name repeats two of the columns."""
    name = row["slice_file_name"]
    match = _NAME.fullmatch(name)
    if match is None:
        return f"slice_file_name {name!r} is not FSID-CLASS-OCCURRENCE-SLICE.wav"
    for column, value in match.groupdict().items():
        if row[column] != value:
            return f"column {column} is {row[column]!r}, the file name says {value!r}"
    if not _FOLD.fullmatch(row["fold"]) or row["salience"] not in _SALIENCE:
        return f"expected fold 1 to 10 and salience 1 or 2, got {row['fold']}, {row['salience']}"
    if row["class"] != _LABELS[int(row["classID"])]:
        return f"class {row['classID']} is {_LABELS[int(row['classID'])]}, got {row['class']!r}"
    if row.number("start") >= row.number("end"):
        return f"the slice begins at {row['start']} s and ends at {row['end']} s"
    return None


DATASET = Dataset(
    name="urbansound8k",
    title="UrbanSound8K",
    summary="8,732 urban sounds of up to 4 s, 10 classes, 10 folds",
    num_classes=10,
    size="6 GB",
    licence="UrbanSound8K by J. Salamon et al.: CC BY-NC 3.0 (its README; the Zenodo record says "
    "CC BY-NC 4.0)",
    citation="J. Salamon, C. Jacoby, J. P. Bello. A Dataset and Taxonomy for Urban Sound Research. "
    "ACM Multimedia 2014",
    homepage="https://zenodo.org/record/1203745",
    how_to_get="download the tar.gz from Zenodo; no registration",
    layout="UrbanSound8K/metadata/UrbanSound8K.csv\n"
    "UrbanSound8K/audio/fold1/ ... fold10/{FSID}-{CLASS}-{OCCURRENCE}-{SLICE}.wav",
    read=_read,
    expected=(_EXPECTED,),
    targets={"salience": "foreground or background"},
    faults=(
        "rates, channels and sample formats differ from file to file, as people uploaded them",
        "1,669 slices are shorter than 4 s, six shorter than 0.1 s",
    ),
    leaks=(
        KnownLeak(
            what="five recordings have slices in two folds, of another class in each",
            groups=frozenset({"106905", "132016", "176638", "180937", "77751"}),
        ),
    ),
)
