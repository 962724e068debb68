"""VoxCeleb1 (Nagrani 2017): 153,516 utterances of 1,251 speakers from YouTube, 16 kHz wav.

Two protocols: verification trains on 1,211 speakers and tests on pairs of 40 others (or, for the
lists E and H, of all); identification splits the videos of every speaker.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble, published_file
from jobs.catalogues.tables import TableForm, read_table
from jobs.catalogues.voxceleb import (
    UTTERANCE,
    find_trials,
    find_utterances,
    read_speakers,
    speaker_of,
    speaker_targets,
    utterance_clip,
)
from jobs.sources import Source

_SPEAKER = re.compile(r"id1\d{4}", re.ASCII)
_META = TableForm(
    columns=("VoxCeleb1 ID", "VGGFace1 ID", "Gender", "Nationality", "Set"),
    delimiter="\t",
    is_quoted=False,
)
_IDEN_FILE = "iden_split.txt"
_IDEN = TableForm(columns=("part", "path"), delimiter=" ", has_header=False, is_quoted=False)
_IDEN_SPLITS = {"1": "train", "2": "val", "3": "test"}
_PATH = re.compile(rf"(?P<id>(?P<speaker>{_SPEAKER.pattern})/{UTTERANCE})\.wav", re.ASCII)
_TRIALS = {
    "vox1-o": ("veri_test.txt", 37_720),
    "vox1-o-cleaned": ("veri_test2.txt", 37_611),
    "vox1-e": ("list_test_all.txt", 581_480),
    "vox1-e-cleaned": ("list_test_all2.txt", 579_818),
    "vox1-h": ("list_test_hard.txt", 552_536),
    "vox1-h-cleaned": ("list_test_hard2.txt", 550_894),
}
_EXPECTED = {
    "verification": ExpectedCounts(
        name="verification", num_by_split={"dev": 148_642, "test": 4_874}, num_classes=1251
    ),
    "identification": ExpectedCounts(
        name="identification",
        num_by_split={"train": 138_361, "val": 6_904, "test": 8_251},
        num_classes=1251,
    ),
}


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    is_identification = options["protocol"] == "identification"
    speakers = read_speakers(source, "vox1_meta.csv", _META, _SPEAKER, layout=DATASET.layout)
    files = find_utterances(source, _SPEAKER)
    splits = _read_splits(source, is_required=is_identification)
    utterances = set(splits) if is_identification else set(splits) | set(files)
    clips = [
        utterance_clip(
            DATASET.name,
            utterance,
            file=files.get(utterance),
            speaker=speaker_of(utterance, speakers),
            split=splits[utterance] if is_identification else None,
        )
        for utterance in utterances
    ]
    catalogue = assemble(
        DATASET,
        mixed(clips),
        labels=tuple(sorted(speakers)),
        expected=_EXPECTED[options["protocol"]],
        where=source.url,
    )
    trials, differences = find_trials(source, _TRIALS, catalogue)
    warnings = _unlisted(set(files) - utterances)
    return replace(
        catalogue,
        targets=speaker_targets(DATASET, speakers),
        trials=trials,
        differences=catalogue.differences + differences,
        warnings=warnings,
    )


def _unlisted(utterances: set[str]) -> tuple[str, ...]:
    if not utterances:
        return ()
    return (f"{len(utterances):,} utterances are not in {_IDEN_FILE}, e.g. {min(utterances)}",)


def _read_splits(source: Source, *, is_required: bool) -> dict[str, str]:
    """Return the split of each utterance; nothing if the list is not needed and not there."""
    if not is_required and source.find(_IDEN_FILE) is None:
        return {}
    data, where = published_file(source, _IDEN_FILE, layout=DATASET.layout)
    splits: dict[str, str] = {}
    for row in read_table(data, _IDEN, where=where):
        match = _PATH.fullmatch(row["path"])
        if match is None or row["part"] not in _IDEN_SPLITS:
            raise row.error(f"expected 1, 2 or 3 and <speaker>/<video>/<utterance>.wav, got {row}")
        if match["id"] in splits:
            raise row.error(f"{row['path']} is listed twice")
        splits[match["id"]] = _IDEN_SPLITS[row["part"]]
    return splits


DATASET = Dataset(
    name="voxceleb1",
    title="VoxCeleb1",
    summary="153,516 utterances of 1,251 speakers, from videos",
    num_classes=1251,
    size="352 hours, 40 GB unpacked",
    licence="CC BY 4.0 for the metadata; access needs a registration, voices are personal data",
    citation="A. Nagrani, J. S. Chung, A. Zisserman. VoxCeleb: a large-scale speaker "
    "identification dataset. Interspeech 2017",
    homepage="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/",
    how_to_get="register at the homepage and download the parts; the addresses of old scripts "
    "answer 401. The parts are read as they are: don't join or unpack them",
    layout="vox1_dev_wav_partaa to _partad (or vox1_dev_wav.zip) and vox1_test_wav.zip,\n"
    "or unpacked: <speaker>/<video>/<utterance>.wav anywhere below\n"
    "vox1_meta.csv\n"
    "iden_split.txt (needed for identification)\n"
    "veri_test.txt, veri_test2.txt, list_test_all.txt, list_test_hard.txt ... (optional: trials)",
    read=_read,
    options=(
        Option(
            name="protocol",
            help="verification: splits dev and test by speaker; identification: train, val and "
            "test by video",
            choices=("verification", "identification"),
            default="verification",
        ),
    ),
    expected=tuple(_EXPECTED.values()),
    targets={"speaker": "id of the speaker", "gender": "m or f", "nationality": "a country"},
    faults=("dev and test unpack to one folder wav/; the meta file tells which is which",),
)
