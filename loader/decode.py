"""Encoded audio → windows of int16 samples, straight into the rows of a batch.

Mono 16-bit FLAC goes through a decoder of our own that takes many clips at once, as soon as that
one is compiled, and until then through libsndfile. All else, of any container, codec and number of
channels, is decoded clip by clip as an ingest would: mixed down, and rounded to 16 bit.

Axes: B rows of a batch, T samples.
"""

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

from loader.encoded_clips import WHOLE, ClipWindow, EncodedClips
from loader.flac_decoder import are_mono_flac_16, decode_flac, describe_other_clip, is_ready, want
from shardwriter.errors import AudioError, ShardFormatError


def decode_windows(
    clips: EncodedClips,
    wave_BT: NDArray[np.int16],
    *,
    sample_rate_hz: int,
    verify_checksums: bool,
) -> None:
    """Decode a window of each clip into the front of its row; the row's rest is set to zero.

    Args:
        clips: Of several channels the mean is taken.
        wave_BT: The batch; contiguous.
        sample_rate_hz: Rate of the clips, as the index has it.
        verify_checksums: Whether the checksums inside of the FLAC are checked.

    Raises:
        ShardFormatError: the bytes are no such clip, or end before the window does.
        StorageError: a clip of which some frames were read, and those are damaged, can't be read
            whole.
    """
    is_flac_P = are_mono_flac_16(clips)
    flac = clips if is_flac_P.all() else clips.take(np.flatnonzero(is_flac_P))
    for clip in () if flac is clips else clips.take(np.flatnonzero(~is_flac_P)):
        _decode_other(clip, wave_BT[clip.row], sample_rate_hz=sample_rate_hz)
    if len(flac) and is_ready():
        failed = decode_flac(
            flac, wave_BT, sample_rate_hz=sample_rate_hz, verify_checksums=verify_checksums
        )
    else:
        if len(flac):
            want()
        failed = np.flatnonzero(flac.first_frame_P != WHOLE)
        for clip in flac.take(np.flatnonzero(flac.first_frame_P == WHOLE)):
            _decode_by_libsndfile(clip, wave_BT[clip.row], sample_rate_hz=sample_rate_hz)
    if len(failed):
        # What is wrong with them, or that nothing is, shows in the whole clips.
        decode_windows(
            flac.take(failed).whole(),
            wave_BT,
            sample_rate_hz=sample_rate_hz,
            verify_checksums=verify_checksums,
        )


def _decode_by_libsndfile(
    clip: ClipWindow, row_T: NDArray[np.int16], *, sample_rate_hz: int
) -> None:
    try:
        with soundfile.SoundFile(io.BytesIO(clip.data)) as sound:
            expected = (sample_rate_hz, 1, clip.clip_num_samples)
            got = (sound.samplerate, sound.channels, sound.frames)
            if got != expected:
                raise ShardFormatError(
                    f"{clip.where}: {describe_other_clip(expected=expected, got=got)}"
                )
            sound.seek(clip.start)
            num_read = len(sound.read(dtype="int16", out=row_T[: clip.num_samples]))
    except soundfile.SoundFileError as err:
        raise ShardFormatError(
            f"{clip.where}: libsndfile can't decode the {len(clip.data)} bytes: {err}; "
            "copy or ingest the shard again"
        ) from err
    _check_length(num_read, clip)
    row_T[clip.num_samples :] = 0


def _decode_other(clip: ClipWindow, row_T: NDArray[np.int16], *, sample_rate_hz: int) -> None:
    from shardwriter.audio import decode_window  # FFmpeg's libraries take 17 MB of memory

    is_last = clip.start + clip.num_samples == clip.clip_num_samples
    try:
        pcm_T = decode_window(
            bytes(clip.data),
            file=str(clip.where),
            start=clip.start,
            num_samples=clip.num_samples + is_last,  # one more than there should be
            sample_rate_hz=sample_rate_hz,
        )
    except AudioError as err:
        raise ShardFormatError(f"{err.detail}; copy or ingest the shard again") from err
    _check_length(len(pcm_T), clip)
    row_T[: clip.num_samples] = pcm_T
    row_T[clip.num_samples :] = 0


def _check_length(num_decoded: int, clip: ClipWindow) -> None:
    if num_decoded == clip.num_samples:
        return
    got = "more" if num_decoded > clip.num_samples else str(num_decoded)
    raise ShardFormatError(
        f"{clip.where}: expected {clip.num_samples} samples from {clip.start}, got {got}: the "
        "audio is damaged, or not the one that was indexed; copy or ingest the shard again"
    )
