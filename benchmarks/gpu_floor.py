"""Bytes that features can't do without: the floor that memory bandwidth sets.

Axes: B clips, T samples, M mel bands, F frames, S bins, W taps.
"""

from loader.features import LogMelConfig

_FLOAT32_BYTES = 4


def floor_bytes(
    config: LogMelConfig, *, batch_size: int, num_samples: int, sample_bytes: int
) -> dict[str, int]:
    """Return the bytes of each term, for a front end that keeps all that is between on the chip.

    Args:
        config: The front end.
        batch_size: Clips in the batch.
        num_samples: Samples of each.
        sample_bytes: 2 for int16, 4 for float32.
    """
    num_frames = config.num_frames_out or config.num_frames(num_samples)
    num_bins = config.n_fft // 2 + 1
    return {
        # Each sample is read once, although hop < window makes 2.5 to 3.2 frames share it.
        "wave_BT read": batch_size * num_samples * sample_bytes,
        # Each value is written once, in float32, which is what models get.
        "mel_BMF written": batch_size * config.num_mels * num_frames * _FLOAT32_BYTES,
        # Read once, then held in the second-level cache: a quarter of a megabyte.
        "filters and window read": _FLOAT32_BYTES
        * (config.num_mels * num_bins + config.window_samples),
    }


def unfused_bytes(
    config: LogMelConfig, *, batch_size: int, num_samples: int, sample_bytes: int
) -> dict[str, int]:
    """Return the bytes where the FFT is a call of its own, with all else fused around it.

    Its input and its output go through memory then: the least without an own FFT kernel.
    """
    num_frames = config.num_frames(num_samples)
    num_bins = config.n_fft // 2 + 1
    frames = batch_size * num_frames * config.n_fft * _FLOAT32_BYTES
    spectrum = batch_size * num_frames * num_bins * 2 * _FLOAT32_BYTES  # complex
    power = batch_size * num_frames * num_bins * _FLOAT32_BYTES
    return {
        **floor_bytes(
            config, batch_size=batch_size, num_samples=num_samples, sample_bytes=sample_bytes
        ),
        "windowed frames written, and read by the FFT": 2 * frames,
        "spectrum written by the FFT, and read": 2 * spectrum,
        "power written, and read by the product with the filters": 2 * power,
    }
