"""A recipe: every setting of a training that is not about where the data lies.

Recipes are TOML files with the fields of `Recipe`; those in `jobs/recipes` go by their name. Flags
of `melstream train` override single fields.
"""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from shardwriter.errors import ConfigError

Model = Literal["cnn6", "cnn10", "cnn14", "ast", "ecapa"]
ObjectiveKind = Literal["auto", "ce", "bce", "focal", "aam"]
ClassWeights = Literal["none", "balanced"]
Pooling = Literal["mean_max", "max", "attention", "linear_softmax"]
Precision = Literal["auto", "float32", "bf16"]
EvalClips = Literal["whole", "crop"]

_FOLDER = Path(__file__).parent / "recipes"
DEFAULT_RECIPE = "esc50"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What to train and how; `ABOUT` explains each field. The defaults are for small sets.

    Raises:
        ConfigError: a value out of its range.
    """

    model: Model = "cnn10"
    width: float = 0.125
    num_layers: int = 12
    weights: str = ""
    pooling: Pooling = "mean_max"
    merge_frames: int = 2
    block_dropout: float = 0.0
    head_dropout: float = 0.2
    preset: str = "small"
    standardise: bool = False
    shift: bool = True
    augment: str = ""
    balance: float = 0.0
    crop_seconds: float = 5.0
    eval_clips: EvalClips = "whole"
    objective: ObjectiveKind = "auto"
    label_smoothing: float = 0.0
    class_weights: ClassWeights = "none"
    focal_gamma: float = 2.0
    aam_margin: float = 0.2
    aam_scale: float = 30.0
    epochs: int = 30
    batch_size: int = 32
    accumulation: int = 1
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    warm_up_share: float = 0.1
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    precision: Precision = "auto"
    eval_every: int = 0
    checkpoint_steps: int = 50

    def __post_init__(self) -> None:
        for setting in fields(self):
            _check_type(setting.name, setting.type, getattr(self, setting.name))
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} must be in {low:g}..{high:g}, got {value:g}")
        if self.batch_size % self.accumulation:
            raise ConfigError(
                f"--batch-size {self.batch_size} can't be computed in {self.accumulation} parts; "
                f"choose a multiple of --accumulation"
            )
        allowed = ("auto", "aam") if self.model == "ecapa" else ("auto", "ce", "bce", "focal")
        if self.objective not in allowed:
            raise ConfigError(
                f"--objective {self.objective} is not for --model {self.model}, which takes "
                f"{' or '.join(allowed)}"
            )


ABOUT = {
    "model": "the network",
    "width": "factor of the network's channels; 1 is as published",
    "num_layers": "layers of ast",
    "weights": "local folder with a model of transformers, for ast",
    "pooling": "of CNNs, over time; all but mean_max are multiple-instance learning",
    "merge_frames": "frames that CNNs average first",
    "block_dropout": "dropout behind each block of CNNs",
    "head_dropout": "dropout before the last layers of CNNs",
    "preset": "front end: small (64 mels each 20 ms), or a preset's name, e.g. panns, ast, passt",
    "standardise": "standardise by what `melstream stats` has measured",
    "shift": "roll each training clip by a random time",
    "augment": "augmentation recipe: audioset, esc50, speech_commands, voxceleb, or a TOML file; "
    "its roll takes the place of shift",
    "balance": "0: every clip alike; 1: rare classes are drawn as often as common ones; or between",
    "crop_seconds": "length of training clips",
    "eval_clips": "score whole clips, or their middle crop_seconds; ast always gets the middle",
    "objective": "auto: aam for ecapa, else ce where each clip has one label, else bce",
    "label_smoothing": "share of the target that goes to all classes alike",
    "class_weights": "balanced: rare classes weigh more",
    "focal_gamma": "how much focal leaves out what is easy",
    "aam_margin": "additive angular margin in radians",
    "aam_scale": "factor of the cosines before the softmax",
    "epochs": "epochs to train",
    "batch_size": "clips an optimiser step, over all processes",
    "accumulation": "parts that a step's clips are computed in, one by one",
    "learning_rate": "peak, reached after the warm-up",
    "weight_decay": "of AdamW; biases and norms have none",
    "warm_up_share": "share of the steps; a cosine to zero follows",
    "clip_norm": "largest norm of the gradient; 0 leaves it",
    "ema_decay": "of the moving average of weights that is tested; 0: none",
    "precision": "auto: bf16 (else fp16) on GPUs, float32 on CPUs",
    "eval_every": "epochs between evaluations; 0: only at the end",
    "checkpoint_steps": "steps between checkpoints",
}
"""What each field is, as the help of its flag says it."""

_RANGES: dict[str, tuple[float, float]] = {
    "width": (1 / 64, 4),
    "num_layers": (1, 48),
    "merge_frames": (1, 16),
    "block_dropout": (0, 0.9),
    "head_dropout": (0, 0.9),
    "balance": (0, 4),
    "crop_seconds": (0.01, 600),
    "label_smoothing": (0, 0.9),
    "focal_gamma": (0, 10),
    "aam_margin": (0, 1.5),
    "aam_scale": (1, 100),
    "epochs": (1, 1e6),
    "batch_size": (1, 1e6),
    "accumulation": (1, 1e4),
    "learning_rate": (1e-9, 10),
    "weight_decay": (0, 10),
    "warm_up_share": (0, 1),
    "clip_norm": (0, 1e6),
    "ema_decay": (0, 0.999999),
    "eval_every": (0, 1e6),
    "checkpoint_steps": (1, 1e9),
}


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with melstream."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load_recipe(name: str, overrides: dict[str, Any] | None = None) -> Recipe:
    """Return a recipe by name, or from a file.

    Args:
        name: One of `recipe_names()`, or the path of a TOML file.
        overrides: Fields that take the place of the recipe's.

    Raises:
        ConfigError: there is no such recipe, or it has unknown or wrong values.
    """
    path = _FOLDER / f"{name}.toml" if name in recipe_names() else Path(name)
    try:
        row = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError) as err:
        raise ConfigError(
            f"no recipe {name!r}: give one of {', '.join(recipe_names())}, or a TOML file"
        ) from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise ConfigError(f"recipe {path} is no TOML: {err}") from err
    try:
        return recipe_from(row | (overrides or {}))
    except ConfigError as err:
        raise ConfigError(f"recipe {name}: {err}") from err


def recipe_from(row: dict[str, Any]) -> Recipe:
    """Return a recipe from plain values; a `ConfigError` names a field that there is not."""
    unknown = sorted(row.keys() - {setting.name for setting in fields(Recipe)})
    if unknown:
        raise ConfigError(f"there is no setting {', '.join(unknown)}")
    kinds = {setting.name: setting.type for setting in fields(Recipe)}
    # TOML writes 1 for 1.0.
    values: dict[str, Any] = {
        name: float(value) if kinds[name] is float and type(value) is int else value
        for name, value in row.items()
    }
    return Recipe(**values)


def choices_of(kind: Any) -> tuple[str, ...] | None:
    """Return the values that a field's type allows; None for numbers and free text."""
    return get_args(kind) if get_origin(kind) is Literal else None


def _check_type(name: str, kind: Any, value: object) -> None:
    choices = choices_of(kind)
    if choices is not None:
        if value not in choices:
            raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    # type() and not isinstance(): True is no number of epochs.
    elif type(value) is not kind:
        wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        raise ConfigError(f"{name} must be {wanted[kind]}, got {value!r}")
