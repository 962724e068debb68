"""Encoded FLAC clips → windows of int16 samples, many in one call without Python's lock.

Axes: B rows of a batch, T samples.

numba takes 0.6 s to import, and the kernel 0.7 s to load from numba's cache or some 12 s to
compile, once on a machine. That is done in the background, from the first FLAC clip on, so that
nobody who has no FLAC pays for it and no first batch waits for it; see `is_ready`.
"""

import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shardwriter.errors import ShardFormatError

_MAGIC = b"fLaC"
_STREAMINFO_END = 42
_SAMPLE_BITS = 16
CLIPS_AT_ONCE = 8
"""As many as the kernel has `LANES`; where there are fewer, lanes share a clip, at some cost."""
SLAB_TAIL_BYTES = 1024
"""What a slab (see `ClipWindow`) has behind its clips, for the kernel's padding."""
_starting = threading.Lock()


@dataclass(frozen=True, slots=True)
class SomeFrames:
    """Which frames of a clip there are, where it isn't all of it."""

    first: int
    """Number of the first; not the clip's last."""
    stop: int
    """Number of the one behind the last."""
    read_whole: Callable[[], bytes]
    """Returns the encoded file, for frames that turn out to be damaged, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipWindow:
    """An encoded mono clip, and the part of it that a row of a batch holds.

    Clips that lie in one array already, the slab, are decoded there; others are copied together.
    """

    data: bytes | memoryview
    """The encoded file; the whole one, unless `frames` says which part it is."""
    row: int
    """Where in the batch."""
    start: int
    """First sample of the window."""
    num_samples: int
    """Length of the window; it lies inside the clip and fits the row."""
    clip_num_samples: int
    """Length of the clip, as the index has it."""
    where: object
    """Says, as text, dataset, shard, key and offset, for messages."""
    slab: NDArray[np.uint8] | None = None
    """What holds `data`, and other clips; its last `SLAB_TAIL_BYTES` hold none, and change."""
    slab_start: int = 0
    """Where in the slab `data` begins."""
    frames: SomeFrames | None = None
    """Set for some frames of a FLAC file of one channel of 16 bits, all as long as the first."""

    def whole(self) -> "ClipWindow":
        """Return the same with all of the file, which is read for it."""
        if self.frames is None:
            return self
        return replace(self, data=self.frames.read_whole(), slab=None, slab_start=0, frames=None)


def is_mono_flac_16(data: bytes | memoryview) -> bool:
    """Return whether some bytes are a FLAC file of one channel of 16 bits: what is decoded here.

    Others don't occur in shards of our own, unless they hold the sources' bytes.
    """
    if data[:4] != _MAGIC or len(data) < _STREAMINFO_END:
        return False
    num_channels = (data[20] >> 1 & 7) + 1
    return num_channels == 1 and ((data[20] & 1) << 4 | data[21] >> 4) + 1 == _SAMPLE_BITS


def is_ready() -> bool:
    """Return whether `decode_flac_windows` can start at once; the first call begins to see to it.

    Until then libsndfile gives the same samples, only more slowly.
    """
    with _starting:
        return not _start_loading().is_alive()


def is_loaded() -> bool:
    """Return the same, without beginning."""
    return _start_loading.cache_info().currsize > 0 and is_ready()


@functools.cache
def _start_loading() -> threading.Thread:
    # Not a daemon: an interpreter that ends may not take away what a compiler is at work on.
    thread = threading.Thread(target=_load_kernel, name="melstream-compile")
    thread.start()
    return thread


@functools.cache
def _load_kernel() -> Any:
    """Return the compiled module, after a call without clips has had it compiled."""
    from loader import file_reads_kernel as file_reads  # what brings the frames of crops
    from loader import flac_kernel as kernel  # heavy, see above

    no_clips = np.zeros((0, kernel.WINDOW_FIELDS), np.int64)
    file_reads.read_files(
        np.zeros(0, np.uint8),
        np.zeros((0, file_reads.READ_FIELDS), np.int64),
        np.zeros(0, np.int64),
    )
    _call(kernel, _joined([kernel.PADDING]), no_clips, np.zeros((1, 1), np.int16), 1, True)
    return kernel


def decode_flac_windows(
    clips: Sequence[ClipWindow],
    wave_BT: NDArray[np.int16],
    *,
    sample_rate_hz: int,
    verify_checksums: bool,
) -> list[ClipWindow]:
    """Decode a window of each clip into the front of its row; the row's rest is set to zero.

    Frames outside the window are not decoded. Bytes of any kind are safe to pass: nothing is
    read behind them, nothing is written outside of the rows.

    Args:
        clips: 16-bit FLAC clips, at least one, each for a row of its own.
        wave_BT: The batch; contiguous.
        sample_rate_hz: Rate of the clips, as the index has it.
        verify_checksums: Whether each decoded frame's CRC-16 is checked. A header's CRC-8 is
            always, as is the CRC-16 of a frame that was found by searching for it.

    Returns:
        The clips of which there are only some frames, and these damaged or not what was expected:
        to be decoded whole.

    Raises:
        ValueError: a window doesn't fit its clip or its row.
        ShardFormatError: a clip is damaged or not what the index says; the first such one.
    """
    for clip in clips:
        _check_fits(clip, wave_BT.shape)
    for clip in clips:
        if clip.num_samples < wave_BT.shape[1]:
            wave_BT[clip.row, clip.num_samples :] = 0
    kernel = _load_kernel()
    slab, starts = _in_one_piece(kernel, clips)
    windows = [
        (
            start,
            start + len(clip.data),
            clip.start,
            clip.num_samples,
            clip.clip_num_samples,
            clip.row * wave_BT.shape[1],
            kernel.WHOLE if clip.frames is None else clip.frames.first,
            0 if clip.frames is None else clip.frames.stop,
        )
        for clip, start in zip(clips, starts, strict=True)
    ]
    reports = _call(
        kernel, slab, np.array(windows, np.int64), wave_BT, sample_rate_hz, verify_checksums
    )
    failed = []
    for clip, report in zip(clips, reports.tolist(), strict=True):
        if report[0] == kernel.OK:
            continue
        if clip.frames is None:
            problem = _describe_problem(kernel, clip, report, sample_rate_hz)
            raise ShardFormatError(f"{clip.where}: {problem}")
        failed.append(clip)
    return failed


def _call(
    kernel: Any,
    slab: NDArray[np.uint8],
    windows: NDArray[np.int64],
    wave_BT: NDArray[np.int16],
    sample_rate_hz: int,
    verify_checksums: bool,
) -> NDArray[np.int64]:
    """Run the kernel on clips and return its reports."""
    reports = np.zeros((len(windows), kernel.REPORT_FIELDS), dtype=np.int64)
    kernel.decode_windows(
        slab, windows, sample_rate_hz, wave_BT.reshape(-1), verify_checksums, reports
    )
    return reports


def _in_one_piece(kernel: Any, clips: Sequence[ClipWindow]) -> tuple[NDArray[np.uint8], list[int]]:
    """Return an array that holds all clips and ends with the padding, and where each begins."""
    slab = clips[0].slab
    if slab is None or any(clip.slab is not slab for clip in clips):
        ends = itertools.accumulate(len(clip.data) for clip in clips)
        slab = _joined([*(clip.data for clip in clips), kernel.PADDING])
        return slab, [end - len(clip.data) for clip, end in zip(clips, ends, strict=True)]
    slab[-len(kernel.PADDING) :] = np.frombuffer(kernel.PADDING, np.uint8)
    return slab, [clip.slab_start for clip in clips]


def _joined(datas: Sequence[bytes | memoryview]) -> NDArray[np.uint8]:
    # A `bytearray`, because numba compiles anew for an array that can't be written.
    return np.frombuffer(bytearray().join(datas), np.uint8)


def _check_fits(clip: ClipWindow, shape: tuple[int, ...]) -> None:
    num_rows, row_num_samples = shape
    stop = clip.start + clip.num_samples
    if clip.slab is not None and not (
        0 <= clip.slab_start <= len(clip.slab) - SLAB_TAIL_BYTES - len(clip.data)
    ):
        raise ValueError(
            f"{clip.where}: {len(clip.data)} bytes from {clip.slab_start} don't fit a slab of "
            f"{len(clip.slab)} bytes"
        )
    if not (
        0 <= clip.row < num_rows
        and 0 <= clip.start < stop <= clip.clip_num_samples
        and clip.num_samples <= row_num_samples
    ):
        raise ValueError(
            f"{clip.where}: samples {clip.start} to {stop} of {clip.clip_num_samples} don't fit "
            f"row {clip.row} of a batch of {num_rows} rows of {row_num_samples} samples"
        )


def _describe_problem(
    kernel: Any, clip: ClipWindow, report: Sequence[int], sample_rate_hz: int
) -> str:
    status, offset, *stated = report
    if status == kernel.OTHER_CLIP:
        rate, num_channels, num_samples = stated
        return describe_other_clip(
            expected=(sample_rate_hz, 1, clip.clip_num_samples),
            got=(rate, num_channels, num_samples),
        )
    reasons = {
        kernel.CUT: "the frame is cut off",
        kernel.NO_FLAC: "the FLAC metadata is damaged",
        kernel.BAD_HEADER: "no frame header with a right CRC-8 where one is due",
        kernel.BAD_SUBFRAME: "a subframe of a reserved kind",
        kernel.BAD_RESIDUAL: "residual partitions that don't fit the frame",
        kernel.BAD_CRC: "the frame's CRC-16 differs",
        kernel.BAD_ORDER: "a frame with the number of another one",
        kernel.BAD_RANGE: "samples that don't fit 16 bits",
    }
    return (
        f"can't decode the FLAC of {len(clip.data)} bytes, at byte {offset} of it: "
        f"{reasons[status]}: the audio is damaged; copy or ingest the shard again"
    )


def describe_other_clip(*, expected: tuple[int, int, int], got: tuple[int, int, int]) -> str:
    """Say that a clip is not the one of the index; each is rate, channels, samples."""
    return (
        f"expected {_describe(*expected)}, got {_describe(*got)}: "
        "index and shard are not of the same ingest; copy or ingest them again"
    )


def _describe(sample_rate_hz: int, num_channels: int, num_samples: int) -> str:
    return f"{num_samples} samples at {sample_rate_hz} Hz in {num_channels} channel(s)"
