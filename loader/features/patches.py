"""Patches of a spectrogram, for models that see a clip as a row of them (VGGish, YAMNet)."""

from torch import Tensor

from loader.features.config import LogMelConfig


def patches_BPMF(mel_BMF: Tensor, config: LogMelConfig) -> Tensor:
    """Return overlapping views; frames after the last whole patch are left out.

    Of a batch with lengths, a row's own patches are the first `num_patches_B`.

    Raises:
        ValueError: the front end has no patches.
    """
    patch_frames = _patch_frames(config)
    return mel_BMF.unfold(2, patch_frames, config.patch_hop_frames).transpose(1, 2)


def num_patches_B(num_samples_B: Tensor, config: LogMelConfig) -> Tensor:
    """Return how many patches lie in each clip, from their lengths in samples.

    Raises:
        ValueError: the front end has no patches.
    """
    num_frames_B = config.num_frames_B(num_samples_B)
    whole_B = 1 + (num_frames_B - _patch_frames(config)) // config.patch_hop_frames
    return whole_B.clamp(min=0)


def _patch_frames(config: LogMelConfig) -> int:
    if config.patch_frames is None:
        raise ValueError("this front end has no patches: patch_frames is None")
    return config.patch_frames
