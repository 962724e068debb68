import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from jobs.objectives import Objective, balanced_weights, make_objective
from jobs.recipe import Recipe
from shardwriter.errors import ConfigError

COUNTS_K = torch.tensor([10, 20, 30])
LOGITS_BK = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -3.0]])
ONE_HOT_BK = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])
MANY_BK = torch.tensor([[1.0, 0, 1], [0, 0, 0]])


def objective(recipe: Recipe, *, is_single_label: bool) -> Objective:
    return make_objective(recipe, counts_K=COUNTS_K, is_single_label=is_single_label)


def test_auto_is_cross_entropy_for_one_label_a_clip_and_binary_elsewhere() -> None:
    single = objective(Recipe(), is_single_label=True)
    assert single(LOGITS_BK, ONE_HOT_BK) == pytest.approx(cross_entropy(LOGITS_BK, ONE_HOT_BK))
    many = objective(Recipe(), is_single_label=False)
    expected = binary_cross_entropy_with_logits(LOGITS_BK, MANY_BK)
    assert many(LOGITS_BK, MANY_BK) == pytest.approx(expected)
    assert torch.allclose(single.scores(LOGITS_BK).sum(1), torch.ones(2))
    assert torch.allclose(many.scores(LOGITS_BK), LOGITS_BK.sigmoid())


def test_label_smoothing_moves_targets_towards_all_classes_alike() -> None:
    smooth = objective(Recipe(label_smoothing=0.1), is_single_label=True)
    expected = cross_entropy(LOGITS_BK, 0.9 * ONE_HOT_BK + 0.1 / 3)
    assert smooth(LOGITS_BK, ONE_HOT_BK) == pytest.approx(expected)
    smooth = objective(Recipe(label_smoothing=0.1), is_single_label=False)
    expected = binary_cross_entropy_with_logits(LOGITS_BK, 0.9 * MANY_BK + 0.05)
    assert smooth(LOGITS_BK, MANY_BK) == pytest.approx(expected)


def test_balanced_weights_are_in_inverse_proportion_to_the_counts() -> None:
    assert balanced_weights(COUNTS_K).tolist() == pytest.approx([2.0, 1.0, 2 / 3])
    assert balanced_weights(torch.tensor([4, 0, 4])).tolist() == [1.0, 1.0, 1.0]
    weighted = objective(Recipe(class_weights="balanced"), is_single_label=True)
    losses = cross_entropy(LOGITS_BK, ONE_HOT_BK, reduction="none")
    assert weighted(LOGITS_BK, ONE_HOT_BK) == pytest.approx((2 * losses[0] + losses[1]) / 2)


def test_focal_loss_is_that_of_the_paper() -> None:
    focal = objective(Recipe(objective="focal", focal_gamma=2.0), is_single_label=False)
    share_BK = LOGITS_BK.sigmoid()
    right_BK = torch.where(MANY_BK > 0, share_BK, 1 - share_BK)
    expected = (-((1 - right_BK) ** 2) * right_BK.log()).mean()
    assert focal(LOGITS_BK, MANY_BK) == pytest.approx(expected)


def test_margin_is_added_to_the_angle_of_the_target_alone() -> None:
    recipe = Recipe(model="ecapa", aam_margin=0.2, aam_scale=30.0)
    angle_BK = torch.tensor([[0.5, 1.0, 2.0], [1.0, 3.1, 0.3]])
    margin_BK = torch.tensor([[0.2, 0, 0], [0, 0, 0]])
    aam = objective(recipe, is_single_label=True)
    assert aam.kind == "aam"
    expected = cross_entropy(30 * (angle_BK + margin_BK).cos()[:1], ONE_HOT_BK[:1])
    assert aam(angle_BK.cos()[:1], ONE_HOT_BK[:1]).item() == pytest.approx(
        expected.item(), rel=1e-3
    )
    # Close to the far side the cosine would rise again: a line goes on, which still falls.
    cosine_BK = torch.linspace(-1, 1, 201)[:, None]
    shifted_BK = aam._with_margin(cosine_BK, torch.ones_like(cosine_BK))
    assert (shifted_BK.diff(dim=0) > -1e-3).all()
    assert shifted_BK[0].item() == pytest.approx(30 * (-1 - 0.2 * math.sin(0.2)), rel=1e-4)


def test_objectives_that_do_not_fit_the_labels_or_the_pooling_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs exactly one label a clip"):
        objective(Recipe(objective="ce"), is_single_label=False)
    with pytest.raises(ConfigError, match="gives a probability for each class alone"):
        objective(Recipe(pooling="attention"), is_single_label=True)
    assert objective(Recipe(pooling="max"), is_single_label=False).kind == "bce"
