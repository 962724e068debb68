"""The packets around a clip, taken out of a long file into a small one of the same kind.

Nothing is decoded: packets are copied from `PRE_ROLL_SECONDS` before the clip to its end, and where
the small file begins is counted in samples. So cutting the decoded small file gives the samples
that decoding the long one from its beginning gives. That holds to the bit once a decoder has
forgotten what came before: AAC needs one packet; Opus, measured, 0.3 s to come within a step of
16 bits and 0.6 s to come to equal floats. One thing stays: noise that AAC codes as noise (PNS) is
drawn anew each time.

The count comes from the packets' times, so these must be exact. MP4 counts in samples. Matroska
rounds to milliseconds, but every Opus packet lasts a multiple of 2.5 ms (RFC 6716, section 2.1.4).
Of other files no excerpt is taken.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
import av.error

from shardwriter.audio import Cut
from shardwriter.ffmpeg_memory import bound_blocks
from shardwriter.sniff import MATROSKA, MP4, Container, sniff

PRE_ROLL_SECONDS: Final = 1.0
"""Decoded before the clip. RFC 7845, section 4.6, asks for 80 ms at least for Opus."""
POST_ROLL_SECONDS: Final = 0.25
_OPUS_STEP_SAMPLES: Final = 120
_ROUNDING_SAMPLES: Final = 48
"""1 ms: Matroska rounds the time of a packet and the encoder's delay, by half of that at most."""
_OPTIONS: Final = {"probesize": "32768"}  # as the decoder has it: no more is read than is needed
_FORMS: Final[dict[Container, tuple[str, dict[str, str]]]] = {
    # Without an edit list, which would hide the first packets; without random ids.
    MP4: ("mp4", {"movflags": "empty_moov+default_base_moof", "use_editlist": "0"}),
    MATROSKA: ("matroska", {"fflags": "+bitexact"}),
}


class NoExcerptError(Exception):
    """The file's packets don't tell exactly where they lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A small file that holds a clip."""

    data: bytes
    cut: Cut
    """Where the clip is in it."""
    first_sample: int
    """The sample of the long file that is this one's first; negative within what an edit list
    hides."""


def take_excerpt(file: io.RawIOBase | io.BytesIO, *, head: bytes, cut: Cut) -> Excerpt:
    """Copy the packets that hold a clip.

    Args:
        file: The long file; what is not needed of it is not read.
        head: Its first bytes.
        cut: The clip; it has an end.

    Raises:
        NoExcerptError: the file is of a kind without exact times, has no index or a gap, or FFmpeg
            refuses it.
    """
    container = sniff(head)
    if container is None or container not in _FORMS or cut.stop_seconds is None:
        raise NoExcerptError(f"no excerpts of {container.name if container else 'such files'}")
    bound_blocks()
    try:
        with av.open(
            file, "r", format=container.demuxer, options=_OPTIONS, metadata_errors="ignore"
        ) as opened:
            if not opened.streams.audio or not _has_rate(opened.streams.audio[0]):
                raise NoExcerptError("no audio stream that FFmpeg decodes")
            return _copy(opened, container, cut)
    except av.error.FFmpegError as err:
        raise NoExcerptError(f"FFmpeg says: {err.strerror}") from err


def _has_rate(stream: av.AudioStream) -> bool:
    # A codec that FFmpeg doesn't know has no context, whatever the type says.
    context: av.AudioCodecContext | None = stream.codec_context
    return context is not None and context.sample_rate > 0


def _copy(opened: av.container.InputContainer, container: Container, cut: Cut) -> Excerpt:
    stream = opened.streams.audio[0]
    rate = stream.codec_context.sample_rate
    first = next(_packets(opened, stream), None)
    if first is None or first.pts is None:
        raise NoExcerptError("no packet with a time")
    num_hidden = _num_skipped(first)
    ruler = _Ruler(stream, origin=first.pts, num_hidden=num_hidden)
    start, stop = round(cut.start_seconds * rate), round((cut.stop_seconds or 0.0) * rate)
    # Samples count from the first that is heard, packets from the first that is there.
    wanted = range(
        num_hidden + start - round(PRE_ROLL_SECONDS * rate),
        num_hidden + stop + round(POST_ROLL_SECONDS * rate),
    )
    opened.seek(max(ruler.time_of(wanted.start), first.pts), stream=stream)
    data, begin = _remux(_packets(opened, stream), stream, container, ruler, wanted)
    first_sample = begin + _hidden_in(data, container) - num_hidden
    if first_sample > start:
        raise NoExcerptError(f"the packets begin at sample {first_sample}, the clip at {start}")
    return Excerpt(
        data=data,
        # Divided by the rate: the decoder multiplies, and comes to the same integers.
        cut=Cut(
            start_seconds=(start - first_sample) / rate, stop_seconds=(stop - first_sample) / rate
        ),
        first_sample=first_sample,
    )


class _Ruler:
    """Tells at which sample a packet begins, counted from the first packet's first sample."""

    def __init__(self, stream: av.AudioStream, *, origin: int, num_hidden: int) -> None:
        context = stream.codec_context
        if stream.time_base is None:
            raise NoExcerptError("no time base")
        self._samples_per_tick = stream.time_base * context.sample_rate
        self._num_hidden = num_hidden
        self._step = self._step_of(context.codec.canonical_name, str(context.profile))
        self._origin = 0
        self._origin = self.begin_of(origin)

    def _step_of(self, codec: str, profile: str) -> int:
        if codec == "opus":
            return _OPUS_STEP_SAMPLES
        if codec == "aac" and profile == "LC" and self._samples_per_tick == 1:
            return 1
        raise NoExcerptError(f"times of {codec} ({profile}) are not exact")

    def begin_of(self, pts: int) -> int:
        """Return the sample of a time, on the grid that packets keep to."""
        exact = pts * self._samples_per_tick + self._num_hidden
        begin = round(exact / self._step) * self._step
        if abs(exact - begin) > _ROUNDING_SAMPLES:
            raise NoExcerptError(f"a packet at {float(exact):.1f} samples is off the grid")
        return begin - self._origin

    def time_of(self, sample: int) -> int:
        """Return the time at or before a sample."""
        return int(Fraction(sample + self._origin - self._num_hidden) // self._samples_per_tick)

    def length_of(self, packet: "av.Packet[Any]") -> int:
        """Return how many samples a packet decodes to."""
        exact = (packet.duration or 0) * self._samples_per_tick
        return round(exact / self._step) * self._step


def _remux(
    packets: "Iterator[av.Packet[Any]]",
    stream: av.AudioStream,
    container: Container,
    ruler: _Ruler,
    wanted: range,
) -> tuple[bytes, int]:
    """Return a file of the packets that touch the wanted samples, and where the first begins."""
    name, options = _FORMS[container]
    sink = io.BytesIO()
    begin: int | None = None
    end = first_pts = 0
    with av.open(sink, "w", format=name, options=options) as out:
        copied = out.add_stream_from_template(stream)
        for packet in packets:
            if packet.is_corrupt or packet.pts is None:
                raise NoExcerptError("a damaged packet")
            at = ruler.begin_of(packet.pts)
            if at >= wanted.stop:
                break
            length = ruler.length_of(packet)
            if at + length <= wanted.start:
                continue
            if begin is None:
                begin, end, first_pts = at, at, packet.pts
            if at != end:
                raise NoExcerptError(
                    f"a packet begins at sample {at}, the one before ends at {end}"
                )
            end = at + length
            packet.pts -= first_pts
            packet.dts = packet.pts
            packet.stream = copied
            out.mux(packet)
    if begin is None:
        raise NoExcerptError("no packet of the clip")
    return sink.getvalue(), begin


def _packets(
    opened: av.container.InputContainer, stream: av.AudioStream
) -> "Iterator[av.Packet[Any]]":
    return (packet for packet in opened.demux(stream) if packet.size)


def _hidden_in(data: bytes, container: Container) -> int:
    """Return how many samples a decoder leaves out in front of a file."""
    with av.open(io.BytesIO(data), "r", format=container.demuxer, options=_OPTIONS) as opened:
        stream = opened.streams.audio[0]
        return _num_skipped(next(_packets(opened, stream)))


def _num_skipped(packet: "av.Packet[Any]") -> int:
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")
