"""Log-mels of whole clips as float16: how much that rounds, and what it has no value for."""

import numpy as np
import pytest
import torch

from loader.augment import units_per_db
from loader.features import LogMel, LogMelConfig, presets
from loader.features.presets import log_mel_preset
from loader.features.whole_clips import (
    frames_of_clip,
    num_frames_of_clips,
    whole_clip_config,
)

ALL_PRESETS = [
    name for name, preset in presets().items() if isinstance(preset.config, LogMelConfig)
]


@pytest.mark.parametrize("preset", ALL_PRESETS)
def test_no_preset_loses_a_sixteenth_of_a_decibel(preset: str) -> None:
    """Full scale, silence, the least noise and the loudest, one after the other."""
    config = log_mel_preset(preset)
    rng = np.random.default_rng(0)
    num_samples = config.sample_rate_hz // 8
    loud = np.where(np.arange(num_samples) // 40 % 2, 32767, -32768)
    silent, faint = np.zeros(num_samples), rng.integers(-2, 3, num_samples)
    noise = rng.integers(-32768, 32768, num_samples)
    pcm_T = np.concatenate([loud, silent, faint, noise]).astype(np.int16)
    log_mel = LogMel(whole_clip_config(config))
    stored_FM = frames_of_clip(log_mel, pcm_T)
    exact_BMF = log_mel(torch.from_numpy(pcm_T)[None], torch.tensor([len(pcm_T)]))
    off = np.abs(exact_BMF[0, :, : len(stored_FM)].numpy().T - stored_FM).max()
    db = units_per_db(log_factor=config.log_factor, std=config.std, of_magnitude=config.magnitude)
    assert 0.005 < off / db < 0.06


@pytest.mark.parametrize("preset", ["panns", "ast", "ecapa", "yamnet", "wespeaker"])
def test_clips_of_any_length_have_a_frame_and_as_many_as_are_told(preset: str) -> None:
    config = log_mel_preset(preset)
    log_mel = LogMel(whole_clip_config(config))
    lengths_N = np.array([1, 2, 399, 400, 401, 5000])
    expected_N = num_frames_of_clips(config, lengths_N)
    assert expected_N.min() == (config.patch_frames or 1)  # yamnet fills a patch
    for length, num_frames in zip(lengths_N, expected_N, strict=True):
        assert frames_of_clip(log_mel, np.ones(length, np.int16)).shape == (
            num_frames,
            config.num_mels,
        )


def test_values_that_float16_lacks_are_an_error() -> None:
    log_mel = LogMel(LogMelConfig(std=1e-4))
    with pytest.raises(ValueError, match=r"don't fit float16, which ends at 65504"):
        frames_of_clip(log_mel, np.ones(4000, np.int16))
