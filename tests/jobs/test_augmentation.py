"""The banks that an augmentation recipe needs: opened, or refused by their flags."""

from pathlib import Path

import pytest
import torch

from jobs.augmentation import Augmentation, contents, open_augmentation
from jobs.bank_options import BankOptions, BankSource
from jobs.recipe import Recipe
from shardwriter.errors import ConfigError
from tests.jobs.builders import TONE_HZ
from tests.jobs.noise_builders import make_noises, make_responses

NOISE = "[noise]\n[noise.kinds.{kind}]\nmin_snr_db = 0\nmax_snr_db = 10\n"


@pytest.fixture(scope="module")
def noises(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_noises(tmp_path_factory.mktemp("noises") / "dataset")


@pytest.fixture(scope="module")
def responses(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_responses(tmp_path_factory.mktemp("responses") / "dataset")


def opened(augment: str, num_bytes: int = 10**8, **sources: BankSource) -> Augmentation:
    return open_augmentation(
        Recipe(augment=augment, crop_seconds=1.0),
        BankOptions(sources=sources, num_bytes=num_bytes),
        sample_rate_hz=TONE_HZ,
        seed=0,
        device=torch.device("cpu"),
    )


def test_an_augmentation_is_described_by_what_it_sets_and_not_by_defaults() -> None:
    described = opened("esc50").description["augment"]
    assert described == (
        "AugmentRecipe(remove_mean=True, roll=Roll(), mix=Mix(p=1.0, alpha=1.0, mode='energy'), "
        "spec_augment=SpecAugment(num_time_masks=1, max_time_frames=96, max_time_share=0.193, "
        "num_band_masks=1, max_bands=24, max_band_share=0.1875))"
    )


def test_noises_are_described_kind_by_kind(noises: str, tmp_path: Path) -> None:
    mine = recipe_file(tmp_path, NOISE.format(kind="music"))
    augmentation = opened(mine, noise=BankSource(url=noises))
    assert augmentation.description["augment"] == (
        "AugmentRecipe(noise=Noise(kinds=(('music', NoiseKind(min_snr_db=0.0, max_snr_db=10.0)))))"
    )


def recipe_file(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_a_kind_of_noise_is_a_label_of_the_dataset_and_every_split_is_taken(
    noises: str, responses: str
) -> None:
    made = opened("voxceleb", noise=BankSource(url=noises), room=BankSource(url=responses))
    assert made.banks.noise is not None
    assert {kind: size for kind, (_, size) in made.banks.noise.kinds.items()} == {
        "music": 3,
        "speech": 3,
        "noise": 3,
    }
    for kind, (first, size) in made.banks.noise.kinds.items():
        keys = made.banks.noise.at(0).keys[first : first + size]
        assert all(key.startswith(f"noises+{kind}-") for key in keys)
    assert contents(made.banks) == {
        "noise": "3 music, 3 speech, 3 noise at a time",
        "room responses": "4 all at a time",
    }


def test_a_kind_all_takes_every_clip_of_the_chosen_splits(tmp_path: Path, noises: str) -> None:
    augment = recipe_file(tmp_path, NOISE.format(kind="all"))
    made = opened(augment, noise=BankSource(url=noises, splits=("noise", "speech")))
    assert made.banks.noise is not None
    assert len(made.banks.noise.at(0).keys) == 6


def test_a_bank_that_has_no_room_for_all_takes_others_each_epoch(
    tmp_path: Path, noises: str
) -> None:
    augment = recipe_file(tmp_path, NOISE.format(kind="all"))
    num_bytes = 5 * 20 * TONE_HZ * 2
    bank = opened(augment, num_bytes=num_bytes, noise=BankSource(url=noises)).banks.noise
    assert bank is not None
    first, second = bank.at(0), bank.at(1)
    assert len(first.keys) == len(second.keys) == 5
    assert first.keys != second.keys
    assert first.clips_NS.nbytes == num_bytes


def test_rows_of_responses_are_as_long_as_the_longest_and_never_longer_than_a_clip(
    tmp_path: Path, responses: str
) -> None:
    augment = recipe_file(tmp_path, "[room]\n")
    long = make_responses(tmp_path / "long", seconds=1.5)
    for url, num_samples in ((responses, round(0.05 * TONE_HZ)), (long, TONE_HZ)):
        bank = opened(augment, room=BankSource(url=url)).banks.room
        assert bank is not None
        assert bank.at(0).clips_NS.shape == (4, num_samples)


def test_no_augmentation_needs_no_bank() -> None:
    assert opened("").recipe is None
    assert opened("esc50").banks.noise is None


def test_a_bank_that_is_missing_is_asked_for_by_its_flag(tmp_path: Path, noises: str) -> None:
    with pytest.raises(ConfigError, match=rf"of {TONE_HZ} Hz; or leave \[noise\] out of a file"):
        opened(recipe_file(tmp_path, NOISE.format(kind="all")))
    with pytest.raises(
        ConfigError,
        match=rf"--augment voxceleb has \[noise\]: give --noise URL, a dataset of shards of "
        rf"{TONE_HZ} Hz with the labels music, speech, noise",
    ):
        opened("voxceleb")
    with pytest.raises(ConfigError, match=r"has \[room\]: give --rirs URL"):
        opened("voxceleb", noise=BankSource(url=noises))


def test_a_bank_of_no_use_is_refused(noises: str) -> None:
    source = BankSource(url=noises)
    with pytest.raises(ConfigError, match=r"--noise .* is of no use: --augment esc50 has no \[noi"):
        opened("esc50", noise=source)
    with pytest.raises(ConfigError, match=r"--rirs .* is of no use: there is no --augment"):
        opened("", room=source)


def test_a_dataset_that_does_not_fit_is_named_with_its_flag(tmp_path: Path, noises: str) -> None:
    rain = recipe_file(tmp_path, NOISE.format(kind="rain"))
    with pytest.raises(ConfigError, match=r"--noise .*: kind 'rain' names the label 'rain'"):
        opened(rain, noise=BankSource(url=noises))
    hum = recipe_file(tmp_path, NOISE.format(kind="noise"))
    with pytest.raises(ConfigError, match=r"--noise .*dataset"):
        opened(hum, noise=BankSource(url=str(tmp_path / "nowhere")))
    with pytest.raises(ConfigError, match=r"--noise .*'wind'"):
        opened(hum, noise=BankSource(url=noises, splits=("wind",)))
    fast = make_noises(tmp_path / "fast", kinds=("noise",), sample_rate_hz=2 * TONE_HZ)
    with pytest.raises(ConfigError, match=rf"ingest it with --sample-rate {TONE_HZ}"):
        opened(hum, noise=BankSource(url=fast))


def test_made_classes_must_begin_with_the_speed_that_is_tested(tmp_path: Path) -> None:
    text = "[speed]\nfactors = [0.9, 1.0]\nnew_classes = true\n"
    with pytest.raises(ConfigError, match=r"the first of the factors must be 1\.0"):
        opened(recipe_file(tmp_path, text))
