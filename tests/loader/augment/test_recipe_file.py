from pathlib import Path

import pytest

from loader.augment.recipe import AugmentRecipe
from loader.augment.recipe_file import NAMES, load_recipe, parse_recipe, recipe
from loader.augment.recipe_wave import Gain, Noise, NoiseKind, Response
from shardwriter.errors import ConfigError


@pytest.mark.parametrize("name", NAMES)
def test_every_published_recipe_can_be_read(name: str) -> None:
    assert recipe(name) != AugmentRecipe()


def test_audioset_masks_and_mixes_as_ast_does() -> None:
    made = recipe("audioset")
    assert made.mix is not None
    assert (made.mix.p, made.mix.alpha, made.mix.targets) == (0.5, 10.0, "weighted")
    assert made.spec_augment is not None
    assert (made.spec_augment.max_bands, made.spec_augment.max_time_frames) == (48, 192)


@pytest.mark.parametrize(
    ("name", "num_frames", "num_bands"), [("audioset", 998, 128), ("esc50", 498, 128)]
)
def test_masks_are_as_wide_as_published_on_asts_front_end_and_as_wide_a_share_on_others(
    name: str, num_frames: int, num_bands: int
) -> None:
    masks = recipe(name).spec_augment
    assert masks is not None
    assert int(num_frames * masks.max_time_share) == masks.max_time_frames
    assert num_bands * masks.max_band_share == masks.max_bands


def test_voxceleb_has_the_ranges_of_voxceleb_trainer() -> None:
    noise = recipe("voxceleb").noise
    assert noise is not None
    assert dict(noise.kinds) == {
        "music": NoiseKind(min_snr_db=5, max_snr_db=15),
        "speech": NoiseKind(min_snr_db=13, max_snr_db=20, min_voices=3, max_voices=7),
        "noise": NoiseKind(min_snr_db=0, max_snr_db=15),
    }


def test_an_unknown_recipe_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="no recipe 'audioset2'; there are audioset"):
        recipe("audioset2")


def test_a_file_becomes_a_recipe_and_whole_numbers_become_numbers(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[gain]\nmin_db = -6\nmax_db = 6.5\n[noise.kinds.rain]\nmin_snr_db=0\n"
                    "max_snr_db=9\n")  # fmt: skip
    assert load_recipe(path) == AugmentRecipe(
        gain=Gain(min_db=-6.0, max_db=6.5),
        noise=Noise(kinds=(("rain", NoiseKind(min_snr_db=0.0, max_snr_db=9.0)),)),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[gian]\n", r"mine: unknown key 'gian'; there are band_pass, device"),
        ("[gain]\nmin_db=1\nmax_db=2\nq=3", r"mine, gain: unknown key 'q'; there are max_db"),
        ("[gain]\nmin_db=1", r"mine, gain: the key 'max_db' is missing"),
        ("[gain]\nmin_db=2\nmax_db=1", r"mine, gain: gain: min_db, max_db must be a rising range"),
        ("[gain]\nmin_db='a'\nmax_db=1", r"mine, gain, min_db: expected a number, got 'a'"),
        ("[gain]\nmin_db=nan\nmax_db=1", r"rising range"),
        ("remove_mean = 1", r"mine, remove_mean: expected true or false, got 1"),
        ("gain = 3", r"mine, gain: expected a table, got 3"),
        ("[room]\np = 1.5", r"p must be from 0 to 1, got 1.5"),
        ("[equalizer]\nnum_bands = true", r"num_bands: expected a whole number, got True"),
        ("[speed]\nfactors = 1.0", r"factors: expected a list of numbers, got 1.0"),
        ("[speed]\nfactors = [1.01]", r"multiples of 0.05 from 0.5 to 2, got 1.01"),
        ("[mix]\nmode = 'loud'", r"mode must be one of linear, energy, got 'loud'"),
        ("[noise.kinds.a]\nsnr = 3", r"mine, noise, kinds: unknown key 'snr'"),
        ("[spec_augment]\nmax_band_share = 2", r"max_band_share must be from 0 to 1, got 2"),
        ("normalise_peaks = true", r"normalise_peaks needs a room or noise"),
        ("room_or_noise = true", r"room_or_noise needs both a room and noise"),
        ("[gain", r"mine: not TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_recipe(text, where="mine")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"recipe nowhere.toml: can't be read"):
        load_recipe("nowhere.toml")


def test_room_and_noise_that_exclude_each_other_can_not_exceed_all_samples() -> None:
    noise = Noise(p=0.6, kinds=(("all", NoiseKind(min_snr_db=0, max_snr_db=1)),))
    with pytest.raises(ValueError, match=r"at most 1, got 0\.5 \+ 0\.6"):
        AugmentRecipe(room=Response(p=0.5), noise=noise, room_or_noise=True)
