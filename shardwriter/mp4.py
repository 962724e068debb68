"""Where the AAC packets of an MP4 lie, and which of their samples are heard.

FFmpeg's demuxer takes 0.75 ms to hand out the packets of 5 s one by one; read from the tables all
at once they cost a tenth of that. What is read here is what encoders write and sites serve: one
track of sound, in tables or in fragments, with one edit at most, which hides the encoder's delay
(ISO/IEC 14496-12, 8.6.6). All else, and all that is broken, is left to FFmpeg. The times are those
that FFmpeg's demuxer gives, so that a file is as long whoever reads it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shardwriter.mp4_boxes import Children, UnusualMp4Error, number, version_and_flags, walk
from shardwriter.mp4_esds import read_decoder_config
from shardwriter.mp4_fragments import read_fragments
from shardwriter.mp4_itunes import noted_delay
from shardwriter.mp4_packets import PACKET_SAMPLES, Packets, read_packets, sample_tables

_SOUND = b"soun"
_UNIT_RATE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Mp4Aac:
    """The AAC track of a file. P counts packets."""

    decoder_config: bytes
    """An AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1)."""
    time_scale_hz: int
    offsets_P: NDArray[np.int64]
    """First byte of each packet; of a file that is only a beginning, some lie beyond its end."""
    sizes_P: NDArray[np.int64]
    ends_P: NDArray[np.int64]
    """When each packet ends, in the time scale, from the beginning of the edit on."""
    num_priming_samples: int | None
    """Hidden in front, in the time scale; None where the file says nothing of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """What is heard of a track: from `start` on, in its time scale, for so long."""

    start: int
    duration: int
    """In the movie's time scale."""


def read_mp4_aac(data: bytes) -> Mp4Aac | None:
    """Read where the packets lie; None if the file has none, or anything about it is unusual.

    Takes memory in proportion to `data`.
    """
    try:
        return _read(memoryview(data))
    except UnusualMp4Error:
        return None


def _read(file: memoryview) -> Mp4Aac:
    boxes = walk(file, may_be_cut=True)
    movies = [box.content for box in boxes if box.kind == b"moov"]
    if len(movies) != 1:
        raise UnusualMp4Error(f"{len(movies)} movies")
    movie = Children(movies[0])
    track, media = _sound_track(movie)
    time_scale = _time_scale(media.one(b"mdhd"))
    tables = sample_tables(media.descend(b"minf"))
    movie_scale = _time_scale(movie.one(b"mvhd"))
    edit = _edit(track, time_scale)
    extends = movie.maybe(b"mvex")
    if extends is None:
        packets = read_packets(tables)
        if edit is not None:
            packets = _heard(packets, edit, time_scale, movie_scale)
    else:
        if number(tables.one(b"stsz"), 8) or number(tables.one(b"stts"), 4):
            raise UnusualMp4Error("packets in tables and in fragments")
        packets = read_fragments(
            [box for box in boxes if box.kind == b"moof"],
            Children(extends),
            track_id=_track_id(track.one(b"tkhd")),
        )
    start = 0 if edit is None else edit.start
    return Mp4Aac(
        decoder_config=read_decoder_config(tables.one(b"stsd")),
        time_scale_hz=time_scale,
        offsets_P=packets.offsets_P,
        sizes_P=packets.sizes_P,
        ends_P=packets.starts_P + packets.durations_P - start,
        num_priming_samples=_num_priming(movies[0], start) or None,
    )


def _sound_track(movie: Children) -> tuple[Children, Children]:
    """Return what is in the one track of sound, and in its `mdia` box."""
    tracks = [Children(box) for box in movie.all(b"trak")]
    media = [(track, track.descend(b"mdia")) for track in tracks]
    found = [both for both in media if both[1].one(b"hdlr")[8:12] == _SOUND]
    if len(found) != 1:
        raise UnusualMp4Error(f"{len(found)} tracks of sound")
    return found[0]


def _track_id(header: memoryview) -> int:
    version, _ = version_and_flags(header)
    return number(header, 20 if version == 1 else 12)


def _time_scale(header: memoryview) -> int:
    """Return the ticks per second that a movie's or a track's header states."""
    version, _ = version_and_flags(header)
    time_scale = number(header, 20 if version == 1 else 12)
    if version > 1 or not 0 < time_scale < 1 << 31:
        raise UnusualMp4Error(f"a header of version {version}, time scale {time_scale}")
    return time_scale


def _edit(track: Children, time_scale: int) -> _Edit | None:
    """Return the edit, if there is one; FFmpeg drops packets over a second before it."""
    edits = track.maybe(b"edts")
    box = None if edits is None else Children(edits).maybe(b"elst")
    if box is None:
        return None
    version, _ = version_and_flags(box)
    width = 8 if version == 1 else 4
    if version > 1 or number(box, 4) != 1 or len(box) != 8 + 2 * width + 4:
        raise UnusualMp4Error("several edits")
    duration, start = number(box, 8, width), number(box, 8 + width, width)
    if start > time_scale or number(box, 8 + 2 * width) != _UNIT_RATE:
        raise UnusualMp4Error("an edit of silence, of another speed, or one that hides much")
    return _Edit(start=start, duration=duration)


def _heard(packets: Packets, edit: _Edit, time_scale: int, movie_scale: int) -> Packets:
    """Leave out what begins behind the end of an edit, as FFmpeg does.

    The movie's time scale is often a millisecond, so the end is not exact; that of the last packet
    is.
    """
    stop = edit.start + (edit.duration * time_scale + movie_scale // 2) // movie_scale
    num_heard = int(np.searchsorted(packets.starts_P, min(stop, packets.starts_P[-1] + 1)))
    if not num_heard or packets.starts_P[num_heard - 1] < edit.start:
        raise UnusualMp4Error("an edit that hides all")
    ends_P = packets.starts_P + packets.durations_P
    num_hidden = int(np.searchsorted(ends_P, edit.start, side="right"))
    if num_hidden * PACKET_SAMPLES > edit.start:  # FFmpeg drops all samples of each
        raise UnusualMp4Error("an edit that hides packets of more samples than they last")
    return packets.first(num_heard)


def _num_priming(movie: memoryview, start: int) -> int:
    """Return the samples that the edit hides, or that iTunes notes; FFmpeg believes iTunes."""
    delay = noted_delay(movie)
    if delay is None:
        return start
    if start not in (0, delay):
        raise UnusualMp4Error("a note by iTunes that says something else than the edit")
    return delay
