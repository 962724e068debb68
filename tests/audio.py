"""Audio made in code: noise and tones, encoded by soundfile, which is the reference for reading."""

import io
from typing import Any

import numpy as np
import soundfile

RATE_HZ = 8000


def noise(num_samples: int, *, seed: int = 0, limit: int = 20_000) -> np.ndarray:
    """Mono int16 noise."""
    rng = np.random.default_rng(seed)
    return rng.integers(-limit, limit, size=num_samples, dtype=np.int16)


def tone(num_samples: int, *, rate_hz: int = RATE_HZ, hertz: float = 440.0) -> np.ndarray:
    """A mono sine at half of full scale, float64."""
    return 0.5 * np.sin(2 * np.pi * hertz / rate_hz * np.arange(num_samples))


def stereo(num_samples: int) -> np.ndarray:
    """The tone on the left, nothing on the right."""
    return np.stack([tone(num_samples), np.zeros(num_samples)], axis=1)


def encoded(
    wave: np.ndarray,
    *,
    rate_hz: int = RATE_HZ,
    container: str = "WAV",
    subtype: str | None = None,
) -> bytes:
    """The bytes of an audio file; wave is (samples,) or (samples, channels)."""
    file = io.BytesIO()
    soundfile.write(file, wave, rate_hz, format=container, subtype=subtype)
    return file.getvalue()


def decoded(data: bytes) -> tuple[Any, int]:
    """Samples as int16, and their rate, as soundfile reads them."""
    pcm, rate_hz = soundfile.read(io.BytesIO(data), dtype="int16")
    return pcm, rate_hz
