"""SUPERB's intent classification: Fluent Speech Commands (Lugosch 2019), 30,043 spoken commands.

An intent has three slots: action, object, location. SUPERB counts a clip as right when all three
are; a model has one output for each value of a slot, which is what the labels are.
"""

import re
from collections.abc import Mapping

from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble, published_file
from jobs.catalogues.tables import Row, TableForm, read_table
from jobs.sources import Source

_SLOTS = ("action", "object", "location")
# The first column counts rows, and has no name. A space may stand before a quote.
_FORM = TableForm(columns=("", "path", "speakerId", "transcription", *_SLOTS), skips_space=True)
_LISTS = {
    "train": "data/train_data.csv",
    "val": "data/valid_data.csv",
    "test": "data/test_data.csv",
}
_PATH = re.compile(
    r"wavs/speakers/(?P<speaker>[A-Za-z0-9]+)/(?P<name>[A-Za-z0-9-]+)\.wav", re.ASCII
)
_NUM_BY_SPLIT = {"train": 23_132, "val": 3118, "test": 3793}
_EXPECTED = {
    "slots": ExpectedCounts(name="slots", num_by_split=_NUM_BY_SPLIT, num_classes=6 + 14 + 4),
    "intent": ExpectedCounts(name="intent", num_by_split=_NUM_BY_SPLIT, num_classes=31),
}


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    form = options["labels"]
    rows: list[tuple[str, Row]] = []
    root = ""
    for split, name in _LISTS.items():
        data, where = published_file(source, name, layout=DATASET.layout)
        root = where.removeprefix(f"{source.url}/").removesuffix(name)
        rows += [(split, row) for row in read_table(data, _FORM, where=where)]
    files = frozenset(source.names())
    clips = [_clip(row, split, form=form, root=root, files=files) for split, row in rows]
    return assemble(
        DATASET,
        mixed(clips),
        labels=_vocabulary([row for _, row in rows], form),
        expected=_EXPECTED[form],
        where=source.url,
    )


def _labels(row: Row, form: str) -> tuple[str, ...]:
    if form == "intent":
        return ("/".join(row[slot] for slot in _SLOTS),)
    return tuple(f"{slot}={row[slot]}" for slot in _SLOTS)


def _vocabulary(rows: list[Row], form: str) -> tuple[str, ...]:
    """Return the labels: slot by slot, in each by name; intents by name."""
    if form == "intent":
        return tuple(sorted({label for row in rows for label in _labels(row, form)}))
    return tuple(
        f"{slot}={value}" for slot in _SLOTS for value in sorted({row[slot] for row in rows})
    )


def _clip(row: Row, split: str, *, form: str, root: str, files: frozenset[str]) -> ClipRef:
    match = _PATH.fullmatch(row["path"])
    if match is None or match["speaker"] != row["speakerId"]:
        raise row.error(
            f"path {row['path']!r} is not wavs/speakers/{row['speakerId'] or 'SPEAKER'}/NAME.wav"
        )
    if not all(row[slot] for slot in _SLOTS):
        raise row.error(f"{', '.join(_SLOTS)}: one is empty; no value is spelled 'none'")
    file = root + row["path"]
    return ClipRef(
        id=f"{DATASET.name}/{match['speaker']}/{match['name']}",
        file=file if file in files else None,
        split=split,
        labels=_labels(row, form),
        group=match["speaker"],
        metadata={
            "speaker": match["speaker"],
            "transcription": row["transcription"],
            **{slot: row[slot] for slot in _SLOTS},
        },
    )


DATASET = Dataset(
    name="superb_ic",
    title="SUPERB intent classification (Fluent Speech Commands)",
    summary="30,043 spoken commands of 97 speakers, 31 intents of three slots",
    num_classes=24,
    size="1.5 GB",
    licence="Fluent Speech Commands Public License: academic use, no redistribution",
    citation="L. Lugosch et al. Speech Model Pre-training for End-to-End Spoken Language "
    "Understanding. Interspeech 2019; S. Yang et al. SUPERB: Speech processing Universal "
    "PERformance Benchmark. Interspeech 2021",
    homepage="https://fluent.ai/fluent-speech-commands-a-dataset-for-spoken-language-understanding-"
    "research/",
    how_to_get="fill in the form at the homepage, or take the tar.gz",
    layout="fluent_speech_commands_dataset/data/train_data.csv, valid_data.csv, test_data.csv\n"
    "fluent_speech_commands_dataset/wavs/speakers/{SPEAKER}/{NAME}.wav",
    read=_read,
    options=(
        Option(
            name="labels",
            help="slots: one label for each of action, object and location (24 classes); intent: "
            "the three as one label (31 classes)",
            choices=tuple(_EXPECTED),
            default="slots",
        ),
    ),
    expected=tuple(_EXPECTED.values()),
    targets={
        "action": "6 values",
        "object": "14 values, `none` among them",
        "location": "4 values, `none` among them",
        "speaker": "who speaks",
        "transcription": "what is said",
    },
    faults=(
        "classes are in alphabetical order here, as in Hugging Face's; s3prl's are in order of "
        "first occurrence",
    ),
)
