"""Encoded FLAC clips → windows of int16 samples, many in one call without Python's lock.

Axes: B rows of a batch, T samples.

numba takes 0.6 s to import, and the kernel 0.7 s to load from numba's cache or some 12 s to
compile, once on a machine. That is done in the background, by who has met FLAC clips, so that
nobody who has none pays for it; and not before the first batch is there, which it would slow down
(0.3 s instead of 0.5 to 1.2), as Python's lock is taken most of that time; see `begin_loading`.
"""

import functools
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loader.encoded_clips import TAIL_BYTES, WHOLE, ClipWindow, EncodedClips
from shardwriter.errors import ShardFormatError

_STREAMINFO_END = 42
# The magic number; 4 bits of the rate, 3 of channels - 1, 5 of bits - 1, 4 of the length.
_TELLING_BYTES = np.array([0, 1, 2, 3, 20, 21])
_TELLING_BITS = np.array([0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0xF0], np.uint8)
_MONO_FLAC_16 = np.array([*b"fLaC", 0x00, 0xF0], np.uint8)
CLIPS_AT_ONCE = 8
"""As many as the kernel has `LANES`; where there are fewer, lanes share a clip, at some cost."""
_starting = threading.Lock()
_is_wanted = threading.Event()


def are_mono_flac_16(clips: EncodedClips) -> NDArray[np.bool_]:
    """Return which clips are FLAC files of one channel of 16 bits, or frames of such ones.

    That is what is decoded here. Others don't occur in shards of our own, unless they hold the
    sources' bytes.
    """
    # Behind the last clip there is more memory than that.
    heads = clips.memory[clips.begin_P[:, None] + _TELLING_BYTES] & _TELLING_BITS
    is_flac_P: NDArray[np.bool_] = (heads == _MONO_FLAC_16).all(axis=1)
    is_flac_P &= clips.num_bytes_P >= _STREAMINFO_END
    is_flac_P |= clips.first_frame_P != WHOLE
    return is_flac_P


def is_ready() -> bool:
    """Return whether `decode_flac` can start at once.

    Until then libsndfile gives the same samples, only more slowly.
    """
    return _start_loading.cache_info().currsize > 0 and not _start_loading().is_alive()


def want() -> None:
    """Note that there are clips to decode."""
    _is_wanted.set()


def begin_loading() -> None:
    """Load the kernel in the background, once there was a clip for it."""
    if _is_wanted.is_set() and not is_ready():
        with _starting:
            _start_loading()


def wait_until_ready() -> None:
    """Load the kernel; the first time on a machine it is compiled, which takes seconds."""
    with _starting:
        thread = _start_loading()
    thread.join()


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
    memory = np.frombuffer(bytearray(kernel.PADDING), np.uint8)
    _call(kernel, memory, no_clips, np.zeros((1, 1), np.int16), 1, True)
    return kernel


def decode_flac(
    clips: EncodedClips,
    wave_BT: NDArray[np.int16],
    *,
    sample_rate_hz: int,
    verify_checksums: bool,
) -> NDArray[np.int64]:
    """Decode a window of each clip into the front of its row; the row's rest is set to zero.

    Frames outside the window are not decoded. Bytes of any kind are safe to pass: nothing is
    read behind them, nothing is written outside of the rows.

    Args:
        clips: 16-bit FLAC clips of one channel, at least one.
        wave_BT: The batch; contiguous.
        sample_rate_hz: Rate of the clips, as the index has it.
        verify_checksums: Whether each decoded frame's CRC-16 is checked. A header's CRC-8 is
            always, as is the CRC-16 of a frame that was found by searching for it.

    Returns:
        Which clips there are only some frames of, and these damaged or not what was expected: they
        are to be decoded whole.

    Raises:
        ValueError: a window doesn't fit its clip or its row, or a clip the memory.
        ShardFormatError: a clip is damaged or not what the index says; the first such one.
    """
    _check_fit(clips, wave_BT.shape)
    row_num_samples = wave_BT.shape[1]
    for number in np.flatnonzero(clips.num_samples_P < row_num_samples):
        wave_BT[clips.row_P[number], clips.num_samples_P[number] :] = 0
    kernel = _load_kernel()
    clips.memory[-len(kernel.PADDING) :] = np.frombuffer(kernel.PADDING, np.uint8)
    windows = np.empty((len(clips), kernel.WINDOW_FIELDS), np.int64)
    windows[:, kernel.BEGIN] = clips.begin_P
    windows[:, kernel.END] = clips.begin_P + clips.num_bytes_P
    windows[:, kernel.START] = clips.start_P
    windows[:, kernel.NUM] = clips.num_samples_P
    windows[:, kernel.CLIP] = clips.clip_num_samples_P
    windows[:, kernel.OUT] = clips.row_P * row_num_samples
    windows[:, kernel.FRAME] = clips.first_frame_P
    windows[:, kernel.STOP_FRAME] = clips.stop_frame_P
    reports = _call(kernel, clips.memory, windows, wave_BT, sample_rate_hz, verify_checksums)
    failed = np.flatnonzero(reports[:, 0] != kernel.OK)
    for number in failed[clips.first_frame_P[failed] == WHOLE]:
        (clip,) = clips.take(np.array([number]))
        problem = _describe_problem(kernel, clip, reports[number].tolist(), sample_rate_hz)
        raise ShardFormatError(f"{clip.where}: {problem}")
    return failed


def _call(
    kernel: Any,
    memory: NDArray[np.uint8],
    windows: NDArray[np.int64],
    wave_BT: NDArray[np.int16],
    sample_rate_hz: int,
    verify_checksums: bool,
) -> NDArray[np.int64]:
    """Run the kernel on clips and return its reports."""
    reports = np.zeros((len(windows), kernel.REPORT_FIELDS), dtype=np.int64)
    kernel.decode_windows(
        memory, windows, sample_rate_hz, wave_BT.reshape(-1), verify_checksums, reports
    )
    return reports


def _check_fit(clips: EncodedClips, shape: tuple[int, ...]) -> None:
    num_rows, row_num_samples = shape
    end_P, stop_P = clips.begin_P + clips.num_bytes_P, clips.start_P + clips.num_samples_P
    fits_memory_P = (clips.begin_P >= 0) & (end_P <= len(clips.memory) - TAIL_BYTES)
    fits_row_P = (clips.row_P >= 0) & (clips.row_P < num_rows)
    fits_row_P &= (clips.start_P >= 0) & (clips.num_samples_P > 0)
    fits_row_P &= (stop_P <= clips.clip_num_samples_P) & (clips.num_samples_P <= row_num_samples)
    if (fits_memory_P & fits_row_P).all():
        return
    number = int(np.argmin(fits_memory_P & fits_row_P))
    row, begin = int(clips.row_P[number]), int(clips.begin_P[number])
    if not fits_memory_P[number]:
        raise ValueError(
            f"{clips.where(row)}: {clips.num_bytes_P[number]} bytes from {begin} don't fit a "
            f"memory of {len(clips.memory)} bytes"
        )
    raise ValueError(
        f"{clips.where(row)}: samples {clips.start_P[number]} to {stop_P[number]} of "
        f"{clips.clip_num_samples_P[number]} don't fit row {row} of a batch of {num_rows} rows of "
        f"{row_num_samples} samples"
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
