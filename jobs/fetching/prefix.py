"""How much of the beginning of a file a clip needs, and how far a beginning reaches."""

import io

import av
import av.error

from shardwriter.audio import Cut
from shardwriter.ffmpeg_memory import bound_blocks
from shardwriter.sniff import sniff

MARGIN_SECONDS = 1.0
"""Behind the clip's end: packets overlap, and containers interleave them in clusters."""
_HEADER_BYTES = 64 << 10
"""For indices and tags in front of the audio."""
_UNKNOWN_BITRATE_BYTES = 1 << 20
_GROWTH = 1.2


def needed_seconds(cut: Cut | None) -> float | None:
    """Return how many seconds from the file's beginning must be there; None for all of it."""
    if cut is None or cut.stop_seconds is None:
        return None
    return cut.stop_seconds + MARGIN_SECONDS


def first_num_bytes(seconds: float, *, kbit_per_second: float | None) -> int:
    """Return how many bytes to ask for at first.

    Args:
        seconds: That must be in them.
        kbit_per_second: Mean rate of the whole file, if it is known.
    """
    if not kbit_per_second:
        return _UNKNOWN_BITRATE_BYTES
    return _HEADER_BYTES + int(seconds * kbit_per_second * 1000 / 8)


def next_num_bytes(data: bytes, *, seconds: float, reached: float) -> int:
    """Return how many bytes to have next, where those that are there don't reach far enough.

    Args:
        data: The bytes that are there.
        seconds: That must be in them.
        reached: Seconds that are in them.
    """
    if not reached:
        return 2 * len(data)
    # At least a fifth more, so that files of a rising rate take few rounds; at most ten times.
    factor = min(max(seconds / reached, 1.0) * _GROWTH, 10.0)
    return int(len(data) * factor) + _HEADER_BYTES


def reached_seconds(data: bytes) -> float:
    """Return up to what time the beginning of a file holds whole packets of audio; 0 for none.

    Nothing is decoded. A file whose index comes last tells nothing before it is whole.
    """
    container = sniff(data)
    if container is None or container.demuxer is None:
        return 0.0
    end = 0.0
    bound_blocks()
    try:
        with av.open(io.BytesIO(data), "r", format=container.demuxer) as opened:
            if not opened.streams.audio:
                return 0.0
            for packet in opened.demux(opened.streams.audio[0]):
                if packet.is_corrupt:
                    break
                if packet.size and packet.pts is not None and packet.time_base is not None:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
    except av.error.FFmpegError:
        return end  # where the beginning breaks off
    return end
