"""Speech Commands v0.02 (Warden 2018): 105,829 words of up to 1 s by 2,618 speakers, 35 words.

Two protocols. All 35 words, split by the published lists. And ten words, silence and unknown: the
test is an archive of its own then, and silence is cut from six recordings of noise, as
tensorflow-datasets and HEAR do it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble
from jobs.catalogues.speech_commands_files import (
    CITATION,
    COMMANDS,
    LICENCE,
    NOISE_FILES,
    NOISE_FOLDER,
    SILENCE,
    UNKNOWN,
    WORDS,
    SpeechCommandsFiles,
    TestSilence,
    Utterance,
    windows,
)
from jobs.sources import Source

_VALIDATION_NOISE = "running_tap"
_NOISE = "noise"
_LABELS = {
    "35": WORDS,
    "12": (*sorted(COMMANDS), SILENCE, UNKNOWN),
    _NOISE: NOISE_FILES,
}
_EXPECTED = {
    "35": ExpectedCounts(
        name="35 words",
        num_by_split={"train": 84_843, "val": 9981, "test": 11_005},
        num_classes=35,
    ),
    "12": ExpectedCounts(
        name="12 classes",
        num_by_split={"train": 84_843 + 668, "val": 9981 + 121, "test": 4890},
        num_classes=12,
    ),
    _NOISE: ExpectedCounts(name="noise", num_by_split={_NOISE: 6}),
}


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    files = SpeechCommandsFiles(source, version="v0.02", layout=DATASET.layout)
    protocol = options["protocol"]
    clips = {"35": _all_words, "12": _twelve_classes, _NOISE: _noises}[protocol](files)
    catalogue = assemble(
        DATASET,
        mixed(clips),
        labels=_LABELS[protocol],
        expected=_EXPECTED[protocol],
        where=source.url,
    )
    return replace(catalogue, warnings=files.warnings)


def _all_words(files: SpeechCommandsFiles) -> Iterator[ClipRef]:
    for utterance, split in files.utterances():
        yield utterance.clip(DATASET.name, label=utterance.word, split=split)


def _twelve_classes(files: SpeechCommandsFiles) -> Iterator[ClipRef]:
    for utterance, split in files.utterances():
        if split != "test":
            yield _command(utterance, split)
    for name, file in files.noises().items():
        split = "val" if name == _VALIDATION_NOISE else "train"
        yield from _silences(name, file, split, files)
    for item in files.test_items():
        if isinstance(item, TestSilence):
            yield _silence_clip(item.name, item.file)
        else:
            yield _command(item, "test")


def _command(utterance: Utterance, split: str) -> ClipRef:
    label = utterance.word if utterance.word in COMMANDS else UNKNOWN
    return utterance.clip(DATASET.name, label=label, split=split)


def _silences(name: str, file: str, split: str, files: SpeechCommandsFiles) -> Iterator[ClipRef]:
    for cut in windows(files.num_seconds(file)):
        yield ClipRef(
            id=f"{DATASET.name}/{SILENCE}/{name}_{round(1000 * cut.start_seconds)}",
            file=file,
            split=split,
            labels=(SILENCE,),
            group=f"{NOISE_FOLDER}/{name}",
            cut=cut,
        )


def _silence_clip(name: str, file: str) -> ClipRef:
    return ClipRef(id=f"{DATASET.name}/{name}", file=file, split="test", labels=(SILENCE,))


def _noises(files: SpeechCommandsFiles) -> Iterator[ClipRef]:
    for name, file in files.noises().items():
        clip_id = f"{DATASET.name}/{NOISE_FOLDER}/{name}"
        yield ClipRef(id=clip_id, file=file, split=_NOISE, labels=(name,), group=name)


DATASET = Dataset(
    name="speech_commands",
    title="Speech Commands v0.02",
    summary="105,829 spoken words of up to 1 s, 35 words (or 12 classes), by 2,618 speakers",
    num_classes=35,
    size="2.4 GB",
    licence=LICENCE,
    citation=CITATION,
    homepage="https://www.tensorflow.org/datasets/catalog/speech_commands",
    how_to_get="download the tar.gz, for the 12 classes that of the test set too; no registration. "
    "They have no top folder: unpack each into a folder of its own",
    layout="speech_commands_v0.02.tar, or a folder with\n"
    "  {WORD}/{SPEAKER}_nohash_{N}.wav, _background_noise_/*.wav\n"
    "  validation_list.txt, testing_list.txt\n"
    "speech_commands_test_set_v0.02.tar (12 classes), or a folder with\n"
    "  yes/ ... go/, _silence_/, _unknown_/",
    read=_read,
    options=(
        Option(
            name="protocol",
            help="35: all words, test by the list; 12: ten words, silence and unknown, test by "
            "the test archive; noise: only the six recordings of noise, whole",
            choices=tuple(_EXPECTED),
            default="35",
        ),
    ),
    expected=tuple(_EXPECTED.values()),
    targets={"word": "the spoken word", "speaker": "hash of who speaks"},
    faults=(
        "about a tenth of the clips are shorter than 1 s; they are kept as they are, not padded",
        "12 classes differ between programs: Hugging Face has each noise as one clip, SpeechBrain "
        "draws a tenth as many clips of silence and unknown as of known words",
    ),
)
