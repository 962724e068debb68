"""What masks are filled with, by the front end, and how the parameters get to the device."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jobs.front_end import FrontEnd, FrontEndConfig, front_end_config
from loader.augment import AugmentParameters, AugmentRecipe
from loader.augment.recipe_mel import SpecAugment
from loader.augment.recipe_mix import Mix
from loader.augment.recipe_wave import Gain
from loader.batch import AudioBatch
from loader.features import presets
from tests.loader.augment.makers import RATE_HZ, make_batch
from tests.loader.fake_cuda import DEVICE, fake_cuda, no_waiting_copies, with_fake_buffers

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


@pytest.fixture
def host_of_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs a card, or values: pinning, and numbers of copies, which are 0 here."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(torch.Tensor, "numpy", lambda tensor: np.zeros(len(tensor), np.int64))


@pytest.mark.usefixtures("host_of_fakes")
def test_features_of_a_training_never_wait_and_what_was_drawn_travels_once(
    batch: AudioBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    pack = AugmentParameters.packed_BP

    def counted(parameters: AugmentParameters) -> torch.Tensor:
        made.append(pack(parameters))
        return made[-1]

    monkeypatch.setattr(AugmentParameters, "packed_BP", counted)
    config = front_end_config("small", sample_rate_hz=RATE_HZ)
    recipe = replace(MASKS, gain=Gain(min_db=-6, max_db=6), mix=Mix())
    front_end = FrontEnd(replace(config, augment=recipe))
    assert front_end.augmenter is not None
    drawn = front_end.augmenter.draw(batch.keys, epoch=0)  # numpy takes no fakes
    monkeypatch.setattr(front_end.augmenter, "draw", lambda *_, **__: drawn)
    with fake_cuda():
        with_fake_buffers(front_end)
        with no_waiting_copies():
            features = front_end.training_features(batch, 0)
    assert features.mel_BMF.device == features.target_BK.device == DEVICE
    assert len(made) == 1


@pytest.mark.usefixtures("host_of_fakes")
def test_the_shift_of_a_training_never_waits(batch: AudioBatch) -> None:
    front_end = FrontEnd(front_end_config("small", sample_rate_hz=RATE_HZ, shift=True))
    with fake_cuda():
        with_fake_buffers(front_end)
        with no_waiting_copies():
            features = front_end.training_features(batch, 0)
    assert features.mel_BMF.device == features.num_frames_B.device == DEVICE
