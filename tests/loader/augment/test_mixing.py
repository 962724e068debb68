import numpy as np
import pytest
import torch

from loader.augment.mixing import (
    energy_weights,
    loudest_frame_db,
    mix_mels,
    mix_targets,
    mix_waves,
)
from loader.augment.parameters import MixParameters
from loader.augment.recipe_mix import Mix

PARAMETERS = MixParameters(
    partner_B=torch.tensor([1.0, 2.0, 0.0]), weight_B=torch.tensor([0.7, 1.0, 0.2])
)
TARGET_BK = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def test_linear_mixing_weighs_both_waves_and_takes_the_longer_length() -> None:
    wave_BT = torch.tensor([[1.0, 2.0, 0.0], [3.0, 4.0, 5.0], [6.0, 0.0, 0.0]])
    mixed_BT, lengths_B = mix_waves(
        wave_BT, torch.tensor([2, 3, 1]), PARAMETERS, Mix(), sample_rate_hz=16000
    )
    expected_BT = torch.stack(
        [0.7 * wave_BT[0] + 0.3 * wave_BT[1], wave_BT[1], 0.2 * wave_BT[2] + 0.8 * wave_BT[0]]
    )
    torch.testing.assert_close(mixed_BT, expected_BT)
    assert lengths_B.tolist() == [3, 3, 2]


def test_weighted_targets_keep_a_label_that_both_have_at_1() -> None:
    target_BK = mix_targets(TARGET_BK, PARAMETERS, Mix())
    torch.testing.assert_close(
        target_BK, torch.tensor([[0.7, 1.0, 0.0], [0.0, 1.0, 0.0], [0.8, 0.8, 0.2]])
    )


def test_union_targets_have_every_label_of_both_and_only_where_mixed() -> None:
    target_BK = mix_targets(TARGET_BK, PARAMETERS, Mix(targets="union"))
    assert target_BK.tolist() == [[1, 1, 0], [0, 1, 0], [1, 1, 1]]


def test_spectrograms_are_mixed_by_weight() -> None:
    mel_BMF = torch.randn(3, 4, 5)
    mixed_BMF = mix_mels(mel_BMF, PARAMETERS)
    torch.testing.assert_close(mixed_BMF[0], 0.7 * mel_BMF[0] + 0.3 * mel_BMF[1])
    torch.testing.assert_close(mixed_BMF[1], mel_BMF[1])


def test_energy_mixing_evens_out_the_levels_and_keeps_the_energy() -> None:
    generator = torch.Generator().manual_seed(7)
    wave_BT = torch.randn(2, 16000, generator=generator) * torch.tensor([[1.0], [0.01]])
    parameters = MixParameters(
        partner_B=torch.tensor([1.0, 0.0]), weight_B=torch.tensor([0.5, 1.0])
    )
    mixed_BT, _ = mix_waves(
        wave_BT, torch.tensor([16000] * 2), parameters, Mix(mode="energy"), sample_rate_hz=16000
    )
    torch.testing.assert_close(mixed_BT[1], wave_BT[1])
    # With r = 1/2 both are as loud as each other in the mix, though one is 40 dB quieter.
    own, other = (float((mixed_BT[0] * wave).sum() / wave.square().sum()) for wave in wave_BT)
    assert abs(20 * np.log10(own / other) + 40) < 1
    assert own**2 + other**2 == pytest.approx(1, abs=0.02)


def test_energy_weights_are_the_formula_of_the_paper() -> None:
    ratio, level_1, level_2 = 0.3, -10.0, -22.0
    t = 1 / (1 + 10 ** ((level_1 - level_2) / 20) * (1 - ratio) / ratio)
    expected = np.array([t, 1 - t]) / np.sqrt(t**2 + (1 - t) ** 2)
    got = energy_weights(torch.tensor([ratio]), torch.tensor([level_1]), torch.tensor([level_2]))
    np.testing.assert_allclose([float(weight) for weight in got], expected, rtol=1e-5)


@pytest.mark.parametrize(("rate_hz", "n_fft"), [(16000, 2048), (32000, 4096)])
def test_the_level_is_the_loudest_a_weighted_frame(rate_hz: int, n_fft: int) -> None:
    """Against a loop in float64 with the A weighting as the standard writes it."""
    wave_BT = torch.randn(10, 3 * n_fft + 100, generator=torch.Generator().manual_seed(8))
    wave_BT[3] = 0
    hz = np.fft.rfftfreq(n_fft, 1 / rate_hz)[1:]
    amplitude = 12194.217**2 * hz**4 / (
        (hz**2 + 20.598997**2)
        * np.sqrt((hz**2 + 107.65265**2) * (hz**2 + 737.86223**2))
        * (hz**2 + 12194.217**2)
    )  # fmt: skip
    weight = 10 ** (np.maximum(np.concatenate(([-80], 20 * np.log10(amplitude) + 2)), -80) / 10)
    window = np.hanning(n_fft + 1)[:-1]
    expected = []
    for wave_T in wave_BT.double().numpy():
        frames = [
            np.sum(weight * np.abs(np.fft.rfft(window * wave_T[first : first + n_fft])) ** 2)
            for first in range(0, len(wave_T) - n_fft + 1, n_fft // 2)
        ]
        expected.append(10 * np.log10(max(*frames, 1e-8)))
    got_B = loudest_frame_db(wave_BT, sample_rate_hz=rate_hz)
    np.testing.assert_allclose(got_B, expected, atol=0.01)


def test_a_clip_shorter_than_a_frame_has_a_level_too() -> None:
    assert bool(loudest_frame_db(torch.ones(2, 50), sample_rate_hz=16000).isfinite().all())
