"""From a recipe to a network."""

from pathlib import Path
from typing import cast

from torch import nn

from jobs.models.cnn import CNN_KINDS, CnnConfig, CnnKind, PannsCnn
from jobs.models.ecapa import Ecapa, EcapaConfig
from jobs.recipe import Recipe
from shardwriter.errors import ConfigError


def build_network(recipe: Recipe, *, num_classes: int, num_mels: int, num_frames: int) -> nn.Module:
    """Return the recipe's network, on the CPU.

    Args:
        recipe: What to build.
        num_classes: Size of the vocabulary.
        num_mels: Mel bands of the front end.
        num_frames: Frames of a training clip.

    Raises:
        ConfigError: the model doesn't fit the clips, or needs a package that is not there.
    """
    if recipe.weights and recipe.model != "ast":
        raise ConfigError(f"--weights is for the model ast, not for {recipe.model}")
    if recipe.model in CNN_KINDS:
        return _cnn(recipe, num_classes, num_mels, num_frames)
    if recipe.model == "ecapa":
        return Ecapa(EcapaConfig(num_classes=num_classes, num_mels=num_mels, width=recipe.width))
    from jobs.models.ast import PATCH_SIZE, Ast, AstConfig  # transformers takes seconds

    _check_frames(num_frames, PATCH_SIZE, model="ast")
    return Ast(
        AstConfig(
            num_classes=num_classes,
            num_mels=num_mels,
            num_frames=num_frames,
            width=recipe.width,
            num_layers=recipe.num_layers,
            weights=Path(recipe.weights) if recipe.weights else None,
        )
    )


def _cnn(recipe: Recipe, num_classes: int, num_mels: int, num_frames: int) -> nn.Module:
    config = CnnConfig(
        kind=cast(CnnKind, recipe.model),
        num_classes=num_classes,
        num_mels=num_mels,
        width=recipe.width,
        merge_frames=recipe.merge_frames,
        block_dropout=recipe.block_dropout,
        head_dropout=recipe.head_dropout,
        pooling=recipe.pooling,
    )
    _check_frames(num_frames, config.min_frames, model=recipe.model)
    return PannsCnn(config)


def _check_frames(num_frames: int, min_frames: int, *, model: str) -> None:
    if num_frames < min_frames:
        raise ConfigError(
            f"clips of {num_frames} frames are too short for {model}, which needs {min_frames}; "
            "raise --crop-seconds, lower --merge-frames, or choose a smaller --model"
        )
