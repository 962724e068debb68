"""How a recipe mixes samples."""

from dataclasses import dataclass
from typing import Literal

from loader.augment.recipe_checks import check_choice, check_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Mix each chosen sample with a partner from its batch.

    Attributes:
        p: Share of samples.
        alpha: The sample's weight is drawn from Beta(alpha, alpha).
        domain: Whether waves are mixed or spectrograms.
        mode: "linear" adds by weight (Zhang et al., mixup, 2018). "energy" is between-class
            learning (Tokozume et al., 2018): waves only, levels evened out first, energy kept.
        keep_larger: Take the larger of the weight and its rest, so that the sample dominates.
        targets: "weighted" adds the targets by weight (a label that both have stays 1), "union"
            takes the larger of both.
    """

    p: float = 0.5
    alpha: float = 10.0
    domain: Literal["wave", "mel"] = "wave"
    mode: Literal["linear", "energy"] = "linear"
    keep_larger: bool = False
    targets: Literal["weighted", "union"] = "weighted"

    def __post_init__(self) -> None:
        check_share("mix", self.p)
        if not 0.01 <= self.alpha <= 1000.0:
            raise ValueError(f"mix: alpha must be from 0.01 to 1000, got {self.alpha}")
        check_choice("mix", self.domain, "domain", ("wave", "mel"))
        check_choice("mix", self.mode, "mode", ("linear", "energy"))
        check_choice("mix", self.targets, "targets", ("weighted", "union"))
        if self.mode == "energy" and self.domain == "mel":
            raise ValueError("mix: mode 'energy' mixes waves; use domain = 'wave'")
