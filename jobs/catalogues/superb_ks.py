"""SUPERB's keyword spotting: Speech Commands v0.01 (not v0.02), ten words, silence and unknown.

Training and validation are by the hash rule, and its test part is thrown away: the test is the
test archive. A recording of noise is one clip of silence, of a minute; take windows of 1 s.

The two reference programs differ: s3prl and Hugging Face swap the last two classes, and s3prl
validates on the six noises that it trains on, where Hugging Face validates without silence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from jobs.catalogues.catalogue import Catalogue, ClipRef, KnownLeak
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
    SpeechCommandsFiles,
    TestSilence,
)
from jobs.sources import Source

_S3PRL, _HUGGING_FACE = "s3prl", "huggingface"
_LABELS = {
    _S3PRL: (*COMMANDS, UNKNOWN, SILENCE),
    _HUGGING_FACE: (*COMMANDS, SILENCE, UNKNOWN),
}
_EXPECTED = {
    program: ExpectedCounts(
        name=f"as {program}",
        num_by_split={"train": 51_088 + 6, "val": num_validation, "test": 3081},
        num_classes=12,
    )
    for program, num_validation in ((_S3PRL, 6798 + 6), (_HUGGING_FACE, 6798))
}


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    program = options["reference"]
    files = SpeechCommandsFiles(source, version="v0.01", layout=DATASET.layout)
    catalogue = assemble(
        DATASET,
        mixed([*_spoken(files), *_noises(files, program), *_tests(files)]),
        labels=_LABELS[program],
        expected=_EXPECTED[program],
        where=source.url,
    )
    return replace(catalogue, warnings=files.warnings)


def _label(word: str) -> str:
    return word if word in COMMANDS else UNKNOWN


def _spoken(files: SpeechCommandsFiles) -> Iterator[ClipRef]:
    for utterance, split in files.utterances():
        if split != "test":
            yield utterance.clip(DATASET.name, label=_label(utterance.word), split=split)


def _noise_id(name: str, split: str) -> str:
    return f"{DATASET.name}/{NOISE_FOLDER}/{name}" + ("" if split == "train" else f"/{split}")


def _noises(files: SpeechCommandsFiles, program: str) -> Iterator[ClipRef]:
    for name, file in files.noises().items():
        for split in ("train", "val") if program == _S3PRL else ("train",):
            yield ClipRef(
                id=_noise_id(name, split),
                file=file,
                split=split,
                labels=(SILENCE,),
                group=name,
            )


def _tests(files: SpeechCommandsFiles) -> Iterator[ClipRef]:
    for item in files.test_items():
        if isinstance(item, TestSilence):
            yield ClipRef(
                id=f"{DATASET.name}/{item.name}", file=item.file, split="test", labels=(SILENCE,)
            )
        else:
            yield item.clip(DATASET.name, label=_label(item.word), split="test")


DATASET = Dataset(
    name="superb_ks",
    title="SUPERB keyword spotting (Speech Commands v0.01)",
    summary="60,979 spoken words of 1 s, ten words, silence and unknown",
    num_classes=12,
    size="1.6 GB",
    licence=LICENCE,
    citation=f"{CITATION}; S. Yang et al. SUPERB: Speech processing Universal PERformance "
    "Benchmark. Interspeech 2021",
    homepage="https://superbbenchmark.org",
    how_to_get="download both tar.gz of v0.01; no registration. They have no top folder: unpack "
    "each into a folder of its own",
    layout="speech_commands_v0.01.tar, or a folder with\n"
    "  {WORD}/{SPEAKER}_nohash_{N}.wav, _background_noise_/*.wav\n"
    "  validation_list.txt, testing_list.txt\n"
    "speech_commands_test_set_v0.01.tar, or a folder with\n"
    "  yes/ ... go/, _silence_/, _unknown_/",
    read=_read,
    options=(
        Option(
            name="reference",
            help="which program's order of classes and validation set: s3prl ends with unknown, "
            "silence and validates on the noises too; huggingface ends with silence, unknown",
            choices=tuple(_EXPECTED),
            default=_S3PRL,
        ),
    ),
    expected=tuple(_EXPECTED.values()),
    targets={"word": "the spoken word", "speaker": "hash of who speaks"},
    faults=(
        "s3prl lowers every clip by 3 dB when it loads them, and draws training clips in inverse "
        "proportion to the size of their class",
        "many clips are shorter than 1 s; they are kept as they are, not padded",
    ),
    leaks=(
        KnownLeak(
            what="as s3prl: the six recordings of noise are in train and in val",
            groups=frozenset(NOISE_FILES),
            clips=tuple(
                frozenset({f"superb_ks/{NOISE_FOLDER}/{name}{end}" for end in ("", "/val")})
                for name in NOISE_FILES
            ),
        ),
    ),
)
