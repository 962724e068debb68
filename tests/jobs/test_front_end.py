"""What masks are filled with, by the front end."""

from dataclasses import replace

import pytest
import torch

from jobs.front_end import FrontEnd, FrontEndConfig, front_end_config
from loader.augment import AugmentRecipe
from loader.augment.recipe import SpecAugment
from loader.batch import AudioBatch
from loader.features import presets
from tests.loader.augment.makers import RATE_HZ, make_batch

MASKS = AugmentRecipe(spec_augment=SpecAugment(num_band_masks=1, max_bands=64))


@pytest.fixture(scope="module")
def batch() -> AudioBatch:
    return make_batch(6, RATE_HZ)


def masked(config: FrontEndConfig, batch: AudioBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the features, NaN but where a mask is, and those without masks."""
    plain_BMF = FrontEnd(config)(batch).mel_BMF
    front_end = FrontEnd(replace(config, augment=MASKS))
    got_BMF = front_end.training_features(batch, 0).mel_BMF
    assert (got_BMF != plain_BMF).flatten(1).any(dim=1).sum() >= 4
    return got_BMF.where(got_BMF != plain_BMF, torch.nan), plain_BMF


def test_masks_of_a_preset_with_a_published_value_have_it(batch: AudioBatch) -> None:
    got_BMF, _ = masked(front_end_config("ast", sample_rate_hz=RATE_HZ), batch)
    value = presets()["ast"].mask_value
    assert value is not None
    values = got_BMF[~got_BMF.isnan()]
    torch.testing.assert_close(values, torch.full_like(values, value))


def test_masks_of_standardised_features_are_the_datasets_mean(batch: AudioBatch) -> None:
    config = front_end_config("ast", sample_rate_hz=RATE_HZ)
    standardised = replace(config, mean_M=(-1.0,) * 128, std_M=(2.0,) * 128)
    got_BMF, _ = masked(standardised, batch)
    assert got_BMF[~got_BMF.isnan()].unique().tolist() == [0.0]


def test_masks_of_other_features_are_each_clips_mean(batch: AudioBatch) -> None:
    config = front_end_config("small", sample_rate_hz=RATE_HZ)
    got_BMF, plain_BMF = masked(config, batch)
    for clip, got_MF in enumerate(got_BMF):
        own_MF = plain_BMF[clip, :, : config.log_mel.num_frames(int(batch.num_samples_B[clip]))]
        values = got_MF[~got_MF.isnan()]
        torch.testing.assert_close(values, own_MF.mean().expand_as(values))
