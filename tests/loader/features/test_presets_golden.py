import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from loader.features import LogMel, LogMelConfig, Mfcc, MfccConfig, presets
from tests.loader.features.reference import GOLDEN, Array, nemo_raw
from tests.loader.features.waves import batch_BT, structured_wave_T, tone_in_faint_noise_T

TOLERANCE_DB = 1e-2
DB_PER_UNIT = {"db": 1.0, "ln": 10 / math.log(10), "log10": 10.0}


def front_end(name: str) -> LogMel | Mfcc:
    config = presets()[name].config
    return LogMel.preset(name) if isinstance(config, LogMelConfig) else Mfcc.preset(name)


def rate(name: str) -> int:
    config = presets()[name].config
    return (config.log_mel if isinstance(config, MfccConfig) else config).sample_rate_hz


def db_per_unit(config: LogMelConfig) -> float:
    """How many dB of power one unit of the finished features is."""
    return DB_PER_UNIT[config.log] * config.std * (2 if config.magnitude else 1)


def log_mels(name: str, wave_T: Array) -> tuple[Array, Array, float]:
    """Return what a preset gives, what it should give, and dB per unit."""
    config = presets()[name].config
    assert isinstance(config, LogMelConfig)
    got = LogMel(config)(batch_BT(wave_T))[0].double().numpy()
    expected = GOLDEN[name](wave_T)
    assert got.shape == expected.shape
    return got, expected, db_per_unit(config)


LOG_MELS = [name for name, preset in presets().items() if isinstance(preset.config, LogMelConfig)]
MFCCS = [name for name in presets() if name not in LOG_MELS]
# A deviation differs from band to band, so a unit is no fixed number of dB.
IN_DB = [name for name in LOG_MELS if name != "nemo"]


def test_every_preset_has_a_reference() -> None:
    assert set(GOLDEN) == set(presets())


@pytest.mark.parametrize("name", IN_DB)
def test_preset_equals_the_float64_reference(name: str) -> None:
    got, expected, unit_db = log_mels(name, structured_wave_T(rate(name)))
    assert np.abs(got - expected).max() * unit_db < TOLERANCE_DB


@pytest.mark.parametrize("hz", [100.0, 1000.0])
@pytest.mark.parametrize("name", ["torchaudio", "panns", "ast", "passt", "beats", "whisper"])
def test_preset_equals_the_reference_in_every_band_beside_a_loud_tone(name: str, hz: float) -> None:
    # Some of the bands lie 100 dB and more below the frame's peak. In float32 they would be wrong
    # by up to 0.35 dB, as torchaudio's are: see test_library_parity.
    got, expected, unit_db = log_mels(name, tone_in_faint_noise_T(rate(name), hz))
    assert np.abs(got - expected).max() * unit_db < TOLERANCE_DB


def test_nemo_equals_the_reference_before_and_after_the_clips_statistics() -> None:
    wave_T = structured_wave_T(16000)
    config = presets()["nemo"].config
    assert isinstance(config, LogMelConfig)
    raw = LogMel(replace(config, clip_norm="none"))(batch_BT(wave_T))[0].double().numpy()
    assert np.abs(raw - nemo_raw(wave_T)).max() * DB_PER_UNIT["ln"] < TOLERANCE_DB
    got, expected, _ = log_mels("nemo", wave_T)
    assert np.abs(got - expected).max() < 1e-3


@pytest.mark.parametrize("name", MFCCS)
def test_mfcc_preset_equals_the_float64_reference(name: str) -> None:
    wave_T = structured_wave_T(16000)
    got = front_end(name)(batch_BT(wave_T))[0].double().numpy()
    expected = GOLDEN[name](wave_T)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 1e-2


@pytest.mark.parametrize("name", list(presets()))
def test_a_clip_in_a_padded_batch_gets_the_features_it_has_alone(name: str) -> None:
    module, sample_rate_hz = front_end(name), rate(name)
    lengths = [2 * sample_rate_hz, sample_rate_hz + 123, sample_rate_hz // 2 + 7]
    wave_BT = torch.full((3, lengths[0]), 0.3)
    clips = [
        torch.from_numpy(structured_wave_T(sample_rate_hz, num_samples=n)).float() for n in lengths
    ]
    for row, clip_T in zip(wave_BT, clips, strict=True):
        row[: len(clip_T)] = clip_T
    batch_BMF = module(wave_BT, torch.tensor(lengths))
    config = module.config.log_mel if isinstance(module, Mfcc) else module.config
    for features_MF, clip_T in zip(batch_BMF, clips, strict=True):
        alone_MF = module(clip_T[None])[0]
        num_frames = config.num_frames(len(clip_T))
        assert num_frames == config.num_frames_B(torch.tensor([len(clip_T)])).item()
        assert num_frames <= alone_MF.shape[1] <= features_MF.shape[1]
        tolerance = 2e-3 if config.clip_norm == "mean_std" else 2e-4
        torch.testing.assert_close(
            features_MF[:, :num_frames], alone_MF[:, :num_frames], rtol=0, atol=tolerance
        )
        if config.num_frames_out is not None:
            torch.testing.assert_close(features_MF, alone_MF, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "num_frames"),
    [
        ("torchaudio", 801), ("panns", 1001), ("panns-16k", 1001), ("hts-at", 1001),
        ("clap", 1001), ("clap-fusion", 1001), ("ast", 998), ("ast-esc50", 512),
        ("hf-ast", 998), ("passt", 1000), ("efficientat", 1000), ("beats", 998), ("eat", 998),
        ("whisper", 3000), ("vggish", 998), ("ecapa", 1001), ("wespeaker", 998), ("nemo", 1000),
        ("matchboxnet", 1001), ("kaldi-xvector", 1000),
    ],
)  # fmt: skip
def test_ten_seconds_give_as_many_frames_as_the_model_was_trained_on(
    name: str, num_frames: int
) -> None:
    config = presets()[name].config
    config = config.log_mel if isinstance(config, MfccConfig) else config
    assert config.num_frames(10 * config.sample_rate_hz) == num_frames
