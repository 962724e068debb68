"""FSD50K (Fonseca 2022): 51,197 clips of 0.3 to 30 s from Freesound, 200 classes, several a clip.

Classes are nodes of the AudioSet ontology under names of their own (`_and_` for `, `), so the
mid is what relates them to AudioSet's. The published lists are sorted by class; ours are mixed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jobs.catalogues.catalogue import Catalogue, ClipRef, KnownLeak
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble, optional_file, published_file
from jobs.catalogues.tables import Row, TableForm, read_table, table_error
from jobs.sources import Source

_TRUTH = "FSD50K.ground_truth"
_VOCABULARY = TableForm(columns=("index", "label", "mid"), has_header=False)
_FORMS = {
    "dev": TableForm(columns=("fname", "labels", "mids", "split")),
    "eval": TableForm(columns=("fname", "labels", "mids")),
}
_CLIP_FIELDS = {"uploader": "uploader", "license": "licence", "title": "title"}
"""What is kept of a clip's Freesound page, and under which name."""
_EXPECTED = ExpectedCounts(
    name="FSD50K",
    num_by_split={"train": 36_796, "val": 4_170, "eval": 10_231},
    num_labels_by_split={"train": 101_088, "val": 13_183, "eval": 38_596},
    num_classes=200,
)


@dataclass(frozen=True, slots=True)
class _Context:
    """What rows are read with."""

    codes: dict[str, str]
    """Label to mid."""
    files: dict[str, str]
    pages: dict[str, dict[str, str]]


def _read(source: Source, _options: Mapping[str, str]) -> Catalogue:
    codes = _vocabulary(source)
    files = source.files_by_stem((".wav", ".flac"))
    clips: list[ClipRef] = []
    warnings: list[str] = []
    for part, form in _FORMS.items():
        data, where = published_file(source, f"{_TRUTH}/{part}.csv", layout=DATASET.layout)
        pages = _pages(source, part)
        if not pages:
            warnings.append(
                f"FSD50K.metadata/{part}_clips_info_FSD50K.json is not in {source.url}: clips get "
                "neither uploader (as group) nor licence"
            )
        context = _Context(codes, files, pages)
        clips += [_clip(row, part, context) for row in read_table(data, form, where=where)]
    catalogue = assemble(
        DATASET, mixed(clips), labels=tuple(codes), expected=_EXPECTED, where=where
    )
    return replace(catalogue, label_codes=codes, warnings=tuple(warnings))


def _vocabulary(source: Source) -> dict[str, str]:
    data, where = published_file(source, f"{_TRUTH}/vocabulary.csv", layout=DATASET.layout)
    codes: dict[str, str] = {}
    for number, row in enumerate(read_table(data, _VOCABULARY, where=where)):
        if row["index"] != str(number) or row["label"] in codes:
            raise row.error(f"expected index {number} and a new label, got {row.values}")
        codes[row["label"]] = row["mid"]
    return codes


def _pages(source: Source, part: str) -> dict[str, dict[str, str]]:
    """Return what Freesound says of each clip, by clip."""
    found = optional_file(source, f"FSD50K.metadata/{part}_clips_info_FSD50K.json")
    if found is None:
        return {}
    data, where = found
    try:
        pages: dict[str, dict[str, Any]] = json.loads(data)
        return {
            clip: {ours: str(page[theirs]) for theirs, ours in _CLIP_FIELDS.items()}
            for clip, page in pages.items()
        }
    except (ValueError, RecursionError) as err:
        raise table_error(where, f"is not JSON: {err}") from err
    except (KeyError, TypeError, AttributeError) as err:
        raise table_error(where, f"a clip lacks {err}, expected {', '.join(_CLIP_FIELDS)}") from err


def _clip(row: Row, part: str, context: _Context) -> ClipRef:
    name = row["fname"]
    if not (name.isdecimal() and name.isascii()):
        raise row.error(f"fname is {name!r}, expected a Freesound id")
    split = row["split"] if part == "dev" else "eval"
    if part == "dev" and split not in ("train", "val"):
        raise row.error(f"split is {split!r}, expected train or val")
    labels = tuple(row["labels"].split(","))
    mids = row["mids"].split(",")
    if [context.codes.get(label) for label in labels] != mids:
        raise row.error(f"labels {row['labels']!r} and mids {row['mids']!r} don't agree")
    page = context.pages.get(name, {})
    return ClipRef(
        id=f"fsd50k/{name}",
        file=context.files.get(name),
        split=split,
        labels=labels,
        group=page.get("uploader"),
        metadata={"mids": mids, **page},
    )


def _fsd_clips(*names: int) -> tuple[frozenset[str], ...]:
    return (frozenset(f"fsd50k/{name}" for name in names),)


DATASET = Dataset(
    name="fsd50k",
    title="FSD50K",
    summary="51,197 sounds of 0.3 to 30 s from Freesound, 200 classes, several a clip",
    num_classes=200,
    size="108 hours, 34 GB unpacked",
    licence="dataset CC BY 4.0; each clip CC0, CC BY, CC BY-NC or Sampling+ (field `licence`)",
    citation="E. Fonseca et al. FSD50K: An Open Dataset of Human-Labeled Sound Events. "
    "IEEE/ACM TASLP 30, 2022",
    homepage="https://zenodo.org/record/4060432",
    how_to_get="download every file from Zenodo (two at a time: it limits rates); no "
    "registration. The volumes of the split zips are read as they are: don't unpack or join them",
    layout="FSD50K.dev_audio.z01 to .z05 and .zip, FSD50K.eval_audio.z01 and .zip,\n"
    "FSD50K.ground_truth.zip, FSD50K.metadata.zip\n"
    "or all that unpacked: FSD50K.dev_audio/<id>.wav, FSD50K.ground_truth/dev.csv, ...",
    read=_read,
    expected=(_EXPECTED,),
    targets={"mids": "the labels as codes of the AudioSet ontology"},
    faults=(
        "12 clips of the development set are longer than 30 s (HEAR leaves them out): 83298, "
        "83299, 121351, 121426, 121471, 121472, 124796, 124797, 124800, 124834, 124858, 397150",
        "26 pairs of clips are identical, five of them with different labels",
        "labels are smeared to parents, but 2,373 labels of the development set lack a parent",
        "8 of the 200 classes are not among AudioSet's 527",
    ),
    leaks=(
        KnownLeak(
            what="124855 (dev) and 199878 (eval) are the same recording, with different labels",
            clips=_fsd_clips(124855, 199878),
        ),
        KnownLeak(
            what="51749 and 115295 are the same recording, one in train and one in val",
            clips=_fsd_clips(51749, 115295),
        ),
    ),
)
