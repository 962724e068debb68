"""MTG-Jamendo (Bogdanov 2019): 55,525 full tracks under Creative Commons licences, 183 tags.

Tags are of three kinds, and named `genre---rock`, `instrument---piano`, `mood/theme---happy`. There
are five official splits, none of which has an artist in two parts.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from jobs.catalogues.catalogue import Catalogue, ClipRef, KnownLeak
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble, published_file
from jobs.catalogues.tables import Row, TableForm, read_table
from jobs.sources import Source, open_source
from shardwriter.audio import DurationRule

_FORM = TableForm(
    columns=("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"),
    delimiter="\t",
    is_quoted=False,
    is_ragged=True,
)
_TRACK = re.compile(r"track_(?P<number>\d{7})", re.ASCII)
_TOLERANCE_SECONDS = 5.0
"""Durations were read from the headers of MP3 files, some of them without a count of frames."""
_PARTS: Final = ("train", "validation", "test")
_LISTS: Final = {
    "all": "autotagging",
    "top50": "autotagging_top50tags",
    "genre": "autotagging_genre",
    "instrument": "autotagging_instrument",
    "moodtheme": "autotagging_moodtheme",
}
_NUM_CLASSES: Final = {"all": 183, "top50": 50, "genre": 87, "instrument": 40, "moodtheme": 56}
_NUM_TRACKS: Final = {
    "all": (
        *((32_859, 11_101, 11_565), (33_007, 10_937, 11_581), (32_616, 12_246, 10_663)),
        *((33_747, 10_757, 11_021), (31_509, 11_893, 12_123)),
    ),
    "top50": (
        *((32_136, 10_888, 11_356), (32_395, 10_619, 11_366), (32_010, 11_961, 10_409)),
        *((33_173, 10_468, 10_739), (30_868, 11_593, 11_919)),
    ),
    "genre": (
        *((32_572, 11_043, 11_479), (32_746, 10_833, 11_515), (32_360, 12_185, 10_549)),
        *((33_515, 10_656, 10_923), (31_305, 11_804, 11_985)),
    ),
    "instrument": (
        *((14_395, 5_466, 5_115), (14_943, 4_960, 5_073), (14_702, 5_066, 5_208)),
        *((14_875, 5_068, 5_033), (14_829, 5_159, 4_988)),
    ),
    "moodtheme": (
        *((9_949, 3_802, 4_231), (10_190, 3_594, 4_198), (10_484, 4_085, 3_413)),
        *((10_920, 3_500, 3_562), (10_241, 3_706, 4_035)),
    ),
}
"""By subset, split and part, as the published lists have them."""


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    lists = open_source(options["lists"]) if options["lists"] else source
    files = source.files_by_stem((".mp3",))
    folder = f"split-{options['split']}"
    name = _LISTS[options["subset"]]
    clips = []
    for part in _PARTS:
        data, where = published_file(lists, f"{folder}/{name}-{part}.tsv", layout=DATASET.layout)
        clips += list(_clips(data, where, part=part, files=files))
    return assemble(
        DATASET,
        mixed(clips),
        labels=tuple(sorted({label for clip in clips for label in clip.labels})),
        expected=_expected(options["subset"], int(options["split"])),
        where=f"{lists.url}/{folder}",
    )


def _clips(data: bytes, where: str, *, part: str, files: Mapping[str, str]) -> Iterator[ClipRef]:
    for row in read_table(data, _FORM, where=where):
        match = _TRACK.fullmatch(row["TRACK_ID"])
        number = str(int(match["number"])) if match else ""
        # The last two digits name the folder; the smaller files are called NUMBER.low.mp3.
        if row["PATH"] != f"{number[-2:]:0>2}/{number}.mp3":
            raise row.error(f"{row['TRACK_ID']!r} and {row['PATH']!r} don't agree")
        yield _clip(row, part, file=files.get(number) or files.get(f"{number}.low"))


def _clip(row: Row, part: str, *, file: str | None) -> ClipRef:
    return ClipRef(
        id=f"mtg-jamendo/{row['TRACK_ID']}",
        file=file,
        split=part,
        labels=row.rest("TAGS", _FORM),
        group=row["ARTIST_ID"],
        duration=DurationRule(seconds=row.number("DURATION"), tolerance_seconds=_TOLERANCE_SECONDS),
        metadata={"artist": row["ARTIST_ID"], "album": row["ALBUM_ID"]},
    )


def _expected(subset: str, split: int) -> ExpectedCounts:
    counts = dict(zip(_PARTS, _NUM_TRACKS[subset][split], strict=True))
    return ExpectedCounts(
        name=f"{subset}, split {split}", num_by_split=counts, num_classes=_NUM_CLASSES[subset]
    )


def _same(*pairs: tuple[int, int]) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(f"mtg-jamendo/track_{track:07d}" for track in pair) for pair in pairs)


DATASET = Dataset(
    name="mtg-jamendo",
    title="MTG-Jamendo",
    summary="55,525 tracks of music, 183 tags of genre, instrument, mood and theme, several each",
    num_classes=183,
    size="508 GB of MP3, or 156 GB at a lower rate",
    licence="metadata CC BY-NC-SA 4.0; each track by its artist under a Creative Commons licence "
    "(audio_licenses.txt), many of them NC or ND",
    citation="D. Bogdanov, M. Won, P. Tovstogan, A. Porter, X. Serra. The MTG-Jamendo Dataset for "
    "Automatic Music Tagging. ML4MD workshop, ICML 2019",
    homepage="https://github.com/MTG/mtg-jamendo-dataset",
    how_to_get="clone the repository for the lists, and download the 100 tars of raw_30s, audio "
    "or audio-low; no registration. The tars are read as they are: don't unpack them",
    layout="raw_30s_audio-00.tar to -99.tar, or raw_30s_audio-low-00.tar to -99.tar,\n"
    "or unpacked: <last two digits>/<number>.mp3 (or .low.mp3) anywhere below\n"
    "split-0/autotagging-train.tsv, ... of the repository's data/splits, there or where "
    "--lists says",
    read=_read,
    options=(
        Option(
            name="subset",
            help="which tags, and the tracks that have one of them",
            choices=tuple(_LISTS),
            default="all",
        ),
        Option(
            name="split",
            help="which of the five official splits; papers use 0",
            choices=("0", "1", "2", "3", "4"),
            default="0",
        ),
        Option(
            name="lists",
            help="clone of the repository, if its lists are not in the source",
            metavar="DIR",
        ),
    ),
    expected=tuple(_expected(subset, 0) for subset in _LISTS),
    targets={"artist": "id of the artist", "album": "id of the album"},
    faults=(
        "990 of the 55,701 tracks of raw_30s are in 465 sets of identical files, many of them "
        "with different tags (issue 52 of the repository)",
        "moodtheme has 59 tags in the file of the subset, 56 of which are in the splits",
        "five tracks last more than an hour, which is refused as too long",
        "the lists say 00/1009600.mp3 of what is called 00/1009600.low.mp3 at the lower rate",
    ),
    leaks=(
        KnownLeak(
            what="10 pairs of identical moodtheme tracks are in two parts of one or more splits",
            clips=_same(
                *((17146, 24836), (17148, 24835), (17155, 24837), (897105, 897135)),
                *((482263, 1061369), (482266, 1061377), (482267, 1294749)),
                *((482275, 1061376), (482274, 1061375), (481862, 1061372)),
            ),
        ),
    ),
)
