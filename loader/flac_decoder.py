"""Encoded FLAC clips → windows of int16 samples, many in one call without Python's lock.

Axes: B rows of a batch, T samples.

numba takes 0.6 s to import, and the kernel 0.7 s to load from numba's cache or some 12 s to
compile, once on a machine. That is done in the background, from the first FLAC clip on, so that
nobody who has no FLAC pays for it and no first batch waits for it; see `is_ready`.
"""

import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shardwriter.errors import ShardFormatError

_MAGIC = b"fLaC"
_STREAMINFO_END = 42
_SAMPLE_BITS = 16
CLIPS_AT_ONCE = 8
"""Fewer clips in a call take nearly as long as this many: the kernel's `LANES`."""
_starting = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipWindow:
    """An encoded mono clip, and the part of it that a row of a batch holds."""

    data: bytes
    """The whole encoded file."""
    row: int
    """Where in the batch."""
    start: int
    """First sample of the window."""
    num_samples: int
    """Length of the window; it lies inside the clip and fits the row."""
    clip_num_samples: int
    """Length of the clip, as the index has it."""
    where: str
    """Dataset, shard, key and offset, for messages."""


def is_flac_16(data: bytes) -> bool:
    """Return whether some bytes are a FLAC file of 16-bit samples, which is what is decoded here.

    Others (8, 12, 20 and 24 bits, which libsndfile scales) don't occur in shards of our own.
    """
    if data[:4] != _MAGIC or len(data) < _STREAMINFO_END:
        return False
    return ((data[20] & 1) << 4 | data[21] >> 4) + 1 == _SAMPLE_BITS


def is_ready() -> bool:
    """Return whether `decode_flac_windows` can start at once; the first call begins to see to it.

    Until then libsndfile gives the same samples, only more slowly.
    """
    with _starting:
        return not _start_loading().is_alive()


@functools.cache
def _start_loading() -> threading.Thread:
    # Not a daemon: an interpreter that ends may not take away what a compiler is at work on.
    thread = threading.Thread(target=_load_kernel, name="melstream-compile")
    thread.start()
    return thread


@functools.cache
def _load_kernel() -> Any:
    """Return the compiled module, after a call without clips has had it compiled."""
    from loader import flac_kernel as kernel  # heavy, see above

    _call(kernel, [], [], np.zeros((1, 1), np.int16), 1, True)
    return kernel


def decode_flac_windows(
    clips: Sequence[ClipWindow],
    wave_BT: NDArray[np.int16],
    *,
    sample_rate_hz: int,
    verify_checksums: bool,
) -> None:
    """Decode a window of each clip into the front of its row; the row's rest is set to zero.

    Frames outside the window are not decoded. Bytes of any kind are safe to pass: nothing is
    read behind them, nothing is written outside of the rows.

    Args:
        clips: 16-bit FLAC clips, at least one, each for a row of its own.
        wave_BT: The batch; contiguous.
        sample_rate_hz: Rate of the clips, as the index has it.
        verify_checksums: Whether each decoded frame's CRC-16 is checked. A header's CRC-8 is
            always, as is the CRC-16 of a frame that was found by searching for it.

    Raises:
        ValueError: a window doesn't fit its clip or its row.
        ShardFormatError: a clip is damaged or not what the index says; the first such one.
    """
    for clip in clips:
        _check_fits(clip, wave_BT.shape)
    for clip in clips:
        wave_BT[clip.row, clip.num_samples :] = 0
    kernel = _load_kernel()

    def decode(some: Sequence[ClipWindow], copied: Sequence[ClipWindow]) -> list[list[int]]:
        return _call(kernel, some, copied, wave_BT, sample_rate_hz, verify_checksums)

    # A clip is read where it lies, if its last bytes aren't needed; else from a copy.
    reports = decode(clips, [clip for clip in clips if _reaches_end(clip)])
    for number, clip in enumerate(clips):
        if reports[number][0] != kernel.OK and not _reaches_end(clip):
            reports[number] = decode([clip], [clip])[0]
        if reports[number][0] != kernel.OK:
            problem = _describe_problem(kernel, clip, reports[number], sample_rate_hz)
            raise ShardFormatError(f"{clip.where}: {problem}")


def _reaches_end(clip: ClipWindow) -> bool:
    return clip.start + clip.num_samples == clip.clip_num_samples


def _call(
    kernel: Any,
    clips: Sequence[ClipWindow],
    copied: Sequence[ClipWindow],
    wave_BT: NDArray[np.int16],
    sample_rate_hz: int,
    verify_checksums: bool,
) -> list[list[int]]:
    """Run the kernel on clips, copies of some of them, and return its reports."""
    padding = _joined([*(clip.data for clip in copied), kernel.PADDING])
    places, at = {}, padding.ctypes.data
    for clip in copied:
        places[clip.row] = at, at + len(clip.data)
        at += len(clip.data)
    for clip in clips:
        if clip.row not in places:
            begin = np.frombuffer(clip.data, np.uint8).ctypes.data
            # The kernel reads some bytes behind what it takes for the clip's end.
            places[clip.row] = begin, begin + max(len(clip.data) - kernel.READ_BEHIND, 0)
    base = min([at, *(begin for begin, _ in places.values())])
    last = max([at + len(kernel.PADDING), *(end for _, end in places.values())])
    windows = [
        (
            places[clip.row][0] - base,
            places[clip.row][1] - base,
            clip.start,
            clip.num_samples,
            clip.clip_num_samples,
            clip.row * wave_BT.shape[1],
        )
        for clip in clips
    ]
    reports = np.zeros((len(clips), kernel.REPORT_FIELDS), dtype=np.int64)
    kernel.decode_windows(
        base,
        last + kernel.READ_BEHIND - base,
        at - base,
        np.array(windows, np.int64).reshape(-1, kernel.WINDOW_FIELDS),
        sample_rate_hz,
        wave_BT.reshape(-1),
        verify_checksums,
        reports,
    )
    as_lists: list[list[int]] = reports.tolist()
    return as_lists


def _joined(datas: Sequence[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(datas), np.uint8)


def _check_fits(clip: ClipWindow, shape: tuple[int, ...]) -> None:
    num_rows, row_num_samples = shape
    stop = clip.start + clip.num_samples
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
    if expected[0] == got[0] and expected[2] == got[2]:
        return (
            f"expected one channel, got {got[1]}: the loader takes mono audio; ingest the dataset, "
            "which mixes its clips down"
        )
    return (
        f"expected {_describe(*expected)}, got {_describe(*got)}: "
        "index and shard are not of the same ingest; copy or ingest them again"
    )


def _describe(sample_rate_hz: int, num_channels: int, num_samples: int) -> str:
    return f"{num_samples} samples at {sample_rate_hz} Hz in {num_channels} channel(s)"
