from dataclasses import replace

import numpy as np
import pytest
import torch

from loader.augment import NoiseMixer
from loader.augment.recipe import Noise, NoiseKind
from shardwriter.errors import ConfigError
from tests.loader.augment.makers import KINDS, NOISE, RATE_HZ, make_bank, make_batch, noise_clips

CLIPS = noise_clips(15, 9000)


def mixer(noise: Noise = NOISE) -> NoiseMixer:
    return NoiseMixer(noise, make_bank(CLIPS, KINDS), sample_rate_hz=RATE_HZ, seed=5)


def test_int16_stays_int16_and_rows_without_noise_stay_as_they_are() -> None:
    batch = make_batch(40, 4000)
    before_BT = batch.wave_BT.clone()
    noisy = mixer().mix(batch, epoch=0)
    is_noisy_B = noisy.snr_db_B.isfinite()
    assert 15 < int(is_noisy_B.sum()) < 33
    assert noisy.batch.wave_BT.dtype == torch.int16
    assert torch.equal(batch.wave_BT, before_BT)
    changed_B = (noisy.batch.wave_BT != before_BT).any(dim=1)
    assert torch.equal(changed_B, is_noisy_B)
    for row_T, length in zip(noisy.batch.wave_BT, batch.num_samples_B, strict=True):
        assert not row_T[length:].any()


def test_the_snr_after_rounding_is_what_was_drawn() -> None:
    kinds = (("noise", NoiseKind(min_snr_db=0, max_snr_db=20)),)
    batch = make_batch(30, 4000)
    noisy = mixer(Noise(p=1.0, kinds=kinds)).mix(batch, epoch=3)
    for row, length in enumerate(batch.num_samples_B):
        clean_T = batch.wave_BT[row, :length].double()
        noise_T = noisy.batch.wave_BT[row, :length].double() - clean_T
        snr_db = 10 * (clean_T.square().mean() / noise_T.square().mean()).log10()
        assert abs(snr_db - noisy.snr_db_B[row]) < 0.1


def test_a_samples_noise_does_not_depend_on_its_batch() -> None:
    whole = mixer().mix(make_batch(24, 4000), epoch=1)
    parts = [mixer().mix(make_batch(6, 4000, first=first), epoch=1) for first in range(0, 24, 6)]
    assert torch.equal(whole.batch.wave_BT, torch.cat([part.batch.wave_BT for part in parts]))
    other = mixer().mix(make_batch(24, 4000), epoch=2)
    assert not torch.equal(whole.batch.wave_BT, other.batch.wave_BT)


def test_sums_are_rounded_to_nearest_and_clipped_ones_are_counted() -> None:
    kinds = (("music", NoiseKind(min_snr_db=0, max_snr_db=0)),)
    batch = make_batch(3, 4000)
    batch = replace(batch, wave_BT=torch.full_like(batch.wave_BT, 30000))
    batch.num_samples_B.fill_(4000)
    clips = np.tile(np.array([8000, -8000], dtype=np.int16), (15, 4500))
    loud = NoiseMixer(
        Noise(p=1.0, kinds=kinds), make_bank(clips, KINDS), sample_rate_hz=RATE_HZ, seed=0
    ).mix(batch, epoch=0)
    # Noise as loud as the clip: every other sample is 60000, cut to 32767, the rest 0.
    assert loud.num_clipped_B.tolist() == [2000] * 3
    assert sorted(loud.batch.wave_BT.unique().tolist()) == [0, 32767]


def test_what_does_not_fit_is_refused() -> None:
    bank = make_bank(CLIPS, KINDS)
    with pytest.raises(ConfigError, match="the noise has 16000 Hz, the batches have 8000 Hz"):
        NoiseMixer(NOISE, bank, sample_rate_hz=8000, seed=0)
    with pytest.raises(ConfigError, match=r"noise of kind 'music' is not in the bank.* all"):
        NoiseMixer(NOISE, make_bank(CLIPS), sample_rate_hz=RATE_HZ, seed=0)
