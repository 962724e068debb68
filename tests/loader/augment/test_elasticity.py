"""The same sample gets the same augmentation wherever, and after whatever, it is trained on."""

from dataclasses import replace

import pytest
import torch

from loader import LoaderConfig, ShardLoader, World
from loader.augment import Augmenter, Banks, BankSettings, ClipBank
from loader.augment.recipe import AugmentRecipe
from loader.augment.recipe_mel import SpecAugment
from loader.augment.recipe_wave import BandPass, Gain, Noise, NoiseKind, Roll, WhiteNoise
from tests.loader.builders import CROP_SECONDS, NUM_CLIPS, RATE_HZ

RECIPE = AugmentRecipe(
    roll=Roll(),
    gain=Gain(min_db=-6, max_db=6),
    band_pass=BandPass(max_high_hz=3500),
    noise=Noise(
        kinds=(
            ("dogs", NoiseKind(min_snr_db=0, max_snr_db=9)),
            ("weather", NoiseKind(min_snr_db=0, max_snr_db=9, min_voices=2, max_voices=3)),
        )
    ),
    white_noise=WhiteNoise(),
    spec_augment=SpecAugment(num_time_masks=2, max_time_frames=4, num_band_masks=1, max_bands=3),
)


def make_augmenter(url: str) -> Augmenter:
    bank = ClipBank.from_dataset(
        url,
        split="train",
        kinds={"dogs": ["bark"], "weather": ["rain", "wind"]},
        settings=BankSettings(segment_seconds=CROP_SECONDS, byte_budget=2 * 160 * 6),
    )
    return Augmenter(RECIPE, sample_rate_hz=RATE_HZ, seed=3, banks=Banks(noise=bank))


def augmented(
    loader: ShardLoader, augmenter: Augmenter, num_steps: int | None = None
) -> dict[str, torch.Tensor]:
    """Key → its wave and spectrogram, over what is left of the epoch or some steps."""
    epoch, results = loader.epoch, {}
    for step, batch in enumerate(loader):
        parameters = augmenter.draw(batch.keys, epoch=epoch)
        wave_BT, _ = augmenter.wave(batch, parameters)
        mel_BMF = augmenter.mel(wave_BT.reshape(len(batch), 8, 20), parameters, mask_value=9.0)
        for row, key in enumerate(batch.keys):
            if not batch.is_padding_B[row]:
                results[key] = torch.cat([wave_BT[row], mel_BMF[row].flatten()])
        if num_steps is not None and step + 1 == num_steps:
            break
    return results


def over_ranks(config: LoaderConfig, size: int, epoch: int) -> dict[str, torch.Tensor]:
    results = {}
    for rank in range(size):
        loader = ShardLoader(config, world=World(rank=rank, size=size))
        loader.set_epoch(epoch)
        results |= augmented(loader, make_augmenter(config.url))
    return results


def assert_same(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert sorted(got) == sorted(expected)
    for key, value in expected.items():
        torch.testing.assert_close(got[key], value, rtol=0, atol=1e-6)


def config_of(url: str, batch_size: int) -> LoaderConfig:
    return LoaderConfig(
        url=url, split="train", batch_size=batch_size, crop_seconds=CROP_SECONDS, tail="pad"
    )


@pytest.mark.parametrize(("size", "batch_size"), [(1, 5), (2, 3), (3, 4)])
def test_world_and_batch_size_change_no_samples_augmentation(
    dataset_url: str, size: int, batch_size: int
) -> None:
    expected = over_ranks(config_of(dataset_url, NUM_CLIPS), 1, epoch=2)
    assert len(expected) == NUM_CLIPS
    assert_same(over_ranks(config_of(dataset_url, batch_size), size, epoch=2), expected)


def test_a_resumed_run_augments_as_the_one_that_was_not_interrupted(dataset_url: str) -> None:
    config = config_of(dataset_url, 4)
    whole = augmented(ShardLoader(config, world=World()), make_augmenter(dataset_url))
    loader = ShardLoader(config, world=World())
    first = augmented(loader, make_augmenter(dataset_url), num_steps=2)
    state = loader.state_dict()
    loader.close()
    resumed = ShardLoader(replace(config, batch_size=3), world=World())
    resumed.load_state_dict(state)
    rest = augmented(resumed, make_augmenter(dataset_url))
    assert len(first) == 8
    assert_same(first | rest, whole)
