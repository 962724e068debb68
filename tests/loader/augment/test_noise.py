import numpy as np
import pytest
import torch

from loader.augment.noise import WHITE_NOISE_RMS, add_noise, add_white_noise, make_white_noise
from loader.augment.recipe_wave import SnrFormula
from loader.augment.segments import segments_BT
from tests.loader.augment.makers import noise_clips

ROWS, SAMPLES = 12, 4000


def waves_and_lengths() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    levels_B = 10.0 ** torch.linspace(-2.5, -0.3, ROWS)
    wave_BT = torch.randn(ROWS, SAMPLES, generator=generator) * levels_B[:, None]
    num_samples_B = torch.tensor([SAMPLES, 1500, 17] * (ROWS // 3))
    return wave_BT * (torch.arange(SAMPLES) < num_samples_B[:, None]), num_samples_B


def mixed(formula: SnrFormula, snr_db_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum and the noise in it."""
    wave_BT, num_samples_B = waves_and_lengths()
    mixed_BT = add_noise(
        wave_BT,
        num_samples_B,
        torch.from_numpy(noise_clips(5, SAMPLES + 300)),
        formula=formula,
        has_noise_BV=torch.ones(ROWS, 1),
        row_BV=torch.arange(ROWS).remainder(5).float()[:, None],
        share_BV=torch.linspace(0, 0.999, ROWS)[:, None],
        snr_db_BV=snr_db_B[:, None],
    )
    return mixed_BT, mixed_BT - wave_BT


def test_the_snr_is_what_was_drawn_on_each_clips_own_samples() -> None:
    snr_db_B = torch.linspace(-5, 30, ROWS)
    _, noise_BT = mixed("rms", snr_db_B)
    wave_BT, num_samples_B = waves_and_lengths()
    for wave_T, noise_T, length, snr_db in zip(
        wave_BT.double(), noise_BT.double(), num_samples_B, snr_db_B, strict=True
    ):
        ratio = wave_T[:length].square().mean() / noise_T[:length].square().mean()
        assert abs(10 * ratio.log10() - snr_db) < 0.1
        assert not noise_T[length:].any()


def test_speechbrains_formula_has_the_ratio_and_keeps_the_sum_of_amplitudes() -> None:
    snr_db_B = torch.linspace(0, 15, ROWS)
    mixed_BT, _ = mixed("speechbrain", snr_db_B)
    wave_BT, num_samples_B = waves_and_lengths()
    share_B = 1 / (10 ** (snr_db_B / 20) + 1)
    noise_BT = mixed_BT - wave_BT * (1 - share_B)[:, None]
    for wave_T, noise_T, length, share in zip(
        wave_BT, noise_BT, num_samples_B, share_B, strict=True
    ):
        rms, noise_rms = (part[:length].square().mean().sqrt() for part in (wave_T, noise_T))
        torch.testing.assert_close(noise_rms, share * rms, rtol=1e-3, atol=1e-6)


def test_the_floor_of_voxceleb_trainer_matters_for_quiet_clips_only() -> None:
    snr_db_B = torch.full((ROWS,), 10.0)
    _, noise_BT = mixed("rms_floor", snr_db_B)
    wave_BT, num_samples_B = waves_and_lengths()
    clips = torch.from_numpy(noise_clips(5, SAMPLES + 300))
    plain_BT = segments_BT(
        clips, torch.arange(ROWS) % 5, torch.linspace(0, 0.999, ROWS), num_samples=SAMPLES
    )
    for row, length in enumerate(num_samples_B):
        # As the loop of voxceleb_trainer, in numpy.
        clean = 10 * np.log10(np.mean(wave_BT[row, :length].numpy() ** 2) + 1e-4)
        noise = plain_BT[row, :length].numpy()
        level = 10 * np.log10(np.mean(noise**2) + 1e-4)
        expected = np.sqrt(10 ** ((clean - level - 10.0) / 10)) * noise
        np.testing.assert_allclose(noise_BT[row, :length], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("formula", ["rms", "speechbrain", "rms_floor"])
def test_silent_noise_changes_nothing_and_silence_gets_no_infinities(formula: SnrFormula) -> None:
    arguments = {
        "formula": formula,
        "has_noise_BV": torch.ones(2, 1),
        "row_BV": torch.zeros(2, 1),
        "share_BV": torch.zeros(2, 1),
        "snr_db_BV": torch.zeros(2, 1),
    }
    wave_BT, lengths_B = torch.randn(2, 100), torch.tensor([100, 100])
    silent_NS = torch.zeros((1, 100), dtype=torch.int16)
    torch.testing.assert_close(add_noise(wave_BT, lengths_B, silent_NS, **arguments), wave_BT)
    clips_NS = torch.from_numpy(noise_clips(1, 100))
    silence = add_noise(torch.zeros(2, 100), lengths_B, clips_NS, **arguments)
    assert bool(silence.isfinite().all())


@pytest.mark.parametrize("formula", ["rms", "speechbrain"])
def test_each_voice_of_babble_has_its_own_ratio_to_the_clean_clip(formula: SnrFormula) -> None:
    generator = torch.Generator().manual_seed(5)
    wave_BT = torch.randn(1, SAMPLES, generator=generator)
    snrs_db = (6.0, 12.0)
    # SpeechBrain's turns the clip down by each voice's share.
    shares = [1 / (10 ** (snr_db / 20) + 1) for snr_db in snrs_db]
    clip_BT = wave_BT * ((1 - shares[0]) * (1 - shares[1]) if formula == "speechbrain" else 1)
    clips = torch.zeros((2, SAMPLES), dtype=torch.int16)
    clips[0, 0::2] = 5000  # no sample in common, so that they can be told apart in the sum
    clips[1, 1::2] = 5000
    noise_BT = (
        add_noise(
            wave_BT,
            torch.tensor([SAMPLES]),
            clips,
            formula=formula,
            has_noise_BV=torch.tensor([[1.0, 1.0, 0.0]]),
            row_BV=torch.tensor([[0.0, 1.0, 0.0]]),
            share_BV=torch.zeros(1, 3),
            snr_db_BV=torch.tensor([[*snrs_db, 0.0]]),
        )
        - clip_BT
    )
    power = clip_BT.square().mean()
    for first, snr_db in enumerate(snrs_db):
        voice_power = noise_BT[0, first::2].square().mean() / 2
        assert abs(10 * (power / voice_power).log10() - snr_db) < 0.1


def test_white_noise_is_white_gaussian_and_at_its_level() -> None:
    white_NS = make_white_noise(1 << 17)
    white = white_NS[0].double().numpy() / 32768
    assert abs(white.std() / WHITE_NOISE_RMS - 1) < 0.01
    assert abs((np.abs(white) < white.std()).mean() - 0.6827) < 0.005
    spectrum = np.abs(np.fft.rfft(white.reshape(128, -1))) ** 2
    assert np.ptp(10 * np.log10(spectrum[:, 1:-1].mean(axis=0).reshape(7, 73).mean(axis=1))) < 1
    rms_B = torch.tensor([0.0, 10 ** (-46 / 20), 10 ** (-90 / 20)])
    silent_BT = torch.zeros(3, 50_000)
    noisy_BT = add_white_noise(
        silent_BT, torch.tensor([50_000] * 3), white_NS, rms_B=rms_B, share_B=torch.rand(3)
    )
    torch.testing.assert_close(noisy_BT.square().mean(dim=1).sqrt(), rms_B, rtol=0.02, atol=0)


def test_white_noise_is_the_same_at_a_place_however_much_there_is() -> None:
    assert torch.equal(make_white_noise(2000)[:, :500], make_white_noise(500))


def test_a_window_is_the_part_of_the_row_that_the_share_says() -> None:
    bank_NS = torch.arange(30, dtype=torch.int16).reshape(3, 10)
    got = segments_BT(
        bank_NS, torch.tensor([0.0, 2.0, 1.0]), torch.tensor([0.0, 1 - 2**-24, 0.5]), num_samples=4
    )
    expected = torch.tensor([[0, 1, 2, 3], [26, 27, 28, 29], [13, 14, 15, 16]]) / 32768
    torch.testing.assert_close(got, expected)


def test_a_bank_with_too_short_rows_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"11 samples and the bank's rows only 10.*segment_sec"):
        segments_BT(torch.zeros((1, 10), dtype=torch.int16), torch.zeros(1), torch.zeros(1),
                    num_samples=11)  # fmt: skip
