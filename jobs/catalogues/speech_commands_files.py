"""The files of Speech Commands, v0.01 and v0.02: utterances, noises, lists, and the test archive.

Neither archive has a top folder: `yes/0a7c2a8d_nohash_0.wav` is a name of both. They are told apart
by what lies beside: only the test archive has the folders `_silence_` and `_unknown_`.
"""

import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import soundfile

from jobs.catalogues.catalogue import ClipRef
from jobs.catalogues.reading import indented
from jobs.catalogues.tables import TableForm, read_table
from jobs.sources import Source
from shardwriter.audio import Cut
from shardwriter.errors import ConfigError

NOISE_FOLDER, SILENCE, UNKNOWN = "_background_noise_", "_silence_", "_unknown_"
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
"""The ten words of the 12-class tasks; all others are unknown."""
LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}
NOISE_FILES = (
    *("doing_the_dishes", "dude_miaowing", "exercise_bike"),
    *("pink_noise", "running_tap", "white_noise"),
)
CLIP_SECONDS = 1.0
WORDS = (
    *("backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward"),
    *("four", "go", "happy", "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one"),
    *("right", "seven", "sheila", "six", "stop", "three", "tree", "two", "up", "visual", "wow"),
    *("yes", "zero"),
)
"""Of v0.02; v0.01 lacks five of them."""
CITATION = (
    "P. Warden. Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition. "
    "arXiv:1804.03209, 2018"
)
LICENCE = "Speech Commands by Google: CC BY 4.0"
_FILE = re.compile(r"(?P<root>(?:.*/)?)(?P<folder>[a-z_]+)/(?P<name>[^/]+)\.wav", re.ASCII)
_UTTERANCE = re.compile(
    r"(?:(?P<word>[a-z]+)_)?(?P<stem>(?P<speaker>[0-9a-f]{8})_nohash_\d+)(?:\.wav)?", re.ASCII
)
_LISTED = re.compile(r"(?P<word>[a-z]+)/(?P<stem>(?P<speaker>[0-9a-f]{8})_nohash_\d+)\.wav")
_LIST = TableForm(columns=("path",), has_header=False, is_quoted=False)
_HASH_RANGE = 2**27 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A spoken word."""

    word: str
    speaker: str
    name: str
    """`<word>/<speaker>_nohash_<n>`, the same in both archives."""
    file: str | None

    def clip(self, dataset: str, *, label: str, split: str) -> ClipRef:
        """Return it as a clip."""
        return ClipRef(
            id=f"{dataset}/{self.name}",
            file=self.file,
            split=split,
            labels=(label,),
            group=self.speaker,
            metadata={"word": self.word, "speaker": self.speaker},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSilence:
    """A clip of the test archive in which nobody speaks."""

    name: str
    file: str


class SpeechCommandsFiles:
    """What a source holds of one version."""

    def __init__(self, source: Source, *, version: str, layout: str) -> None:
        """Look through the names of a source.

        Raises:
            ConfigError: it holds no main archive of the version, or more than one.
        """
        self._source = source
        other = {"v0.01": "v0.02", "v0.02": "v0.01"}[version]
        folders: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for name in source.names():
            match = _FILE.fullmatch(name)
            if match is not None and other not in match["root"]:
                folders[match["root"]][match["folder"]].append(name)
        tests = [root for root, held in folders.items() if SILENCE in held or UNKNOWN in held]
        mains = [root for root, held in folders.items() if root not in tests and _is_main(held)]
        self._main = self._only(mains, f"speech_commands_{version}", layout)
        self._tests = tests
        self._version = version
        self._layout = layout
        self._folders = folders

    def _only(self, roots: list[str], what: str, layout: str) -> str:
        if len(roots) == 1:
            return roots[0]
        found = ", ".join(root or "/" for root in sorted(roots)) or "none"
        unread = "".join(f"\n  not opened: {archive}" for archive in self._source.unread)
        raise ConfigError(
            f"{self._source.url}: expected the files of {what}.tar.gz once, found {found}; "
            f"expected{unread}\n{indented(layout)}"
        )

    @property
    def words(self) -> tuple[str, ...]:
        """The words of which there are utterances, sorted.

        Raises:
            ConfigError: one that no version has.
        """
        words = sorted(set(self._folders[self._main]) - {NOISE_FOLDER})
        unknown = sorted(set(words) - set(WORDS))
        if unknown:
            raise ConfigError(
                f"{self._source.url} holds the folder {self._main}{unknown[0]}, which is no word "
                "of Speech Commands; give a folder with nothing else in it"
            )
        return tuple(words)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is passed over: files beside the utterances that are none."""
        names = [
            file
            for word in self.words
            for file in self._folders[self._main][word]
            if self._utterance_name(word, file) is None
        ]
        if not names:
            return ()
        return (f"{len(names):,} files are not called SPEAKER_nohash_N.wav, e.g. {names[0]}",)

    def utterances(self) -> Iterator[tuple[Utterance, str]]:
        """Yield every utterance and its split: by the lists, or by the hash that made them.

        Those that a list names and no file holds come too.
        """
        listed = self.listed()
        seen: set[str] = set()
        for word in self.words:
            for file in self._folders[self._main][word]:
                name = self._utterance_name(word, file)
                if name is not None:
                    seen.add(name)
                    found = _utterance(name, file)
                    yield found, listed.get(name, "train") if listed else hash_split(found.speaker)
        for name, split in listed.items():
            if name not in seen:
                yield _utterance(name, None), split

    @staticmethod
    def _utterance_name(word: str, file: str) -> str | None:
        match = _UTTERANCE.fullmatch(_stem(file))
        return f"{word}/{match['stem']}" if match is not None and match["word"] is None else None

    def listed(self) -> dict[str, str]:
        """Return the split of each utterance that the lists name; empty if there are no lists.

        Raises:
            ConfigError: one list is there and the other is not, a line is no utterance, or it is
                in another split than its speaker's hash says.
        """
        names = {split: f"{self._main}{file}" for split, file in LISTS.items()}
        there = set(self._source.names())
        missing = [name for name in names.values() if name not in there]
        if len(missing) == len(names):
            return {}
        if missing:
            raise ConfigError(f"{self._source.url} holds no {missing[0]}, and the other list")
        listed: dict[str, str] = {}
        for split, file in names.items():
            where = f"{self._source.url}/{file}"
            for row in read_table(self._source.read(file), _LIST, where=where):
                match = _LISTED.fullmatch(row["path"])
                if match is None:
                    raise row.error(f"{row['path']!r} is not WORD/SPEAKER_nohash_N.wav")
                if hash_split(match["speaker"]) != split:
                    raise row.error(f"{row['path']} belongs to {hash_split(match['speaker'])}")
                listed[f"{match['word']}/{match['stem']}"] = split
        return listed

    def noises(self) -> dict[str, str]:
        """Return the file of each long recording of noise, by its name; all six are looked for.

        Raises:
            ConfigError: one is not there.
        """
        files = {_stem(f): f for f in self._folders[self._main].get(NOISE_FOLDER, ())}
        missing = [name for name in NOISE_FILES if name not in files]
        if missing:
            raise ConfigError(
                f"{self._source.url} holds no {self._main}{NOISE_FOLDER}/{missing[0]}.wav; get "
                "the archive again"
            )
        return {name: files[name] for name in NOISE_FILES}

    def test_items(self) -> Iterator[Utterance | TestSilence]:
        """Yield the clips of the test archive; in `_unknown_` the word is part of the name.

        Raises:
            ConfigError: the archive is not there, or holds a file of another name.
        """
        root = self._only(self._tests, f"speech_commands_test_set_{self._version}", self._layout)
        for folder, files in sorted(self._folders[root].items()):
            for file in files:
                yield self._test_item(folder, file)

    def _test_item(self, folder: str, file: str) -> Utterance | TestSilence:
        stem = _stem(file)
        if folder == SILENCE:
            return TestSilence(name=f"{SILENCE}/{stem}", file=file)
        match = _UTTERANCE.fullmatch(stem)
        if match is None or (match["word"] is None) != (folder in COMMANDS):
            raise ConfigError(f"{self._source.url} holds {file}, which is no clip of the test set")
        return _utterance(f"{match['word'] or folder}/{match['stem']}", file)

    def num_seconds(self, file: str) -> float:
        """Return how long a recording is.

        Raises:
            ConfigError: it can't be decoded.
        """
        try:
            return float(soundfile.info(io.BytesIO(self._source.read(file))).duration)
        except soundfile.LibsndfileError as err:
            raise ConfigError(f"{self._source.url}/{file}: {err}; get the archive again") from err


def _stem(file: str) -> str:
    return file.rpartition("/")[2].removesuffix(".wav")


def _utterance(name: str, file: str | None) -> Utterance:
    word, _, stem = name.partition("/")
    return Utterance(word=word, speaker=stem.partition("_")[0], name=name, file=file)


def _is_main(folders: defaultdict[str, list[str]]) -> bool:
    """Return whether these are the main archive's: a copy may lack the noises or some words."""
    return NOISE_FOLDER in folders or any(word in folders for word in COMMANDS)


def hash_split(speaker: str) -> str:
    """Return the split of a speaker: the rule of the dataset's README, which made the lists.

    Ten percent of the hashes each are validation and test; whatever the dataset grows to, a
    speaker stays where they are.
    """
    number = int(hashlib.sha1(speaker.encode(), usedforsecurity=False).hexdigest(), 16)
    percentage = number % (_HASH_RANGE + 1) * (100.0 / _HASH_RANGE)
    return "val" if percentage < 10 else "test" if percentage < 20 else "train"


def windows(num_seconds: float, *, hop_seconds: float = 0.5) -> Iterator[Cut]:
    """Yield the windows of 1 s that begin before the last second of a recording.

    As tensorflow-datasets cuts them, so that counts agree with its.
    """
    number = 0
    while number == 0 or number * hop_seconds < num_seconds - CLIP_SECONDS:
        start = number * hop_seconds
        yield Cut(start_seconds=start, stop_seconds=start + CLIP_SECONDS)
        number += 1
