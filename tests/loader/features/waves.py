"""Sounds made in code for the tests of the front ends."""

import numpy as np
import torch
from numpy.typing import NDArray


def structured_wave_T(
    sample_rate_hz: int, *, num_samples: int | None = None, seed: int = 7
) -> NDArray[np.float64]:
    """Swelling noise, a sweep of tones, clicks and an offset; float32 values, peak below 1."""
    num_samples = num_samples or 2 * sample_rate_hz
    rng = np.random.default_rng(seed)
    seconds_T = np.arange(num_samples) / sample_rate_hz
    wave_T = 0.5 * np.sin(2 * np.pi * (200 + 1500 * seconds_T) * seconds_T) + 0.02
    wave_T += rng.standard_normal(num_samples) * np.linspace(0.001, 0.1, num_samples)
    wave_T[::1700] += 0.2
    return np.clip(wave_T, -1, 1).astype(np.float32).astype(np.float64)


def tone_in_faint_noise_T(sample_rate_hz: int, hz: float = 1000.0) -> NDArray[np.float64]:
    """A loud tone over noise at -90 dBFS, where rounding shows most."""
    rng = np.random.default_rng(3)
    seconds_T = np.arange(2 * sample_rate_hz) / sample_rate_hz
    wave_T = 0.9 * np.sin(2 * np.pi * hz * seconds_T)
    wave_T += 10 ** (-90 / 20) * rng.standard_normal(len(wave_T))
    return wave_T.astype(np.float32).astype(np.float64)


def batch_BT(*waves: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(np.stack(waves)).float()
