"""MagnaTagATune (Law 2009): 25,863 clips of 29 s, 188 tags given by players of a game.

The split that papers use is by the first letter of the folder, and shares artists; the group is the
artist, so a split that doesn't can be made (`melstream split`).
"""

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from jobs.catalogues.catalogue import Catalogue, ClipRef, KnownLeak
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.known_leaks import leaking_groups
from jobs.catalogues.magnatagatune_tags import SYNONYMS, TOP50
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble, optional_file, published_file
from jobs.catalogues.tables import Row, TableForm, read_header, read_table, table_error
from jobs.sources import Source
from shardwriter.audio import DurationRule

_ANNOTATIONS, _INFO = "annotations_final.csv", "clip_info_final.csv"
_INFO_FORM = TableForm(
    columns=(
        *("clip_id", "track_number", "title", "artist", "album", "url"),
        *("segmentStart", "segmentEnd", "original_url", "mp3_path"),
    ),
    delimiter="\t",
)
_NUM_TAGS = 188
_NUM_MERGED = 134
_SPLITS: Final = {
    **dict.fromkeys("0123456789ab", "train"),
    "c": "val",
    **dict.fromkeys("def", "test"),
}
"""By folder; the 12:1:3 of papers."""
_LASTS = DurationRule(seconds=29.1, tolerance_seconds=1.0)
_NUM_CLIPS: Final = {"train": 18_709, "val": 1_825, "test": 5_329}
_TAGGED: Final = {"train": 15_629, "val": 1_551, "test": 4_462}
_NUM_TAGGED: Final = {
    ("all", "keep"): _TAGGED,
    ("all", "merge"): _TAGGED,
    ("top50", "keep"): {"train": 15_250, "val": 1_529, "test": 4_332},
    ("top50", "merge"): {"train": 15_428, "val": 1_538, "test": 4_392},
}
"""Clips with a tag that is used, counted in the published table. Papers that count the files that
can be read have 15,247 to train on with the fifty: the three empty files all have one of them."""


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    data, where = published_file(source, _ANNOTATIONS, layout=DATASET.layout)
    columns = read_header(data, TableForm(columns=(), delimiter="\t"), where=where)
    tags = columns[1:-1]
    if len(tags) != _NUM_TAGS or (columns[0], columns[-1]) != ("clip_id", "mp3_path"):
        raise table_error(where, f"expected clip_id, {_NUM_TAGS} tags and mp3_path as columns")
    names = _merged(tags) if options["synonyms"] == "merge" else {tag: tag for tag in tags}
    form = TableForm(columns=columns, delimiter="\t")
    tagged = [(row, _labels(row, names)) for row in read_table(data, form, where=where)]
    vocabulary = _vocabulary(names, [labels for _, labels in tagged], options)
    infos = _infos(source)
    clips = [_clip(row, labels, infos) for row, labels in _kept(tagged, vocabulary, options)]
    catalogue = assemble(
        DATASET,
        mixed(_found(clips, source)),
        labels=vocabulary,
        expected=_expected(options),
        where=where,
    )
    if infos:
        return catalogue
    return replace(
        catalogue, warnings=(f"{_INFO} is not in {source.url}: clips get no artist as group",)
    )


def _merged(tags: Sequence[str]) -> dict[str, str]:
    """Return what each tag is called when synonyms are one."""
    first = {tag: synonyms[0] for synonyms in SYNONYMS for tag in synonyms}
    return {tag: first.get(tag, tag) for tag in tags}


def _labels(row: Row, names: Mapping[str, str]) -> tuple[str, ...]:
    labels: dict[str, None] = {}
    for tag, name in names.items():
        cell = row.values[tag]
        if cell == "1":
            labels[name] = None
        elif cell != "0":
            raise row.error(f"the tag {tag!r} is {cell!r}, expected 0 or 1")
    return tuple(labels)


def _vocabulary(
    names: Mapping[str, str], tagged: Iterable[Sequence[str]], options: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the labels in order of ids: as published, or the fifty most frequent."""
    if options["tags"] == "all":
        return tuple(dict.fromkeys(names.values()))
    if options["synonyms"] == "keep":
        return TOP50
    counts = collections.Counter(label for labels in tagged for label in labels)
    return tuple(sorted(counts, key=lambda label: (-counts[label], label))[: len(TOP50)])


def _kept(
    tagged: Iterable[tuple[Row, tuple[str, ...]]],
    vocabulary: Sequence[str],
    options: Mapping[str, str],
) -> Iterator[tuple[Row, tuple[str, ...]]]:
    chosen = frozenset(vocabulary)
    for row, labels in tagged:
        kept = tuple(label for label in labels if label in chosen)
        if kept or options["untagged"] == "keep":
            yield row, kept


def _infos(source: Source) -> dict[str, Row]:
    """Return what is known of each clip's track, by clip."""
    found = optional_file(source, _INFO)
    if found is None:
        return {}
    data, where = found
    return {row["clip_id"]: row for row in read_table(data, _INFO_FORM, where=where)}


def _clip(row: Row, labels: tuple[str, ...], infos: Mapping[str, Row]) -> ClipRef:
    clip, path = row["clip_id"], row["mp3_path"]
    if not (clip.isdecimal() and clip.isascii()) or path[1:2] != "/" or path[0] not in _SPLITS:
        raise row.error(f"expected a number and FOLDER/NAME.mp3, got {clip!r} and {path!r}")
    info = infos.get(clip)
    return ClipRef(
        id=f"magnatagatune/{clip}",
        file=path,
        split=_SPLITS[path[0]],
        labels=labels,
        group=info["artist"] if info else None,
        duration=_LASTS,
        metadata={"folder": path[0]}
        | ({name: info[name] for name in ("artist", "album", "title", "url")} if info else {}),
    )


def _found(clips: Iterable[ClipRef], source: Source) -> Iterator[ClipRef]:
    """Yield the clips with the file that holds each, wherever the 16 folders lie."""
    held = {"/".join(name.split("/")[-2:]): name for name in source.names()}
    for clip in clips:
        yield replace(clip, file=held.get(clip.file or ""))


def _expected(options: Mapping[str, str]) -> ExpectedCounts:
    tags, synonyms, untagged = (options[name] for name in ("tags", "synonyms", "untagged"))
    by_split = _NUM_CLIPS if untagged == "keep" else _NUM_TAGGED[tags, synonyms]
    num_classes = (
        len(TOP50) if tags == "top50" else _NUM_TAGS if synonyms == "keep" else _NUM_MERGED
    )
    return ExpectedCounts(
        name=f"tags {tags}, synonyms {synonyms}, untagged {untagged}",
        num_by_split=by_split,
        num_classes=num_classes,
    )


_DEFAULTS: Final = {"tags": "all", "synonyms": "keep", "untagged": "keep"}
DATASET = Dataset(
    name="magnatagatune",
    title="MagnaTagATune",
    summary="25,863 clips of 29 s of music, 188 tags, several a clip",
    num_classes=_NUM_TAGS,
    size="2.7 GB of MP3, 16 kHz",
    licence="CC BY-NC-SA 1.0 (Magnatune)",
    citation="E. Law, K. West, M. Mandel, M. Bay, J. S. Downie. Evaluation of algorithms using "
    "games: the case of music tagging. ISMIR 2009",
    homepage="https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset",
    how_to_get="download the three parts of mp3.zip and the two csv files; no registration. The "
    "parts are read as they are: don't join or unpack them",
    layout="annotations_final.csv, clip_info_final.csv\n"
    "mp3.zip.001 to .003, or unpacked: the folders 0 to 9 and a to f anywhere below",
    read=_read,
    options=(
        Option(
            name="tags",
            help="top50: the fifty most frequent, on which papers report",
            choices=("all", "top50"),
            default=_DEFAULTS["tags"],
        ),
        Option(
            name="synonyms",
            help="merge: count tags that say the same as one, which makes 134 of 188",
            choices=("keep", "merge"),
            default=_DEFAULTS["synonyms"],
        ),
        Option(
            name="untagged",
            help="drop: leave out clips that have none of the tags",
            choices=("keep", "drop"),
            default=_DEFAULTS["untagged"],
        ),
    ),
    expected=(_expected(_DEFAULTS), _expected({**_DEFAULTS, "tags": "top50", "untagged": "drop"})),
    targets={"artist": "who plays", "album": "on which album"},
    faults=(
        "three files are empty and become rejections: clips 35644, 55753 and 57881, all in train",
        "4,221 clips have no tag, 4,752 none of the fifty most frequent",
        "tags that say the same are counted apart, and some are misspelt: clasical, harpsicord",
        "some papers also leave out the three clips that are shorter than 29.1 s",
    ),
    leaks=(
        KnownLeak(
            what="56 of 230 artists are in two or three splits; no track is",
            groups=leaking_groups("magnatagatune"),
        ),
    ),
)
