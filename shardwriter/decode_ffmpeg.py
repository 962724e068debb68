"""Decoding with FFmpeg's libraries, through PyAV."""

import io
from fractions import Fraction
from typing import Any

import av
import av.error

from shardwriter.decoded import Decoded
from shardwriter.errors import AudioError
from shardwriter.ffmpeg_frames import FrameMixer, is_readable
from shardwriter.ffmpeg_memory import bound_blocks
from shardwriter.mixdown import DecodeRules, Mixdown
from shardwriter.schema import RejectionReason
from shardwriter.sniff import Container

DECODER = "FFmpeg libavcodec {}.{}.{}".format(*av.library_versions["libavcodec"])

_OPTIONS = {"probesize": "32768"}  # FFmpeg's default probing costs 10 ms a WAV and more
_OPTIONS_WITHOUT_PROBING = _OPTIONS | {"codec_whitelist": "none"}
"""Keeps FFmpeg from opening a decoder, and decoding a packet, only to learn the codec's shape: 0.25
of the 3 ms that 5 s of AAC take. The list holds for that try alone, not for our decoder."""
_STATE_SHAPE = frozenset({"mov", "matroska"})
"""Demuxers of containers that tell rate and channels themselves."""
_MIN_FRAME_SAMPLES = 960
"""Of 20 ms at 48 kHz, for Opus: FFmpeg states no frame size for it."""


def decode_with_ffmpeg(
    data: bytes, container: Container, *, file: str, rules: DecodeRules
) -> Decoded:
    """Decode the first audio stream of a file.

    Raises:
        AudioError: FFmpeg refuses the file, at its beginning (`UNREADABLE`) or further on
            (`CORRUPT`), or it is not whole or not in bounds.
    """
    if container.demuxer is None:
        raise AudioError(RejectionReason.UNREADABLE, f"{file}: FFmpeg does not read it")
    bound_blocks()
    try:
        with av.open(
            io.BytesIO(data),
            "r",
            format=container.demuxer,
            options=(_OPTIONS_WITHOUT_PROBING if container.demuxer in _STATE_SHAPE else _OPTIONS),
            metadata_errors="ignore",  # a mangled tag is no reason to lose a clip
        ) as opened:
            if not opened.streams.audio or opened.streams.audio[0].codec_context is None:
                raise AudioError(
                    RejectionReason.UNREADABLE, f"{file} has no audio stream that FFmpeg decodes"
                )
            return _StreamReader(opened, file=file, rules=rules).read()
    except av.error.FFmpegError as err:
        raise AudioError(
            RejectionReason.UNREADABLE, f"{file}: FFmpeg says: {err.strerror}"
        ) from err


class _StreamReader:
    """Reads one stream to its end, or to the end of the cut."""

    def __init__(
        self, opened: av.container.InputContainer, *, file: str, rules: DecodeRules
    ) -> None:
        self._opened = opened
        self._file = file
        self._rules = rules
        self._stream = opened.streams.audio[0]
        self._stream.codec_context.thread_count = 1  # clips are many and short
        self._mixer: FrameMixer | None = None
        self._shape: tuple[int, int, str] | None = None
        self._num_priming_samples: int | None = 0
        self._num_packets = 0
        self._end_pts: int | None = None

    def read(self) -> Decoded:
        try:
            self._read_packets()
        except av.error.FFmpegError as err:
            raise AudioError(
                RejectionReason.CORRUPT if self._mixer else RejectionReason.UNREADABLE,
                f"{self._file}: FFmpeg says after {self._num_packets} packets: {err.strerror}",
            ) from err
        mixer = self._mixer
        if mixer is None or not mixer.mixdown.is_full:
            self._check_whole()
        if mixer is None:
            raise AudioError(RejectionReason.EMPTY, f"{self._file} has no samples")
        mixdown, wave_T = mixer.mixdown, mixer.finish()
        return Decoded(
            wave_T=wave_T[: max(self._stop(mixdown) - mixdown.start, 0)],
            sample_rate_hz=mixdown.sample_rate_hz,
            num_channels=mixdown.num_channels,
            start_sample=mixdown.start,
            codec=self._stream.codec_context.name,
            decoder=DECODER,
            num_priming_samples=self._num_priming_samples,
        )

    def _read_packets(self) -> None:
        for packet in self._opened.demux(self._stream):
            if packet.size:
                self._note(packet)
            for frame in packet.decode():
                self._add(frame)
            if self._mixer is not None and self._mixer.mixdown.is_full:
                return
        if self._mixer is not None:
            self._mixer.flush()

    def _note(self, packet: "av.Packet[Any]") -> None:
        if packet.is_corrupt:
            raise AudioError(
                RejectionReason.TRUNCATED,
                f"{self._file}: packet {self._num_packets} is cut or damaged",
            )
        if not self._num_packets:
            self._num_priming_samples = self._priming(packet)
        self._num_packets += 1
        if packet.pts is not None and packet.duration:
            self._end_pts = packet.pts + packet.duration

    def _priming(self, packet: "av.Packet[Any]") -> int | None:
        if packet.has_sidedata("skip_samples"):
            skip = bytes(packet.get_sidedata("skip_samples"))
            return int.from_bytes(skip[:4], "little")
        # Every AAC encoder has a delay; MP4 in fragments, as sites stream it, and ADTS hide it.
        return None if self._stream.codec_context.name == "aac" else 0

    def _add(self, frame: av.AudioFrame) -> None:
        shape = (frame.sample_rate, frame.layout.nb_channels, frame.format.name)
        if self._mixer is None or shape != self._shape:
            self._mixer = self._begin(shape)
        self._mixer.add(frame)

    def _begin(self, shape: tuple[int, int, str]) -> FrameMixer:
        """Take the shape of the first frame; another one later on is not read."""
        sample_rate_hz, num_channels, sample_format = shape
        if self._mixer is not None:
            self._mixer.flush()
            raise AudioError(
                RejectionReason.UNSUPPORTED,
                f"{self._file} changes from (rate, channels, format) {self._shape} to {shape} "
                f"at sample {self._mixer.mixdown.position}",
            )
        if not is_readable(sample_format):
            raise AudioError(
                RejectionReason.UNSUPPORTED, f"{self._file} decodes to {sample_format}"
            )
        self._shape = shape
        mixdown = Mixdown(
            self._rules, file=self._file, sample_rate_hz=sample_rate_hz, num_channels=num_channels
        )
        return FrameMixer(mixdown, sample_format=sample_format)

    def _check_whole(self) -> None:
        """Count packets where the container lists them (MP4), as a cut file lacks the last.

        FFmpeg leaves out those that begin behind the end of an edit, which is often rounded.
        """
        promised, heard = self._stream.frames, self._stream.duration
        if not self._opened.format.name.startswith("mov") or self._num_packets >= promised:
            return
        if self._end_pts is None or heard is None or self._end_pts < heard:
            raise AudioError(
                RejectionReason.TRUNCATED,
                f"{self._file} lists {promised} packets and holds {self._num_packets}",
            )

    def _stop(self, mixdown: Mixdown) -> int:
        """Return the sample at which the padding of the last packet begins.

        MP4 tells it by the duration of its last packet; FFmpeg decodes the whole packet.
        """
        stream = self._stream
        if self._end_pts is None or stream.time_base != Fraction(1, mixdown.sample_rate_hz):
            return mixdown.position
        surplus = mixdown.position - self._end_pts
        longest = max(stream.codec_context.frame_size, _MIN_FRAME_SAMPLES)
        return self._end_pts if 0 < surplus < longest else mixdown.position
