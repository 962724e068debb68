"""TAU Urban Acoustic Scenes 2020 Mobile (DCASE 2020 task 1A): 10 scenes by several devices.

Training is on devices a, b, c and s1 to s3; s4 to s6 occur in the test only, d and s7 to s11 in the
evaluation part only. What the devices recorded at the same moment is on one side.
"""

from collections.abc import Mapping

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.tau_scenes import (
    LICENCE,
    SCENES,
    UnlabelledPart,
    read_development,
    read_unlabelled,
)
from jobs.sources import Source

_NAME = "TAU-urban-acoustic-scenes-2020-mobile"
_DEVELOPMENT = ExpectedCounts(
    name="development", num_by_split={"train": 13_965, "test": 2970, "unused": 6100}, num_classes=10
)
_EVALUATION = UnlabelledPart(
    folder=f"{_NAME}-evaluation",
    list_file="fold1_test.csv",
    expected=ExpectedCounts(name="evaluation", num_by_split={"evaluation": 11_880}),
)


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    if options["release"] == "evaluation":
        return read_unlabelled(DATASET, source, _EVALUATION)
    folder = f"{_NAME}-development"
    return read_development(DATASET, source, folder=folder, expected=_DEVELOPMENT)


DATASET = Dataset(
    name="tau2020_mobile",
    title="TAU Urban Acoustic Scenes 2020 Mobile",
    summary="23,035 segments of 10 s (development), 10 scenes, 10 cities, 9 devices",
    num_classes=len(SCENES),
    size="40.5 GB, of which 27 GB are the development set",
    licence=LICENCE,
    citation="T. Heittola, A. Mesaros, T. Virtanen. Acoustic scene classification in DCASE 2020 "
    "Challenge: generalization across devices and low complexity solutions. DCASE Workshop 2020",
    homepage="https://zenodo.org/record/3819968",
    how_to_get="download the zips of a part from its Zenodo record (3819968 development, 3685828 "
    "evaluation) and leave them as they are; no registration",
    layout=f"{_NAME}-development.meta.zip and .audio.1.zip to .audio.16.zip, or unpacked:\n"
    f"{_NAME}-development/meta.csv\n"
    f"{_NAME}-development/evaluation_setup/fold1_train.csv and fold1_evaluate.csv\n"
    f"{_NAME}-development/audio/{{SCENE}}-{{CITY}}-{{LOCATION}}-{{SEGMENT}}-{{DEVICE}}.wav\n"
    f"({_NAME}-evaluation: evaluation_setup/fold1_test.csv, audio/0.wav ...)",
    read=_read,
    options=(
        Option(
            name="release",
            help="development: with labels, train and test by fold 1; evaluation: without",
            choices=("development", "evaluation"),
            default="development",
        ),
    ),
    expected=(_DEVELOPMENT, _EVALUATION.expected),
    targets={
        "city": "of the recording",
        "location": "city and number of the place",
        "device": "a, b, c: real devices; s1 to s6: simulated",
        "segment": "one number for what several devices recorded at the same moment",
    },
    faults=(
        "6,100 segments of the development set are in neither list of fold 1: they are the split "
        "unused",
        "334 files of the evaluation part are the same as another of it",
        "24-bit mono at 44.1 kHz",
        "the set of 2022, cut to 1 s, has files of other names, and is not read",
    ),
)
