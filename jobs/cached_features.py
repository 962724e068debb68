"""What a training may ask of a dataset that holds features in place of audio."""

from dataclasses import fields
from typing import TYPE_CHECKING

from loader.augment import AugmentRecipe
from loader.feature_rows import log_mel_config
from shardwriter.errors import ConfigError
from shardwriter.feature_format import FeatureFormat

if TYPE_CHECKING:
    from jobs.front_end import FrontEndConfig  # which imports this module

_OF_FEATURES = ("freq_mix_style", "filter_augment", "spec_augment")
"""Operations of a recipe that need no wave."""


def check_cached_preset(config: "FrontEndConfig", features: FeatureFormat, *, where: str) -> None:
    """Refuse a front end that is not the one that the features were made with.

    Raises:
        ConfigError: it is another one.
    """
    if config.log_mel == log_mel_config(features, where=where):
        return
    if config.preset == features.preset:
        raise ConfigError(
            f"{where} holds features of preset {features.preset} as another version made them; "
            "cache them again"
        )
    raise ConfigError(
        f"--preset {config.preset}: {where} holds features of preset {features.preset}; choose "
        "that one, or train on the audio"
    )


def refuse_wave_augmentation(config: "FrontEndConfig", *, where: str) -> None:
    """Refuse augmentation that needs waves, for training on features.

    Raises:
        ConfigError: with the operations.
    """
    if config.augment is not None:
        names = wave_operations(config.augment)
        if names:
            raise ConfigError(
                f"--augment: {', '.join(names)} change{'s' * (len(names) == 1)} waves, and {where} "
                "holds features; use a TOML file without, or train on the audio"
            )
    elif config.shift:
        raise ConfigError(
            f"--shift rolls waves, and {where} holds features; give --no-shift, or train on the "
            "audio"
        )


def wave_operations(recipe: AugmentRecipe) -> list[str]:
    """Return the names of a recipe's operations that need waves, in its order."""
    found = [
        each.name
        for each in fields(recipe)
        if getattr(recipe, each.name) and each.name not in _OF_FEATURES
    ]
    if recipe.mix is not None and recipe.mix.domain == "mel":
        found.remove("mix")
    return found
