"""GTZAN (Tzanetakis 2002): 1,000 excerpts of 30 s in ten genres, and the splits it is used with.

The set has no split of its own, and faults: recordings that are there twice, wrong labels, noise
(Sturm 2013). The lists that the field uses leave those out. They come with melstream, as the
audio's archive holds none of them.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from jobs.catalogues.catalogue import Catalogue, ClipRef, KnownLeak
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.known_leaks import leaking_groups
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble
from jobs.catalogues.tables import Row, TableForm, read_table
from jobs.sources import Source
from shardwriter.audio import DurationRule

GENRES: Final = (
    *("blues", "classical", "country", "disco", "hiphop"),
    *("jazz", "metal", "pop", "reggae", "rock"),
)
_EXCERPT = re.compile(
    rf"(?:.*/)?(?P<genre>{'|'.join(GENRES)})[._](?P<number>\d{{5}})\.(?:wav|au|flac|mp3)", re.ASCII
)
_TABLE = "data/gtzan/excerpts.tsv"
_FORM = TableForm(
    columns=("excerpt", "filtered", "stratified", "fold", "artist", "repeats"),
    delimiter="\t",
    is_quoted=False,
)
_LASTS = DurationRule(seconds=30.0, tolerance_seconds=1.0)
_DISTORTED = "reggae.00086"
_EXPECTED = {
    "filtered": ExpectedCounts(
        name="filtered", num_by_split={"train": 443, "valid": 197, "test": 290}, num_classes=10
    ),
    "stratified": ExpectedCounts(
        name="stratified",
        num_by_split={"train": 500, "valid": 250, "test": 250},
        num_classes=10,
        num_each_label=100,
    ),
    "artists": ExpectedCounts(
        name="artists",
        num_by_split={"train": 948},
        num_by_fold={1: 315, 2: 316, 3: 317},
        num_classes=10,
    ),
    "none": ExpectedCounts(
        name="none", num_by_split={"train": 1000}, num_classes=10, num_each_label=100
    ),
}


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    chosen = options["split"]
    held = {
        f"{match['genre']}.{match['number']}": name
        for name in source.names()
        if (match := _EXCERPT.fullmatch(name)) and not name.rpartition("/")[2].startswith("._")
    }
    clips = [
        _clip(row, split, fold=int(row["fold"]) if chosen == "artists" else None, files=held)
        for row in _excerpts()
        if (split := _split(row, chosen))
    ]
    return assemble(
        DATASET, mixed(clips), labels=GENRES, expected=_EXPECTED[chosen], where=source.url
    )


@cache
def _excerpts() -> tuple[Row, ...]:
    data = (files("jobs.catalogues") / _TABLE).read_bytes()
    return tuple(read_table(data, _FORM, where=_TABLE))


def _split(row: Row, chosen: str) -> str:
    """Return the split of an excerpt; empty: it has no part in what was chosen."""
    if chosen == "none":
        return "train"
    if chosen == "artists":
        return "train" if row["fold"] else ""
    return row[chosen]


def _clip(row: Row, split: str, *, fold: int | None, files: Mapping[str, str]) -> ClipRef:
    return ClipRef(
        id=f"gtzan/{row['excerpt']}",
        file=files.get(row["excerpt"]),
        split=split,
        labels=(row["excerpt"].partition(".")[0],),
        fold=fold,
        group=f"artist-{row['artist']}" if row["artist"] else None,
        duration=_LASTS,
        metadata={
            "repeats": row["repeats"].split(),
            "is_distorted": row["excerpt"] == _DISTORTED,
            "is_left_out_as_faulty": not row["filtered"],
        },
    )


def _pairs(*pairs: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(f"gtzan/{name}" for name in pair.split()) for pair in pairs)


DATASET = Dataset(
    name="gtzan",
    title="GTZAN",
    summary="1,000 excerpts of 30 s, 10 genres of music; 930 of them without known faults",
    num_classes=10,
    size="1.2 GB",
    licence="not stated; the audio may not be passed on",
    citation="G. Tzanetakis, P. Cook. Musical genre classification of audio signals. IEEE Trans. "
    "Speech and Audio Processing 10(5), 2002; filtered split: C. Kereliuk, B. L. Sturm, J. Larsen. "
    "Deep Learning and Music Adversaries. IEEE Trans. Multimedia 17(11), 2015",
    homepage="http://marsyas.info/downloads/datasets.html",
    how_to_get="the published address has been dead since 2022; use a copy that you have, and "
    "check it by the checksum. Unpack it, or `gunzip` it: a plain tar is read as it is",
    layout="<genre>/<genre>.<5 digits>.wav (or .au) anywhere below, e.g. genres/blues/"
    "blues.00000.wav",
    read=_read,
    options=(
        Option(
            name="split",
            help="filtered: without known faults; stratified: all, artists mixed; artists: three "
            "folds that share no artist; none: all as train",
            choices=tuple(_EXPECTED),
            default="filtered",
        ),
    ),
    expected=tuple(_EXPECTED.values()),
    targets={
        "repeats": "excerpts of the same recording",
        "is_left_out_as_faulty": "whether the filtered split leaves it out",
        "is_distorted": "whether most of it is noise",
    },
    faults=(
        "jazz.00054 is unreadable in copies that went through Kaggle; it is in the filtered "
        "train list, which then has 442",
        "14 pairs of files are identical; rock.00016 and metal.00058 are one recording with two "
        "labels",
        "45 recordings are there two or three times (field `repeats`)",
        "reggae.00086 is noise but for its first seconds",
        "artists are known of 948 excerpts and of those that repeat them; the others have no group",
        "some tools call the genre hiphop `hip-hop`",
    ),
    leaks=(
        KnownLeak(
            what="filtered: two artists, known from the three folds, are in two splits",
            groups=frozenset({"artist-138", "artist-201"}),
        ),
        KnownLeak(
            what="stratified: 72 artists are in two or three splits",
            groups=leaking_groups("gtzan-stratified"),
        ),
        KnownLeak(
            what="stratified: 11 pairs of identical files are in two splits",
            clips=_pairs(
                *("disco.00098 disco.00099", "hiphop.00039 hiphop.00045"),
                *("hiphop.00076 hiphop.00078", "metal.00040 metal.00061"),
                *("metal.00041 metal.00062", "metal.00042 metal.00063"),
                *("metal.00044 metal.00065", "metal.00045 metal.00066"),
                *("metal.00058 rock.00016", "pop.00054 pop.00060", "reggae.00081 reggae.00082"),
            ),
        ),
    ),
)
