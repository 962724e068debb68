"""From what a network says of each frame to what it says of the clip.

`mean_max` pools features, as PANNs does. The others are multiple-instance learning, for weak
labels, which say that a sound is somewhere in the clip: each frame gets probabilities, and these
are pooled. Frames that are not the clip's own are left out where a mask says which these are.
Axes: B clips, C channels, F frames, K classes.
"""

import torch
from torch import Tensor, nn

MIL_POOLINGS = ("max", "attention", "linear_softmax")
POOLINGS = ("mean_max", *MIL_POOLINGS)

# Keeps logits of pooled probabilities finite: within -13.8 and 13.8.
_EPSILON = 1e-6


class MeanMaxHead(nn.Module):
    """Mean plus maximum over time, then a hidden layer (PANNs, Kong et al. 2020)."""

    def __init__(self, num_channels: int, num_classes: int, *, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(num_channels, num_channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(num_channels, num_classes),
        )

    def forward(self, map_BCF: Tensor, is_own_BCF: Tensor | None = None) -> Tensor:
        """Return logits_BK."""
        if is_own_BCF is None:
            pooled_BC = map_BCF.amax(dim=2) + map_BCF.mean(dim=2)
        else:
            largest_BC = map_BCF.masked_fill(~is_own_BCF, -torch.inf).amax(dim=2)
            mean_BC = (map_BCF * is_own_BCF).sum(dim=2) / is_own_BCF.sum(dim=2)
            pooled_BC = largest_BC + mean_BC
        logits_BK: Tensor = self.layers(pooled_BC)
        return logits_BK


class MilHead(nn.Module):
    """Probabilities of each frame, pooled into one a clip; given back as its logit.

    max            the most certain frame
    linear_softmax sum of p^2 over sum of p: certain frames weigh more (Wang, Li, Metze 2019)
    attention      a learnt weight for each frame and class (Kong et al. 2019)
    """

    def __init__(self, num_channels: int, num_classes: int, *, pooling: str, dropout: float):
        super().__init__()
        if pooling not in MIL_POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(MIL_POOLINGS)}, got {pooling!r}")
        self.pooling = pooling
        self.hidden = nn.Sequential(
            nn.Dropout(dropout),
            nn.Conv1d(num_channels, num_channels, 1),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.classes = nn.Conv1d(num_channels, num_classes, 1)
        self.attention = nn.Conv1d(num_channels, num_classes, 1) if pooling == "attention" else None

    def forward(self, map_BCF: Tensor, is_own_BCF: Tensor | None = None) -> Tensor:
        """Return logits_BK."""
        hidden_BCF = self.hidden(map_BCF)
        logits_BKF: Tensor = self.classes(hidden_BCF).float()
        if is_own_BCF is not None:  # probability 0 elsewhere
            logits_BKF = logits_BKF.masked_fill(~is_own_BCF, -torch.inf)
        if self.pooling == "max":
            return logits_BKF.amax(dim=2)
        share_BKF = logits_BKF.sigmoid()
        if self.attention is None:
            share_BK = share_BKF.square().sum(dim=2) / share_BKF.sum(dim=2).clamp(min=_EPSILON)
        else:
            score_BKF = torch.tanh(self.attention(hidden_BCF).float())
            if is_own_BCF is not None:
                score_BKF = score_BKF.masked_fill(~is_own_BCF, -torch.inf)
            weight_BKF = score_BKF.softmax(dim=2)
            share_BK = (weight_BKF * share_BKF).sum(dim=2)
        return torch.logit(share_BK, eps=_EPSILON)


def make_head(num_channels: int, num_classes: int, *, pooling: str, dropout: float) -> nn.Module:
    """Return the head for a pooling, one of `POOLINGS`."""
    if pooling == "mean_max":
        return MeanMaxHead(num_channels, num_classes, dropout=dropout)
    return MilHead(num_channels, num_classes, pooling=pooling, dropout=dropout)
