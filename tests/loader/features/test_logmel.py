import itertools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from loader.features import LogMel, LogMelConfig

CONFIG = LogMelConfig()
FLOOR_DB = -100.0
TOLERANCE_DB = 1e-2


def noisy_waves_BT(num_clips: int = 3, num_samples: int = 16000) -> torch.Tensor:
    """Sounds with structure: noise that swells, a sweep of tones and clicks, peak below 1."""
    rng = np.random.default_rng(7)
    seconds_T = np.arange(num_samples) / CONFIG.sample_rate_hz
    sweep_T = np.sin(2 * np.pi * (200 + 4000 * seconds_T) * seconds_T)
    rows = []
    for clip in range(num_clips):
        noise_T = rng.standard_normal(num_samples) * np.linspace(0.001, 0.1, num_samples)
        wave_T = 0.5 * sweep_T + noise_T
        wave_T[:: 1700 + clip] += 0.2
        rows.append(np.clip(wave_T, -1, 1))
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def tone_T(hz: float, num_samples: int = 32000) -> torch.Tensor:
    return 0.5 * torch.sin(
        2 * math.pi * hz * torch.arange(num_samples, dtype=torch.float64) / CONFIG.sample_rate_hz
    )


def slaney_hz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def slaney_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000, 6.4)


def reference_bank_MS(config: LogMelConfig) -> NDArray[np.float64]:
    """Slaney's triangles of area one, band by band and bin by bin."""
    mels = np.linspace(
        slaney_mel(config.min_hz), slaney_mel(config.max_hz), config.num_mels + 2
    ).tolist()
    edges_hz = [slaney_hz(mel) for mel in mels]
    bank_MS = np.zeros((config.num_mels, config.n_fft // 2 + 1))
    for band in range(config.num_mels):
        left, centre, right = edges_hz[band : band + 3]
        for bin_ in range(config.n_fft // 2 + 1):
            hz = bin_ * config.sample_rate_hz / config.n_fft
            height = min((hz - left) / (centre - left), (right - hz) / (right - centre))
            bank_MS[band, bin_] = max(0.0, height) * 2 / (right - left)
    return bank_MS


def reference_log_mel_MF(wave_T: NDArray[np.float64], config: LogMelConfig) -> NDArray[np.float64]:
    """The definition in float64: frame by frame, without torch."""
    half = config.n_fft // 2
    padded_T = np.concatenate([wave_T[half:0:-1], wave_T, wave_T[-2 : -half - 2 : -1]])
    window_N = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(config.n_fft) / config.n_fft)
    bank_MS = reference_bank_MS(config)
    columns = []
    for frame in range(1 + len(wave_T) // config.hop_samples):
        start = frame * config.hop_samples
        power_S = np.abs(np.fft.rfft(padded_T[start : start + config.n_fft] * window_N)) ** 2
        columns.append(10 * np.log10(np.maximum(bank_MS @ power_S, config.power_floor)))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        LogMelConfig(
            sample_rate_hz=16000, n_fft=512, hop_samples=160, num_mels=40, min_hz=0.0, max_hz=8000.0
        ),
    ],
    ids=["32kHz", "16kHz"],
)
def test_log_mel_equals_the_float64_definition_within_100_db_of_the_peak(
    config: LogMelConfig,
) -> None:
    wave_BT = noisy_waves_BT()
    mel_BMF = LogMel(config)(wave_BT).numpy()
    assert mel_BMF.shape == (3, config.num_mels, config.num_frames(wave_BT.shape[1]))
    for mel_MF, wave_T in zip(mel_BMF, wave_BT.double().numpy(), strict=True):
        expected_MF = reference_log_mel_MF(wave_T, config)
        is_heard_MF = expected_MF > expected_MF.max() - 100
        assert is_heard_MF.mean() > 0.9
        assert np.abs(mel_MF - expected_MF)[is_heard_MF].max() < TOLERANCE_DB


def test_log_mel_equals_torchaudio_with_slaney_scale_and_norm() -> None:
    wave_BT = noisy_waves_BT()
    theirs = MelSpectrogram(
        sample_rate=CONFIG.sample_rate_hz,
        n_fft=CONFIG.n_fft,
        hop_length=CONFIG.hop_samples,
        f_min=CONFIG.min_hz,
        f_max=CONFIG.max_hz,
        n_mels=CONFIG.num_mels,
        norm="slaney",
        mel_scale="slaney",
    )
    expected_BMF = AmplitudeToDB(stype="power", top_db=None)(theirs(wave_BT))
    torch.testing.assert_close(LogMel()(wave_BT), expected_BMF, rtol=0, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_output_is_float32_and_unchanged_under_autocast(dtype: torch.dtype) -> None:
    wave_BT = noisy_waves_BT().to(dtype)
    log_mel = LogMel()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside_BMF = log_mel(wave_BT)
        is_autocast_on_again = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert inside_BMF.dtype == torch.float32
    assert is_autocast_on_again
    torch.testing.assert_close(inside_BMF, log_mel(wave_BT), rtol=0, atol=0)


def test_int16_equals_the_same_samples_as_float() -> None:
    wave_BT = (noisy_waves_BT() * 32767).to(torch.int16)
    log_mel = LogMel()
    torch.testing.assert_close(log_mel(wave_BT), log_mel(wave_BT.float() / 32768), rtol=0, atol=0)


@pytest.mark.parametrize("hz", [100.0, 1000.0, 9000.0])
def test_tone_peaks_in_the_band_whose_centre_is_nearest(hz: float) -> None:
    mel_MF = LogMel()(tone_T(hz)[None].float())[0]
    centres = torch.tensor(CONFIG.mel_centres_hz())
    assert mel_MF[:, 20:80].mean(dim=1).argmax() == (centres - hz).abs().argmin()


def test_mel_centres_rise_and_lie_inside_the_range() -> None:
    centres = [CONFIG.min_hz, *CONFIG.mel_centres_hz(), CONFIG.max_hz]
    assert len(centres) == CONFIG.num_mels + 2
    assert all(low < high for low, high in itertools.pairwise(centres))


@pytest.mark.parametrize("dtype", [torch.int16, torch.float32])
def test_silence_is_exactly_the_floor(dtype: torch.dtype) -> None:
    mel_BMF = LogMel()(torch.zeros(2, 3200, dtype=dtype))
    assert mel_BMF.shape == (2, 64, 11)
    assert (mel_BMF == FLOOR_DB).all()


def test_ten_seconds_give_1001_frames() -> None:
    assert CONFIG.num_frames(320_000) == 1001
    assert CONFIG.hop_seconds == 0.01


def test_frames_beyond_the_real_end_are_the_floor_whatever_the_padding_holds() -> None:
    wave_BT = noisy_waves_BT()
    num_samples_B = torch.tensor([16000, 9000, 0])
    mel_BMF = LogMel()(wave_BT, num_samples_B)
    num_frames_B = CONFIG.num_frames_B(num_samples_B)
    assert num_frames_B.tolist() == [51, 29, 0]
    for mel_MF, num_frames in zip(mel_BMF, num_frames_B.tolist(), strict=True):
        assert (mel_MF[:, num_frames:] == FLOOR_DB).all()
        assert (mel_MF[:, :num_frames] > FLOOR_DB).any(dim=0).all()


@pytest.mark.parametrize("num_samples", [513, 760, 6400, 9000, 15999, 16000])
def test_own_frames_of_a_padded_clip_equal_those_of_the_clip_alone_to_its_last_one(
    num_samples: int,
) -> None:
    clip_BT = noisy_waves_BT(num_clips=1, num_samples=num_samples)
    rest_BT = torch.full((1, 16000 - num_samples), 0.3)
    alone_BMF = LogMel()(clip_BT)
    padded_BMF = LogMel()(torch.cat([clip_BT, rest_BT], dim=1), torch.tensor([num_samples]))
    own_BMF = padded_BMF[:, :, : alone_BMF.shape[2]]
    torch.testing.assert_close(own_BMF, alone_BMF, rtol=0, atol=1e-5)


def test_a_clip_too_short_to_be_mirrored_counts_as_followed_by_silence() -> None:
    wave_BT = torch.zeros(1, 3200)
    wave_BT[0, :100] = 0.5
    silent_BMF = LogMel()(wave_BT)
    short_BMF = LogMel()(wave_BT, torch.tensor([100]))
    assert CONFIG.num_frames(100) == 1
    assert short_BMF.isfinite().all()
    assert (short_BMF[:, :, 0] > FLOOR_DB).all()
    assert (short_BMF[:, :, 1:] == FLOOR_DB).all()
    assert (silent_BMF[:, :, 1] > FLOOR_DB).all()


def test_full_rows_are_the_same_with_and_without_lengths() -> None:
    wave_BT = noisy_waves_BT()
    with_lengths_BMF = LogMel()(wave_BT, torch.full((3,), wave_BT.shape[1]))
    torch.testing.assert_close(with_lengths_BMF, LogMel()(wave_BT), rtol=0, atol=0)


def test_shortest_wave_passes_and_a_shorter_one_is_refused_with_the_way_out() -> None:
    assert LogMel()(torch.zeros(1, 513)).shape == (1, 64, 2)
    with pytest.raises(ValueError, match=r"512 samples .* append zeros up to at least 513"):
        LogMel()(torch.zeros(1, 512))


@pytest.mark.parametrize(
    ("wave", "num_samples_B", "message"),
    [
        (torch.zeros(3200), None, "2 axes"),
        (torch.zeros(1, 3200, dtype=torch.int32), None, "int16 or floating point"),
        (torch.zeros(2, 3200), torch.tensor([3200]), "num_samples_B of shape"),
    ],
)
def test_wrong_input_is_refused(
    wave: torch.Tensor, num_samples_B: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LogMel()(wave, num_samples_B)


def test_module_cast_to_half_precision_refuses_to_run() -> None:
    with pytest.raises(ValueError, match="keep it float32"):
        LogMel().bfloat16()(torch.zeros(1, 3200))


def test_state_dict_holds_nothing() -> None:
    assert LogMel().state_dict() == {}


def test_gradient_of_silence_is_finite() -> None:
    wave_BT = torch.zeros(1, 3200, requires_grad=True)
    LogMel()(wave_BT).sum().backward()
    assert wave_BT.grad is not None
    assert wave_BT.grad.isfinite().all()


@pytest.mark.parametrize(
    "settings",
    [
        {"sample_rate_hz": 0},
        {"n_fft": 1023},
        {"hop_samples": 0},
        {"hop_samples": 1025},
        {"num_mels": 0},
        {"min_hz": -1.0},
        {"min_hz": 14000.0},
        {"max_hz": 16001.0},
        {"max_hz": math.nan},
        {"power_floor": 0.0},
        {"power_floor": math.inf},
        {"power_offset": -1.0},
        {"num_window_samples": 1025},
        {"num_window_samples": 300},
        {"num_frames_out": 0},
        {"clip_samples": 0},
        {"std": 0.0},
        {"mean": math.nan},
        {"max_range": 0.0},
        {"full_scale": math.inf},
        {"window": "kaiser"},
        {"mel_bank": "bark"},
        {"edges": "wrap"},
        {"preemphasis": "yes"},
        {"fill": "noise"},
        {"log": "log2"},
        {"clip_norm": "max"},
        {"fill_patch": True},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    name = "hop_samples" if settings == {"num_window_samples": 300} else next(iter(settings))
    with pytest.raises(ValueError, match=name):
        LogMelConfig(**settings)  # type: ignore[arg-type]  # wrong on purpose
