"""Batches, banks and a recipe with everything in it, for several tests."""

from collections.abc import Mapping

import numpy as np
import torch

from loader.augment.clip_bank import ClipBank, Generation
from loader.augment.recipe import AugmentRecipe
from loader.augment.recipe_mel import FilterAugment, FreqMixStyle, SpecAugment
from loader.augment.recipe_mix import Mix
from loader.augment.recipe_wave import (
    BandPass,
    Equalizer,
    Gain,
    Noise,
    NoiseKind,
    Polarity,
    Response,
    Roll,
    Speed,
    WhiteNoise,
)
from loader.batch import AudioBatch

RATE_HZ = 16000
KINDS = {"music": (0, 3), "speech": (3, 8), "noise": (11, 4)}


def make_batch(
    num_rows: int, num_samples: int, *, first: int = 0, device: str = "cpu"
) -> AudioBatch:
    """Noise of its own in each row; every third clip is shorter than the batch."""
    waves, lengths = [], []
    for number in range(first, first + num_rows):
        length = num_samples - 1000 * (number % 3 == 1)
        wave = np.random.default_rng(number).normal(size=num_samples) * 3000
        wave[length:] = 0
        waves.append(wave.astype(np.int16))
        lengths.append(length)
    return AudioBatch(
        keys=tuple(f"made/{number}" for number in range(first, first + num_rows)),
        wave_BT=torch.from_numpy(np.stack(waves)),
        num_samples_B=torch.tensor(lengths),
        target_BK=torch.eye(num_rows),
        copy_B=torch.zeros(num_rows, dtype=torch.int64),
        is_padding_B=torch.zeros(num_rows, dtype=torch.bool),
    ).to(device)


def make_bank(
    clips_NS: np.ndarray,
    kinds: Mapping[str, tuple[int, int]] | None = None,
    *,
    device: str = "cpu",
    sample_rate_hz: int = RATE_HZ,
) -> ClipBank:
    """A bank of clips that are at hand, the same in each epoch."""
    kinds = {"all": (0, len(clips_NS))} if kinds is None else kinds
    return ClipBank(
        lambda number, stop: Generation(
            number=number,
            keys=("",) * len(clips_NS),
            clips_NS=torch.from_numpy(clips_NS),
        ),
        kinds=kinds,
        sample_rate_hz=sample_rate_hz,
        device=device,
        refresh_epochs=None,
    )


def noise_clips(num_clips: int, num_samples: int) -> np.ndarray:
    rng = np.random.default_rng(99)
    return (rng.normal(size=(num_clips, num_samples)) * 4000).astype(np.int16)


def response_clips(num_clips: int, num_samples: int) -> np.ndarray:
    rng = np.random.default_rng(98)
    decay_S = np.exp(-np.arange(num_samples) / (num_samples / 8))
    clips_NS = rng.normal(size=(num_clips, num_samples)) * decay_S
    clips_NS[:, 0] = 4
    return (clips_NS * 7000).astype(np.int16)


NOISE = Noise(
    p=0.6,
    kinds=(
        ("music", NoiseKind(min_snr_db=5, max_snr_db=15)),
        ("speech", NoiseKind(min_snr_db=13, max_snr_db=20, min_voices=3, max_voices=7)),
        ("noise", NoiseKind(min_snr_db=0, max_snr_db=15)),
    ),
)

EVERYTHING = AugmentRecipe(
    remove_mean=True,
    speed=Speed(),
    roll=Roll(p=0.5),
    polarity=Polarity(),
    gain=Gain(p=0.5, min_db=-6, max_db=6),
    equalizer=Equalizer(),
    band_pass=BandPass(),
    device=Response(),
    room=Response(),
    noise=NOISE,
    normalise_peaks=True,
    white_noise=WhiteNoise(p=0.5),
    mix=Mix(mode="energy"),
    freq_mix_style=FreqMixStyle(),
    filter_augment=FilterAugment(p=0.7),
    spec_augment=SpecAugment(
        num_time_masks=2,
        max_time_frames=30,
        num_band_masks=2,
        max_bands=12,
        num_cutouts=2,
        max_cutout_frames=9,
        max_cutout_bands=5,
    ),
)
