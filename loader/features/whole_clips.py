"""Log-mels of whole clips, as datasets of features keep them: float16, cut only afterwards.

What a preset does with more than a frame (the range below the loudest value, the mean over the
clip, filling up to a number of frames) depends on the crop, so it is left to the reader:
`loader.feature_rows`. All that comes before the spectrum (removed mean, mirrored ends, filling up
to `clip_samples`) is done with the whole clip.

Axes: T samples, M mel bands, F frames.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from loader.features.config import LogMelConfig
from loader.features.logmel import LogMel


def whole_clip_config(config: LogMelConfig) -> LogMelConfig:
    """Return a preset's settings without the steps that look at more than a frame."""
    return replace(config, max_range=None, clip_norm="none", num_frames_out=None, frame_fill=None)


def num_frames_of_clips(
    config: LogMelConfig, num_samples_N: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return how many frames whole clips have; one that is too short for a frame has one."""
    lengths_N = torch.from_numpy(num_samples_N.astype(np.int64))  # a copy, which torch may own
    counts_N: NDArray[np.int64] = whole_clip_config(config).num_frames_B(lengths_N).numpy()
    return np.maximum(counts_N, 1)


def frames_of_clip(log_mel: LogMel, pcm_T: NDArray[np.int16]) -> NDArray[np.float16]:
    """Return the frames (F, M) of one whole clip.

    Args:
        log_mel: Of `whole_clip_config`.
        pcm_T: The clip's samples.

    Raises:
        ValueError: a value has no float16.
    """
    config = log_mel.config
    device = log_mel.spectrum.bank_MS.device
    num_missing = max(0, config.min_samples - len(pcm_T))
    wave_BT = torch.from_numpy(np.pad(pcm_T, (0, num_missing)))[None].to(device)
    lengths_B = torch.tensor([len(pcm_T)], device=device)
    num_frames = int(num_frames_of_clips(config, np.array([len(pcm_T)]))[0])
    frames_FM = log_mel(wave_BT, lengths_B)[0, :, :num_frames].T.contiguous().cpu().numpy()
    with np.errstate(over="ignore"):
        stored_FM: NDArray[np.float16] = frames_FM.astype("<f2")
    if not np.isfinite(stored_FM).all():
        raise ValueError(
            f"features from {frames_FM.min():g} to {frames_FM.max():g} don't fit float16, which "
            "ends at 65504; this front end can't be cached"
        )
    return stored_FM
