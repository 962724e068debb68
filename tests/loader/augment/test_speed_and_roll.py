import math

import numpy as np
import pytest
import torch
import torchaudio

from loader.augment.speed import change_speed
from loader.augment.wave import rolled, without_mean

RATE_HZ = 16000


def tones(num_rows: int, num_samples: int, hz: float) -> torch.Tensor:
    place_T = torch.arange(num_samples, dtype=torch.float64)
    return (0.5 * torch.sin(2 * math.pi * hz / RATE_HZ * place_T)).float().repeat(num_rows, 1)


def test_speed_changes_pitch_and_length_and_leaves_zeros_behind_the_end() -> None:
    wave_BT = tones(3, 16000, 1000.0)
    wave_BT[:, 12000:] = 0
    got_BT, lengths_B = change_speed(
        wave_BT,
        torch.tensor([12000] * 3),
        factors=(0.9, 1.0, 1.1),
        index_B=torch.tensor([0.0, 1.0, 2.0]),
    )
    assert lengths_B.tolist() == [math.ceil(12000 / 0.9), 12000, math.ceil(12000 / 1.1)]
    torch.testing.assert_close(got_BT[1], wave_BT[1], rtol=0, atol=0)
    for row, hz in ((0, 900.0), (2, 1100.0)):
        length = int(lengths_B[row])
        inside = slice(500, length - 500)
        expected_T = tones(1, 16000, hz)[0]
        torch.testing.assert_close(got_BT[row, inside], expected_T[inside], rtol=0, atol=2e-3)
        assert not got_BT[row, length:].any()


@pytest.mark.parametrize(("factor", "old", "new"), [(0.9, 9, 10), (1.1, 11, 10), (0.75, 3, 4)])
def test_speed_agrees_with_torchaudios_resampling(factor: float, old: int, new: int) -> None:
    generator = torch.Generator().manual_seed(6)
    wave_BT = torch.randn(9, 8000, generator=generator)
    # Without what lies near either band's end, where two resamplers may differ.
    wave_BT = torchaudio.functional.resample(
        torchaudio.functional.resample(wave_BT, 4, 3, lowpass_filter_width=64), 3, 4,
        lowpass_filter_width=64,
    )  # fmt: skip
    wave_BT = torchaudio.functional.lowpass_biquad(wave_BT, RATE_HZ, 3000.0)
    got_BT, lengths_B = change_speed(
        wave_BT, torch.full((9,), 8000), factors=(factor,), index_B=torch.zeros(9)
    )
    expected_BT = torchaudio.functional.resample(
        wave_BT, old, new, lowpass_filter_width=128, rolloff=0.98
    )
    inside = slice(600, min(int(lengths_B[0]), expected_BT.shape[1]) - 600)
    error_BT = got_BT[:, inside] - expected_BT[:, inside]
    assert float(error_BT.square().mean().sqrt()) < 0.01 * float(wave_BT.std())


def test_a_clip_that_becomes_too_long_is_cut() -> None:
    got_BT, lengths_B = change_speed(
        torch.randn(1, 1000), torch.tensor([1000]), factors=(0.5,), index_B=torch.zeros(1)
    )
    assert got_BT.shape == (1, 1000)
    assert lengths_B.tolist() == [1000]


@pytest.mark.parametrize("shift", [0, 1, -1, 37, -37, 250, 99])
@pytest.mark.parametrize("as_on_a_device", [False, True])
def test_roll_is_numpys_roll_within_each_clip(
    monkeypatch: pytest.MonkeyPatch, shift: int, as_on_a_device: bool
) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: as_on_a_device)
    wave_BT = torch.randn(3, 100)
    lengths = [100, 60, 1]
    wave_BT = wave_BT * (torch.arange(100) < torch.tensor(lengths)[:, None])
    got_BT = rolled(
        wave_BT,
        torch.tensor(lengths),
        shift_samples_B=torch.full((3,), float(shift)),
        shift_share_B=torch.zeros(3),
    )
    for row, length in enumerate(lengths):
        expected_T = np.roll(wave_BT[row, :length].numpy(), shift)
        np.testing.assert_array_equal(got_BT[row, :length], expected_T)
        assert not got_BT[row, length:].any()


def test_a_roll_by_a_share_is_of_the_clips_own_length() -> None:
    wave_BT = torch.arange(1.0, 11.0)[None].repeat(2, 1)
    wave_BT[1, 4:] = 0
    got_BT = rolled(
        wave_BT,
        torch.tensor([10, 4]),
        shift_samples_B=torch.zeros(2),
        shift_share_B=torch.tensor([0.3, 0.5]),
    )
    assert got_BT[0].tolist() == [8, 9, 10, 1, 2, 3, 4, 5, 6, 7]
    assert got_BT[1].tolist() == [3, 4, 1, 2, 0, 0, 0, 0, 0, 0]


def test_the_mean_is_that_of_the_clips_own_samples() -> None:
    wave_BT = torch.tensor([[1.0, 3.0, 0.0, 0.0]])
    assert without_mean(wave_BT, torch.tensor([2])).tolist() == [[-1.0, 1.0, 0.0, 0.0]]
