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
    start_F = torch.arange(mel_BMF.shape[2]) * 320 - 512
    for mel_MF, num_samples in zip(mel_BMF, num_samples_B, strict=True):
        assert (mel_MF[:, start_F >= num_samples] == FLOOR_DB).all()
    assert (mel_BMF[1][:, start_F < 9000 - 512] > FLOOR_DB).any(dim=0).all()
    assert (mel_BMF[2] == FLOOR_DB).all()


def test_frames_beyond_are_the_floor_even_where_the_tensor_ends_just_after_the_clip() -> None:
    # The last window starts at sample 768, beyond the clip; unmasked, it would see the
    # reflection of the clip's last samples.
    mel_BMF = LogMel()(torch.ones(1, 1290), torch.tensor([760]))
    assert (mel_BMF[0, :, -1] == FLOOR_DB).all()


def test_frames_inside_a_padded_clip_equal_those_of_the_clip_alone() -> None:
    clip_BT = noisy_waves_BT(num_clips=1, num_samples=9000)
    rest_BT = torch.full((1, 7000), 0.3)
    alone_BMF = LogMel()(clip_BT)
    padded_BMF = LogMel()(torch.cat([clip_BT, rest_BT], dim=1), torch.tensor([9000]))
    num_inside = (9000 - 512) // 320 + 1
    torch.testing.assert_close(
        padded_BMF[:, :, :num_inside], alone_BMF[:, :, :num_inside], rtol=0, atol=1e-3
    )
    silent_BMF = LogMel()(torch.cat([clip_BT, torch.zeros(1, 7000)], dim=1))
    torch.testing.assert_close(padded_BMF, silent_BMF, rtol=0, atol=0)


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


@pytest.mark.gpu
def test_cuda_equals_cpu_under_autocast() -> None:
    wave_BT = (noisy_waves_BT() * 32767).to(torch.int16)
    num_samples_B = torch.tensor([16000, 9000, 0])
    log_mel = LogMel()
    expected_BMF = log_mel(wave_BT, num_samples_B)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        mel_BMF = log_mel.cuda()(wave_BT.cuda(), num_samples_B)
    assert mel_BMF.dtype == torch.float32
    torch.testing.assert_close(mel_BMF.cpu(), expected_BMF, rtol=0, atol=TOLERANCE_DB)


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
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        LogMelConfig(**settings)  # type: ignore[arg-type]  # wrong on purpose
