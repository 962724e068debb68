"""What is minimised, and how logits become scores.

Each loss is a mean over clips, so that the mean over parts or ranks with equal numbers of clips is
that of all clips. Axes: B clips, K classes.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from jobs.models.pooling import MIL_POOLINGS
from jobs.recipe import Recipe
from shardwriter.errors import ConfigError


class Objective(nn.Module):
    """A loss; holds the class weights, which `.to(device)` takes along."""

    weight_K: Tensor | None

    def __init__(self, recipe: Recipe, *, kind: str, weight_K: Tensor | None) -> None:
        """Keep what is needed of the recipe; `kind` is its objective with `auto` decided."""
        super().__init__()
        self.recipe = recipe
        self.kind = kind
        self.register_buffer("weight_K", weight_K, persistent=False)

    def forward(self, logits_BK: Tensor, target_BK: Tensor) -> Tensor:
        """Return the loss, in float32 whatever the precision of the logits."""
        logits_BK = logits_BK.float()
        if self.kind == "aam":
            return self._cross_entropy(self._with_margin(logits_BK, target_BK), target_BK)
        if self.kind == "ce":
            return self._cross_entropy(logits_BK, target_BK)
        target_BK = target_BK + self.recipe.label_smoothing * (0.5 - target_BK)
        loss_BK = binary_cross_entropy_with_logits(logits_BK, target_BK, reduction="none")
        if self.kind == "focal":
            loss_BK = loss_BK * self._difficulty(logits_BK, target_BK)
        if self.weight_K is not None:
            loss_BK = loss_BK * self.weight_K
        return loss_BK.mean()

    def scores(self, logits_BK: Tensor) -> Tensor:
        """Return a probability for each class: of one class only, or of each alone."""
        logits_BK = logits_BK.float()
        if self.kind == "aam":
            return (self.recipe.aam_scale * logits_BK).softmax(dim=1)
        return logits_BK.softmax(dim=1) if self.kind == "ce" else logits_BK.sigmoid()

    def _cross_entropy(self, logits_BK: Tensor, target_BK: Tensor) -> Tensor:
        # Rows of several labels share the mass of one.
        share_BK = target_BK / target_BK.sum(dim=1, keepdim=True).clamp(min=1)
        return cross_entropy(
            logits_BK,
            share_BK,
            weight=self.weight_K,
            label_smoothing=self.recipe.label_smoothing,
        )

    def _difficulty(self, logits_BK: Tensor, target_BK: Tensor) -> Tensor:
        """Return (1 - p_t)^gamma (Lin et al. 2017); for soft targets, |target - p|^gamma."""
        return (target_BK - logits_BK.sigmoid()).abs() ** self.recipe.focal_gamma

    def _with_margin(self, cosine_BK: Tensor, target_BK: Tensor) -> Tensor:
        """Return scaled cosines, at the target of the angle plus the margin (ArcFace, 2019).

        Beyond pi - margin the cosine would rise again; a line goes on from there.
        """
        margin = self.recipe.aam_margin
        sine_BK = (1 - cosine_BK.square()).clamp(min=1e-9).sqrt()
        shifted_BK = cosine_BK * math.cos(margin) - sine_BK * math.sin(margin)
        straight_BK = cosine_BK - margin * math.sin(margin)
        shifted_BK = torch.where(cosine_BK > math.cos(math.pi - margin), shifted_BK, straight_BK)
        return self.recipe.aam_scale * torch.where(target_BK > 0, shifted_BK, cosine_BK)


def make_objective(recipe: Recipe, *, counts_K: Tensor, is_single_label: bool) -> Objective:
    """Return the recipe's objective for a training set.

    Args:
        recipe: What to minimise.
        counts_K: Clips of each class in the training set.
        is_single_label: Whether each of its clips has exactly one label.

    Raises:
        ConfigError: the objective doesn't fit the labels or the pooling.
    """
    kind = recipe.objective
    if kind == "auto":
        kind = "aam" if recipe.model == "ecapa" else "ce" if is_single_label else "bce"
    if kind in ("ce", "aam") and not is_single_label:
        raise ConfigError(
            f"objective {kind} needs exactly one label a clip, and here a clip has none or "
            "several; choose --objective bce or focal"
        )
    if kind in ("ce", "aam") and recipe.pooling in MIL_POOLINGS:
        raise ConfigError(
            f"--pooling {recipe.pooling} gives a probability for each class alone; add "
            "--objective bce or focal"
        )
    weight_K = balanced_weights(counts_K) if recipe.class_weights == "balanced" else None
    return Objective(recipe, kind=kind, weight_K=weight_K)


def balanced_weights(counts_K: Tensor) -> Tensor:
    """Return weights in inverse proportion to the counts, 1 for classes of average size.

    A class with no clip gets 1: nothing is known of it.
    """
    present_K = counts_K > 0
    mean = counts_K[present_K].double().mean()
    weight_K = torch.where(present_K, mean / counts_K.clamp(min=1), 1.0)
    return weight_K.float()
