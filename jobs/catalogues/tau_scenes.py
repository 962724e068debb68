"""What the TAU Urban Acoustic Scenes sets have in common: names, lists, and parts.

Each part (development, evaluation, leaderboard) unpacks to a folder of its own with the same
names inside, so files are told apart by that folder. All lists are called csv, are separated by
TAB and end their lines with CRLF.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble, published_file
from jobs.catalogues.tables import Row, TableForm, read_table
from jobs.sources import Source
from shardwriter.audio import DurationRule

SCENES = (
    *("airport", "bus", "metro", "metro_station", "park"),
    *("public_square", "shopping_mall", "street_pedestrian", "street_traffic", "tram"),
)
CITATION_2018 = (
    "A. Mesaros, T. Heittola, T. Virtanen. A multi-device dataset for urban acoustic scene "
    "classification. DCASE Workshop 2018"
)
LICENCE = "non-commercial, by the agreement of Tampere University that comes with it"
_META = TableForm(
    columns=("filename", "scene_label", "identifier", "source_label"),
    delimiter="\t",
    is_quoted=False,
)
_LABELLED = TableForm(columns=("filename", "scene_label"), delimiter="\t", is_quoted=False)
_UNLABELLED = TableForm(columns=("filename",), delimiter="\t", is_quoted=False)
_NAME = re.compile(
    r"audio/(?P<stem>(?P<scene_label>[a-z_]+)-(?P<identifier>(?P<city>[a-z]+)-\d+)"
    r"-(?P<segment>\d+)-(?P<source_label>[a-z]\d*))\.wav",
    re.ASCII,
)
_NUMBERED = re.compile(r"audio/(?P<stem>\d+)\.wav", re.ASCII)
_DURATION = DurationRule(seconds=10.0, tolerance_seconds=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlabelledPart:
    """A part that is published without labels: what it unpacks to, and the list of its clips."""

    folder: str
    list_file: str
    expected: ExpectedCounts


class _Files:
    """The files of one part."""

    def __init__(self, source: Source, folder: str, layout: str) -> None:
        self._source = source
        self._layout = layout
        self._names = frozenset(source.names())
        self._folder = folder
        places = (name.partition(f"{folder}/") for name in source.names())
        # From an archive of its own each: `<folder>.audio.1.zip/<folder>/audio/x.wav`.
        self._roots = sorted({before + folder + "/" for before, found, _ in places if found})

    def find(self, name: str) -> str | None:
        """Return the file of this name; without the part's folder the source is that folder."""
        places = [root + name for root in self._roots] or [name]
        return next((place for place in places if place in self._names), None)

    def read(self, name: str) -> tuple[bytes, str]:
        """Return a list, and its place for messages."""
        held = self.find(name)
        if held is None:
            return published_file(self._source, f"{self._folder}/{name}", layout=self._layout)
        return self._source.read(held), f"{self._source.url}/{held}"


def read_development(
    dataset: Dataset, source: Source, *, folder: str, expected: ExpectedCounts
) -> Catalogue:
    """Read a development set: `train` and `test` by the official fold 1, `unused` for the rest.

    Args:
        dataset: Whose clips they are.
        source: Where they lie.
        folder: What the part unpacks to.
        expected: The published counts.

    Raises:
        ConfigError: a list is not there, not as published, or contradicts another.
    """
    files = _Files(source, folder, dataset.layout)
    scenes = _read_scenes(files)
    splits: dict[str, str] = {}
    for split, name in (("train", "fold1_train.csv"), ("test", "fold1_evaluate.csv")):
        data, where = files.read(f"evaluation_setup/{name}")
        for row in read_table(data, _LABELLED, where=where):
            file = row["filename"]
            if file not in scenes or scenes[file]["scene_label"] != row["scene_label"]:
                raise row.error(f"{file} as {row['scene_label']} is not what meta.csv says")
            if splits.setdefault(file, split) != split:
                raise row.error(f"{file} is in the training list too")
    clips = [
        _development_clip(dataset.name, file, scene, splits.get(file, "unused"), files)
        for file, scene in scenes.items()
    ]
    return assemble(dataset, mixed(clips), labels=SCENES, expected=expected, where=source.url)


def read_unlabelled(dataset: Dataset, source: Source, part: UnlabelledPart) -> Catalogue:
    """Read a part without labels, whose clips are numbered.

    Raises:
        ConfigError: its list is not there, or not as published.
    """
    files = _Files(source, part.folder, dataset.layout)
    (split,) = part.expected.num_by_split
    data, where = files.read(f"evaluation_setup/{part.list_file}")
    clips = list(_numbered_clips(read_table(data, _UNLABELLED, where=where), dataset, split, files))
    return assemble(dataset, clips, labels=SCENES, expected=part.expected, where=where)


def _read_scenes(files: _Files) -> dict[str, Mapping[str, str]]:
    """Return what the names of the files in meta.csv say, by file."""
    data, where = files.read("meta.csv")
    scenes: dict[str, Mapping[str, str]] = {}
    for row in read_table(data, _META, where=where):
        if row["filename"] in scenes:
            raise row.error(f"{row['filename']} is listed twice")
        scenes[row["filename"]] = _scene(row)
    return scenes


def _scene(row: Row) -> Mapping[str, str]:
    match = _NAME.fullmatch(row["filename"])
    if match is None or match["scene_label"] not in SCENES:
        raise row.error(f"{row['filename']!r} is not audio/SCENE-CITY-LOCATION-SEGMENT-DEVICE.wav")
    for column in ("scene_label", "identifier", "source_label"):
        if row[column] != match[column]:
            raise row.error(f"{column} is {row[column]!r}, the file name says {match[column]!r}")
    return match.groupdict()


def _development_clip(
    dataset: str, file: str, scene: Mapping[str, str], split: str, files: _Files
) -> ClipRef:
    return ClipRef(
        id=f"{dataset}/{scene['stem']}",
        file=files.find(file),
        split=split,
        labels=(scene["scene_label"],),
        group=scene["identifier"],
        duration=_DURATION,
        metadata={
            "city": scene["city"],
            "location": scene["identifier"],
            "segment": scene["segment"],
            "device": scene["source_label"],
        },
    )


def _numbered_clips(
    rows: Iterator[Row], dataset: Dataset, split: str, files: _Files
) -> Iterator[ClipRef]:
    for row in rows:
        match = _NUMBERED.fullmatch(row["filename"])
        if match is None:
            raise row.error(f"filename is {row['filename']!r}, expected audio/NUMBER.wav")
        yield ClipRef(
            id=f"{dataset.name}/{split}/{match['stem']}",
            file=files.find(row["filename"]),
            split=split,
            labels=(),
            duration=_DURATION,
        )
