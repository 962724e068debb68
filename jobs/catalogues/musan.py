"""MUSAN (Snyder 2015): 109 hours of music, noise and speech, to be mixed into other audio.

There is no task and no split in it: a split is a kind, so that a loader opens one of them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble, indented
from jobs.catalogues.tables import table_error
from jobs.sources import Source
from shardwriter.errors import ConfigError

_KINDS = ("music", "noise", "speech")
_FILE = re.compile(
    r"(?:.*/)?(?P<path>(?P<kind>music|noise|speech)/(?P<origin>[a-z-]+)/"
    # The origin may be short here: fma-western-art/music-fma-wa-0001.
    r"(?P<name>(?P=kind)-[a-z-]+-(?P<number>\d{4})))\.wav",
    re.ASCII,
)
_EXPECTED = ExpectedCounts(
    name="MUSAN",
    num_by_split={"music": 660, "noise": 930, "speech": 426},
    num_classes=len(_KINDS),
)
# The noises of noise/free-sound that go on evenly, by the list of pyannote.db.musan 1.0 (MIT).
_BACKGROUND_NOISES = frozenset(
    {
        *(30, 31, 50, 55, 59, 64, 86, 110, 145, 184, 230, 231, 232, 234, 248, 263, 275, 280, 333),
        *(335, 370, 371, 430, 431, 441, 489, 492, 494, 667, 671, 758, 780, 781, 824, 840, 841, 842),
    }
)


_VOCALS = {"Y": True, "N": False}


@dataclass(frozen=True, slots=True)
class _Piece:
    """What ANNOTATIONS says of a piece of music."""

    genres: list[str]
    has_vocals: bool | None
    musician: str


def _read(source: Source, _options: Mapping[str, str]) -> Catalogue:
    matches = [match for name in source.names() if (match := _FILE.fullmatch(name))]
    if not matches:
        unread = "".join(f"\n  not opened: {archive}" for archive in source.unread)
        raise ConfigError(
            f"{source.url} holds no file of MUSAN; expected{unread}\n{indented(DATASET.layout)}"
        )
    pieces = dict(_pieces(source))
    catalogue = assemble(
        DATASET,
        mixed(_clip(match, pieces.get(match["name"])) for match in matches),
        labels=_KINDS,
        expected=_EXPECTED,
        where=source.url,
    )
    num_unknown = sum(match["kind"] == "music" and match["name"] not in pieces for match in matches)
    if not num_unknown:
        return catalogue
    warning = (
        f"{num_unknown:,} pieces of music are in no ANNOTATIONS file: genre, vocals and musician "
        "are not known of them"
    )
    return replace(catalogue, warnings=(warning,))


def _pieces(source: Source) -> Iterator[tuple[str, _Piece]]:
    """Yield what the ANNOTATIONS of the folders of music say; fields behind the musician vary."""
    for file in source.names():
        if not re.fullmatch(r"(?:.*/)?music/[a-z-]+/ANNOTATIONS", file):
            continue
        where = f"{source.url}/{file}"
        lines = source.read(file).decode("utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            name, genres, vocals, musician, *_ = [*line.split(), "", "", "", ""]
            if not name:
                continue
            if not name.startswith("music-") or not genres:
                problem = f"{line[:100]!r} is not NAME GENRES Y|N MUSICIAN"
                raise table_error(where, problem, line=number)
            yield name, _Piece(genres.split(","), _VOCALS.get(vocals), musician)


def _clip(match: re.Match[str], piece: _Piece | None) -> ClipRef:
    kind, origin = match["kind"], match["origin"]
    metadata: dict[str, object] = {"origin": origin}
    if piece is not None:
        metadata |= {
            "genres": piece.genres,
            "has_vocals": piece.has_vocals,
            "musician": piece.musician,
        }
    if kind == "noise":
        number = int(match["number"])
        metadata["is_background"] = origin == "free-sound" and number in _BACKGROUND_NOISES
    return ClipRef(
        id=f"{DATASET.name}/{match['path']}",
        file=match.string,
        split=kind,
        labels=(kind,),
        group=f"{origin}/{piece.musician}" if piece and piece.musician else match["name"],
        metadata=metadata,
    )


DATASET = Dataset(
    name="musan",
    title="MUSAN",
    summary="2,016 recordings of music, noise and speech, 109 hours, to mix into other audio",
    num_classes=len(_KINDS),
    size="11 GB",
    licence="MUSAN by D. Snyder et al.: CC BY 4.0; each file CC BY or public domain, by the "
    "LICENSE file beside it",
    citation="D. Snyder, G. Chen, D. Povey. MUSAN: A Music, Speech, and Noise Corpus. "
    "arXiv:1510.08484, 2015",
    homepage="https://www.openslr.org/17/",
    how_to_get="download the tar.gz; no registration",
    layout="musan/music/{ORIGIN}/music-{ORIGIN}-{NNNN}.wav and ANNOTATIONS\n"
    "musan/noise/{ORIGIN}/noise-{ORIGIN}-{NNNN}.wav\n"
    "musan/speech/{ORIGIN}/speech-{ORIGIN}-{NNNN}.wav",
    read=_read,
    expected=(_EXPECTED,),
    targets={
        "origin": "where it comes from: fma, free-sound, librivox ...",
        "genres": "of music",
        "has_vocals": "of music; Kaldi leaves out what has, when it mixes music into speech",
        "musician": "of music",
        "is_background": "of noise: whether it goes on evenly (37 of 930)",
    },
    faults=(
        "the splits are the three kinds: music, noise, speech",
        "the 843 noises of free-sound are those of RIRS_NOISES, too: don't count them twice",
        "recordings last from a second to many minutes",
    ),
)
