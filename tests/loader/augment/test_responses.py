from dataclasses import fields, replace

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from loader.augment.parameters import WaveParameters
from loader.augment.recipe import AugmentRecipe
from loader.augment.recipe_wave import BandPass, Equalizer, Response
from loader.augment.responses import convolve, fast_length, tail_samples, unit_energy
from loader.augment.wave import BankContents, augment_wave
from tests.loader.augment.makers import RATE_HZ, response_clips

NUM_SAMPLES = 6000


def still(num_rows: int, **changed: torch.Tensor) -> WaveParameters:
    """Parameters that change nothing, but for those given."""
    empty = {"equalizer_hz_BK", "equalizer_db_BK", "equalizer_q_BK"}
    values = {
        field.name: torch.zeros((num_rows, 0) if field.name in empty else (num_rows,))
        for field in fields(WaveParameters)
    }
    return replace(WaveParameters(**values), **changed)


def filtered(
    wave_BT: torch.Tensor, parameters: WaveParameters, recipe: AugmentRecipe, **banks: torch.Tensor
) -> torch.Tensor:
    lengths_B = torch.full((len(wave_BT),), wave_BT.shape[1])
    result_BT, _ = augment_wave(
        wave_BT, lengths_B, parameters, recipe, BankContents(**banks), sample_rate_hz=RATE_HZ
    )
    return result_BT


def waves(num_rows: int) -> torch.Tensor:
    # Quiet, because torchaudio clips what exceeds 1.
    return torch.randn(num_rows, NUM_SAMPLES, generator=torch.Generator().manual_seed(4)) * 0.05


@given(st.integers(1, 400_000))
def test_a_fast_length_has_no_factor_but_2_3_and_5_and_is_near(num_samples: int) -> None:
    length = fast_length(num_samples)
    rest = length
    for factor in (2, 3, 5):
        while rest % factor == 0:
            rest //= factor
    assert rest == 1
    assert length % 2 == 0
    # No gap is wider, in proportion, than those of 1 to 2 and 3 to 4.
    assert num_samples <= length <= max(2, num_samples * 4 / 3)


@pytest.mark.parametrize(("least", "length"), [(1, 2), (7, 8), (17, 18), (351_999, 353_434)])
def test_no_smaller_length_would_do(least: int, length: int) -> None:
    def is_smooth(number: int) -> bool:
        for factor in (2, 3, 5):
            while number % factor == 0:
                number //= factor
        return number == 1

    first = next(n for n in range(least, 2 * least + 2) if n % 2 == 0 and is_smooth(n))
    assert fast_length(least) == first


@pytest.mark.parametrize("num_rows", [3, 19])
def test_equalizer_is_torchaudios_peaking_filters_in_a_row(num_rows: int) -> None:
    generator = torch.Generator().manual_seed(5)
    hz_BK = 60.0 * (7000 / 60) ** torch.rand(num_rows, 3, generator=generator)
    db_BK = torch.rand(num_rows, 3, generator=generator) * 12 - 6
    q_BK = 0.7 + torch.rand(num_rows, 3, generator=generator) * 1.3
    db_BK[1] = 0
    wave_BT = waves(num_rows)
    parameters = still(num_rows, equalizer_hz_BK=hz_BK, equalizer_db_BK=db_BK, equalizer_q_BK=q_BK)
    got_BT = filtered(wave_BT, parameters, AugmentRecipe(equalizer=Equalizer()))
    for row in range(num_rows):
        expected_T = wave_BT[row].double()
        for hz, db, q in zip(hz_BK[row], db_BK[row], q_BK[row], strict=True):
            expected_T = torchaudio.functional.equalizer_biquad(
                expected_T, RATE_HZ, float(hz), float(db), float(q)
            )
        torch.testing.assert_close(got_BT[row].double(), expected_T, rtol=0, atol=1e-4)


def test_band_pass_is_torchaudios_high_pass_and_low_pass() -> None:
    wave_BT = waves(3)
    parameters = still(
        3,
        has_band_pass_B=torch.tensor([1.0, 0.0, 1.0]),
        low_hz_B=torch.tensor([300.0, 100.0, 55.0]),
        high_hz_B=torch.tensor([3400.0, 4000.0, 7500.0]),
    )
    got_BT = filtered(wave_BT, parameters, AugmentRecipe(band_pass=BandPass()))
    torch.testing.assert_close(got_BT[1], wave_BT[1], rtol=0, atol=0)
    for row, low_hz, high_hz in ((0, 300, 3400), (2, 55, 7500)):
        expected_T = torchaudio.functional.highpass_biquad(wave_BT[row].double(), RATE_HZ, low_hz)
        expected_T = torchaudio.functional.lowpass_biquad(expected_T, RATE_HZ, high_hz)
        torch.testing.assert_close(got_BT[row].double(), expected_T, rtol=0, atol=1e-4)


def test_a_room_is_scipys_convolution_with_a_response_of_unit_energy() -> None:
    clips_NS = response_clips(4, 1500)
    wave_BT = waves(3)
    parameters = still(
        3, has_room_B=torch.tensor([1.0, 0.0, 1.0]), room_row_B=torch.tensor([2.0, 1.0, 3.0])
    )
    got_BT = filtered(
        wave_BT, parameters, AugmentRecipe(room=Response()), room_NS=torch.from_numpy(clips_NS)
    )
    torch.testing.assert_close(got_BT[1], wave_BT[1], rtol=0, atol=0)
    for row, clip in ((0, 2), (2, 3)):
        response_S = clips_NS[clip] / np.sqrt(np.sum(clips_NS[clip].astype(np.float64) ** 2))
        expected_T = signal.fftconvolve(wave_BT[row].double().numpy(), response_S)[:NUM_SAMPLES]
        np.testing.assert_allclose(got_BT[row], expected_T, rtol=0, atol=1e-5)


def test_a_response_without_energy_changes_nothing() -> None:
    wave_BT = waves(1)
    got_BT = filtered(
        wave_BT,
        still(1, has_room_B=torch.ones(1)),
        AugmentRecipe(room=Response()),
        room_NS=torch.zeros((1, 300), dtype=torch.int16),
    )
    torch.testing.assert_close(got_BT, wave_BT, rtol=0, atol=1e-6)


def test_filters_device_and_room_together_are_one_after_the_other() -> None:
    wave_BT = waves(2)
    device_NS = torch.from_numpy(response_clips(2, 64))
    room_NS = torch.from_numpy(response_clips(2, 900))
    parameters = still(
        2,
        equalizer_hz_BK=torch.tensor([[500.0], [2000.0]]),
        equalizer_db_BK=torch.tensor([[6.0], [-3.0]]),
        equalizer_q_BK=torch.tensor([[1.0], [2.0]]),
        has_device_B=torch.ones(2),
        has_room_B=torch.ones(2),
        room_row_B=torch.tensor([1.0, 0.0]),
    )
    recipe = AugmentRecipe(equalizer=Equalizer(), device=Response(), room=Response())
    got_BT = filtered(wave_BT, parameters, recipe, device_NS=device_NS, room_NS=room_NS)
    expected_BT = filtered(wave_BT, parameters, AugmentRecipe(equalizer=Equalizer()))
    expected_BT = convolve(expected_BT, unit_energy(device_NS[:1].float()).expand(2, -1))
    expected_BT = convolve(expected_BT, unit_energy(room_NS.flip(0).float()))
    torch.testing.assert_close(got_BT, expected_BT, rtol=0, atol=1e-4)


def test_a_room_rings_into_the_clip_and_not_into_its_padding() -> None:
    wave_BT = waves(1)
    wave_BT[:, 4000:] = 0
    room_NS = torch.from_numpy(response_clips(1, 900))
    got_BT, lengths_B = augment_wave(
        wave_BT,
        torch.tensor([4000]),
        still(1, has_room_B=torch.ones(1)),
        AugmentRecipe(room=Response()),
        BankContents(room_NS=room_NS),
        sample_rate_hz=RATE_HZ,
    )
    assert bool(got_BT[0, 3900:4000].any())
    assert not got_BT[0, 4000:].any()
    assert lengths_B.tolist() == [4000]


def test_the_tail_is_as_long_as_the_narrowest_filter_rings() -> None:
    recipe = AugmentRecipe(equalizer=Equalizer(min_hz=50, max_q=4, max_db=12))
    tail = tail_samples(recipe, sample_rate_hz=RATE_HZ)
    impulse_T = torch.zeros(4 * tail, dtype=torch.float64)
    impulse_T[0] = 1
    ringing_T = torchaudio.functional.equalizer_biquad(impulse_T, RATE_HZ, 50, 12, 4)
    assert 1e-8 < ringing_T[tail:].abs().max() < 1e-5 * ringing_T.abs().max()
    assert tail_samples(AugmentRecipe(), sample_rate_hz=RATE_HZ) == 0
