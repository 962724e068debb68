from pathlib import Path

import pytest

from jobs import cli
from jobs.recipe import ABOUT, Recipe, load_recipe, recipe_from, recipe_names
from jobs.train_options import TrainOptions
from jobs.training_commands import _recipe
from shardwriter.errors import ConfigError


def test_every_recipe_that_comes_with_melstream_loads() -> None:
    assert recipe_names() == ("audioset", "esc50", "speech_commands", "voxceleb")
    for name in recipe_names():
        assert isinstance(load_recipe(name), Recipe)
    assert load_recipe("esc50") == Recipe()
    assert load_recipe("voxceleb").objective == "aam"


def test_every_setting_is_explained() -> None:
    assert list(ABOUT) == list(Recipe.__dataclass_fields__)


def test_flags_override_the_recipe_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('model = "cnn6"\nlearning_rate = 1\nepochs = 7\n')
    arguments = cli.parser().parse_args(
        ["train", "data", "--recipe", str(path), "--epochs", "9", "--no-shift"]
    )
    recipe = _recipe(arguments)
    assert (recipe.model, recipe.learning_rate, recipe.epochs) == ("cnn6", 1.0, 9)
    assert not recipe.shift
    assert recipe.batch_size == Recipe().batch_size


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"epoch": 3}, "there is no setting epoch"),
        ({"model": "resnet"}, "model must be one of cnn6, cnn10, cnn14, ast, ecapa"),
        ({"epochs": 3.0}, "epochs must be a whole number, got 3.0"),
        ({"epochs": True}, "epochs must be a whole number, got True"),
        ({"epochs": 0}, r"epochs must be in 1\.\.1e\+06, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be in"),
        ({"batch_size": 10, "accumulation": 3}, "can't be computed in 3 parts"),
        ({"model": "ecapa", "objective": "bce"}, "takes auto or aam"),
        ({"objective": "aam"}, "--objective aam is not for --model cnn10"),
    ],
)
def test_wrong_settings_are_refused_with_the_way_out(row: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe_from(row)


def test_recipe_that_is_not_there_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no recipe 'fsd': give one of audioset, esc50"):
        load_recipe("fsd")
    path = tmp_path / "broken.toml"
    path.write_text("model = ")
    with pytest.raises(ConfigError, match=r"broken\.toml is no TOML"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "nothing is held out"),
        ({"eval_split": "train"}, "nothing is held out: train is also trained on; give"),
        ({"splits": ("a", "b"), "folds": (1,), "eval_folds": (2,)}, "a,b are several: give --eval"),
        ({"splits": ("a", "b"), "eval_split": "b"}, "nothing is held out"),
        ({"eval_folds": (5,)}, "give the --folds to train on"),
        ({"folds": (1, 5), "eval_folds": (5,)}, "--eval-fold 5 is also one of --folds"),
    ],
)
def test_training_that_holds_nothing_out_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainOptions(url="data", **changes)  # type: ignore[arg-type]


def test_held_out_split_needs_no_folds() -> None:
    options = TrainOptions(url="data", eval_split="test")
    assert (options.selection, options.held_out) == ("split train", "split test")


def test_several_splits_are_trained_on_as_one() -> None:
    options = TrainOptions(url="data", splits=("balanced", "unbalanced"), eval_split="eval")
    assert (options.selection, options.held_out) == ("splits balanced, unbalanced", "split eval")
