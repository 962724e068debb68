"""What VoxCeleb1 and VoxCeleb2 have in common: utterances by speaker and video, and trials.

Neither publishes a list of its utterances: the files are the list, in folders
`<speaker>/<video>/<utterance>`, and the published counts tell whether all are there. The names
of the speakers, which the meta files hold, are personal data and stay out of the shards.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from jobs.catalogues.catalogue import Catalogue, ClipRef, CountDifference
from jobs.catalogues.description import Dataset
from jobs.catalogues.reading import optional_file, published_file
from jobs.catalogues.tables import TableForm, read_table
from jobs.catalogues.targets import find_targets
from jobs.catalogues.trials import VerificationPairs, read_trials
from jobs.sources import Source
from shardwriter.errors import ConfigError
from shardwriter.targets import Target

UTTERANCE = r"(?P<video>[A-Za-z0-9_-]{11})/(?P<utterance>\d{5})"
SUFFIXES = (".wav", ".m4a", ".flac")
"""In order of preference, where an utterance is there more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """A row of the meta file."""

    id: str
    part: str
    """`dev` or `test`."""
    metadata: Mapping[str, str]
    """Of each of the speaker's clips."""


def read_speakers(
    source: Source, file: str, form: TableForm, pattern: re.Pattern[str], *, layout: str
) -> dict[str, Speaker]:
    """Read the meta file: the speakers by id, with what it says of them but for their names.

    Args:
        source: Where it lies.
        file: Its name.
        form: How it is written; the first column is the id.
        pattern: Form of the ids.
        layout: What the source has to look like, for messages.

    Raises:
        ConfigError: it is not there, or not as published.
    """
    data, where = published_file(source, file, layout=layout)
    speakers = {}
    for row in read_table(data, form, where=where):
        number, part, gender = row[form.columns[0]], row["Set"], row["Gender"]
        if not pattern.fullmatch(number) or number in speakers:
            raise row.error(f"{number!r} is no speaker's id, or is there twice")
        if part not in ("dev", "test") or gender not in ("m", "f"):
            raise row.error(f"expected Set dev or test and Gender m or f, got {part!r}, {gender!r}")
        metadata = {"speaker": number, "gender": gender}
        if "Nationality" in form.columns:
            metadata["nationality"] = row["Nationality"]
        speakers[number] = Speaker(id=number, part=part, metadata=metadata)
    return speakers


def speaker_of(utterance: str, speakers: Mapping[str, Speaker]) -> Speaker:
    """Return who speaks; a speaker that the meta file lacks is a `ConfigError`."""
    number = utterance.partition("/")[0]
    if number not in speakers:
        raise ConfigError(
            f"{utterance} is of the speaker {number}, whom the meta file does not list; is it the "
            "meta file as published?"
        )
    return speakers[number]


def find_utterances(source: Source, speakers: re.Pattern[str]) -> dict[str, str]:
    """Map `<speaker>/<video>/<utterance>` to the file, in order of names.

    Raises:
        ConfigError: there is none.
    """
    suffixes = "|".join(re.escape(suffix) for suffix in SUFFIXES)
    form = re.compile(rf"(?:.*/)?(?P<id>{speakers.pattern}/{UTTERANCE})(?P<suffix>{suffixes})")
    found: dict[str, tuple[int, str]] = {}
    for name in source.names():
        match = form.fullmatch(name)
        if match is not None:
            candidate = (SUFFIXES.index(match["suffix"]), name)
            found[match["id"]] = min(found.get(match["id"], candidate), candidate)
    if not found:
        raise ConfigError(
            f"{source.url} holds no utterance called <speaker>/<video>/<utterance>, such as "
            "id10001/1zcIwhmdeo4/00001.wav; releases that name folders by people are older, and "
            "are not read" + "".join(f"\n  not opened: {archive}" for archive in source.unread)
        )
    return {utterance: name for utterance, (_, name) in sorted(found.items())}


def utterance_clip(
    dataset: str, utterance: str, *, file: str | None, speaker: Speaker, split: str | None = None
) -> ClipRef:
    """Return the clip of an utterance.

    Args:
        dataset: First part of its id.
        utterance: `<speaker>/<video>/<utterance>`.
        file: Where it lies, None if nowhere.
        speaker: Who speaks.
        split: Its split, where videos are split and every speaker is in all parts: its group is
            the video then. None: its split is the speaker's, and so is its group.
    """
    video = utterance.split("/")[1]
    return ClipRef(
        id=f"{dataset}/{utterance}",
        file=file,
        split=split or speaker.part,
        labels=(speaker.id,),
        group=speaker.id if split is None else f"{speaker.id}/{video}",
        metadata={**speaker.metadata, "video": video},
    )


def speaker_targets(dataset: Dataset, speakers: Mapping[str, Speaker]) -> dict[str, Target]:
    """Return the targets of all speakers of the meta file, whichever of their clips are there."""
    rows = [speaker.metadata for speaker in speakers.values()]
    return find_targets(rows, dataset.targets, dataset=dataset.name)


def find_trials(
    source: Source, lists: Mapping[str, tuple[str, int]], catalogue: Catalogue
) -> tuple[tuple[VerificationPairs, ...], tuple[CountDifference, ...]]:
    """Read those of the published lists of trials that the source holds.

    Args:
        source: Where they lie.
        lists: File and number of pairs, by what a list is called.
        catalogue: Whose utterances they pair.

    Returns:
        The lists, and every difference: in their lengths, and in utterances that are not there.
    """
    there = {clip.id for clip in catalogue.clips if clip.file is not None}
    trials = []
    differences = []
    for name, (file, expected) in lists.items():
        found = optional_file(source, file)
        if found is None:
            continue
        data, where = found
        pairs = read_trials(data, name=name, dataset=catalogue.name, where=where)
        trials.append(pairs)
        named = {*pairs.first, *pairs.second}
        for what, should, got in (
            (f"trials of {name}", expected, len(pairs)),
            (f"utterances of {name} that are there", len(named), len(named & there)),
        ):
            if got != should:
                differences.append(CountDifference(what=what, expected=should, got=got))
    return tuple(trials), tuple(differences)
