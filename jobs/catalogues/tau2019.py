"""TAU Urban Acoustic Scenes 2019 (DCASE 2019 task 1A): 10 s of 10 scenes in 12 cities, binaural."""

from collections.abc import Mapping

from jobs.catalogues.catalogue import Catalogue, KnownLeak
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.tau_scenes import (
    CITATION_2018,
    LICENCE,
    SCENES,
    UnlabelledPart,
    read_development,
    read_unlabelled,
)
from jobs.sources import Source

_NAME = "TAU-urban-acoustic-scenes-2019"
_DEVELOPMENT = ExpectedCounts(
    name="development",
    num_by_split={"train": 9185, "test": 4185, "unused": 1030},
    num_by_label=dict.fromkeys(SCENES, 1440),
)
_OTHERS = {
    name: UnlabelledPart(
        folder=f"{_NAME}-{name}",
        list_file="test.csv",
        expected=ExpectedCounts(name=name, num_by_split={name: num_clips}),
    )
    for name, num_clips in (("evaluation", 7200), ("leaderboard", 1200))
}


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    if options["release"] in _OTHERS:
        return read_unlabelled(DATASET, source, _OTHERS[options["release"]])
    folder = f"{_NAME}-development"
    return read_development(DATASET, source, folder=folder, expected=_DEVELOPMENT)


DATASET = Dataset(
    name="tau2019",
    title="TAU Urban Acoustic Scenes 2019",
    summary="14,400 segments of 10 s (development), 10 scenes, 10 cities",
    num_classes=len(SCENES),
    size="56.5 GB, of which 35 GB are the development set",
    licence=LICENCE,
    citation=CITATION_2018,
    homepage="https://zenodo.org/record/2589280",
    how_to_get="download the zips of a part from its Zenodo record (2589280 development, 3063822 "
    "evaluation, 2672993 leaderboard) and leave them as they are; no registration",
    layout=f"{_NAME}-development.meta.zip and .audio.1.zip to .audio.21.zip, or unpacked:\n"
    f"{_NAME}-development/meta.csv\n"
    f"{_NAME}-development/evaluation_setup/fold1_train.csv and fold1_evaluate.csv\n"
    f"{_NAME}-development/audio/{{SCENE}}-{{CITY}}-{{LOCATION}}-{{SEGMENT}}-{{DEVICE}}.wav\n"
    f"({_NAME}-evaluation and -leaderboard: evaluation_setup/test.csv, audio/0.wav ...)",
    read=_read,
    options=(
        Option(
            name="release",
            help="development: with labels, train and test by fold 1; the others have no labels",
            choices=("development", *_OTHERS),
            default="development",
        ),
    ),
    expected=(_DEVELOPMENT, *(part.expected for part in _OTHERS.values())),
    targets={"city": "of the recording", "location": "city and number of the place"},
    faults=(
        "1,030 segments of the development set, all from Milan, are in neither list of fold 1: "
        "they are the split unused",
        "24-bit stereo (binaural) at 48 kHz; mixed down to mono here",
    ),
    leaks=(
        KnownLeak(what="all 1,200 clips of the leaderboard part are clips of the evaluation part"),
    ),
)
