from dataclasses import replace

import numpy as np
import pytest
import torch
import torchaudio

from loader.features import LogMelConfig, Mfcc, MfccConfig, deltas
from loader.features.mfcc import lifter_C, make_dct_MC
from tests.loader.features.waves import batch_BT, structured_wave_T

CONFIG = MfccConfig(log_mel=LogMelConfig(sample_rate_hz=16000, max_hz=8000.0), num_ceps=20)


def test_the_transform_is_orthonormal() -> None:
    dct_MC = make_dct_MC(40, 40)
    torch.testing.assert_close(dct_MC.T @ dct_MC, torch.eye(40, dtype=torch.float64))


def test_mfccs_equal_torchaudios_kaldi_mfcc() -> None:
    wave_BT = batch_BT(structured_wave_T(16000))
    expected = torchaudio.compliance.kaldi.mfcc(wave_BT * 2**15).T
    xvector = Mfcc.preset("kaldi-xvector").config
    log_mel = replace(xvector.log_mel, edges="none", num_mels=23, max_hz=8000.0)
    config = replace(xvector, log_mel=log_mel, num_ceps=13, energy=False)
    torch.testing.assert_close(Mfcc(config)(wave_BT)[0], expected, rtol=0, atol=1e-2)


def test_lifter_leaves_coefficient_0_and_raises_the_middle_most() -> None:
    factors = lifter_C(replace(CONFIG, lifter=22.0))
    assert factors[0] == 1
    assert factors.argmax() == 11
    assert factors[11] == pytest.approx(12)
    assert (lifter_C(CONFIG) == 1).all()


@pytest.mark.parametrize("window", [1, 2, 4])
def test_deltas_equal_torchaudios(window: int) -> None:
    x_BMF = torch.randn(2, 5, 30)
    expected = torchaudio.functional.compute_deltas(x_BMF, win_length=2 * window + 1)
    torch.testing.assert_close(deltas(x_BMF, window=window), expected)


def test_deltas_of_a_line_are_its_slope() -> None:
    line = torch.arange(20.0)[None, None] * 3
    slope = deltas(line)[0, 0]
    torch.testing.assert_close(slope[2:-2], torch.full((16,), 3.0))


def test_deltas_of_a_padded_clip_do_not_see_its_padding() -> None:
    x_BMF = torch.randn(1, 5, 30)
    padded_BMF = torch.cat([x_BMF[:, :, :12], torch.full((1, 5, 18), 1e6)], dim=2)
    torch.testing.assert_close(
        deltas(padded_BMF, torch.tensor([12]))[:, :, :12], deltas(x_BMF[:, :, :12])
    )


@pytest.mark.parametrize(("order", "num_features"), [(0, 20), (1, 40), (2, 60)])
def test_deltas_are_appended_block_by_block(order: int, num_features: int) -> None:
    wave_BT = batch_BT(*(structured_wave_T(16000, seed=seed) for seed in range(2)))
    lengths_B = torch.tensor([32000, 9000])
    full = Mfcc(replace(CONFIG, delta_order=order))
    mfcc_BCF = full(wave_BT, lengths_B)
    assert mfcc_BCF.shape == (2, num_features, 101)
    alone = full(wave_BT[1:, :9000])
    torch.testing.assert_close(mfcc_BCF[1:, :, :29], alone, rtol=0, atol=1e-4)
    assert (mfcc_BCF[1, :, 29:] == 0).all()
    if order:
        torch.testing.assert_close(mfcc_BCF[:1, 20:40], deltas(mfcc_BCF[:1, :20]))


def test_energy_takes_the_place_of_coefficient_0() -> None:
    wave_BT = batch_BT(structured_wave_T(16000))
    with_energy = Mfcc(replace(CONFIG, energy=True))(wave_BT)
    without = Mfcc(CONFIG)(wave_BT)
    torch.testing.assert_close(with_energy[:, 1:], without[:, 1:])
    louder = Mfcc(replace(CONFIG, energy=True))(wave_BT * 0.1)
    step = with_energy[:, 0] - louder[:, 0]
    torch.testing.assert_close(step, torch.full_like(step, np.log(100)), rtol=0, atol=1e-4)


def test_output_is_float32_and_unchanged_under_autocast() -> None:
    wave_BT = batch_BT(structured_wave_T(16000))
    module = Mfcc(replace(CONFIG, delta_order=1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = module(wave_BT)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, module(wave_BT), rtol=0, atol=0)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_ceps": 0},
        {"num_ceps": 65},
        {"lifter": -1.0},
        {"delta_order": 3},
        {"delta_window": 0},
        {"log_mel": replace(CONFIG.log_mel, clip_norm="mean")},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        replace(CONFIG, **settings)  # type: ignore[arg-type]  # wrong on purpose
