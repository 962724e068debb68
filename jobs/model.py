"""The classifier of `melstream train`: PANNs CNN10 (Kong et al. 2020) at an eighth of its width.

    mel_BMF ─bn0 over mels, mean of 2 frames─▶ 4 x [2 x (conv 3x3, BN, ReLU), mean pool 2x2]
            ─mean over mels, max + mean over time─▶ 2 x (dropout, linear), ReLU between ─▶ logits_BK

CNN10 has 64, 128, 256, 512 channels and 4.9 million parameters; 8, 16, 32, 64 channels leave
79 thousand, which two cores train on ESC-10 in a minute. Axes: B clips, M mels, F frames,
C channels, H hidden, K classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Cnn10Config:
    """Size of the network."""

    num_classes: int
    num_mels: int = 64
    widths: tuple[int, int, int, int] = (8, 16, 32, 64)
    dropout: float = 0.2


class Cnn10(nn.Module):
    """PANNs CNN10, narrow; takes log-mels in dB, gives one logit a class."""

    def __init__(self, config: Cnn10Config) -> None:
        super().__init__()
        self.config = config
        self.bn0 = nn.BatchNorm1d(config.num_mels)
        self.merge_frames = nn.AvgPool1d(2)
        self.blocks = nn.Sequential(
            *(
                _block(num_in, num_out)
                for num_in, num_out in zip((1, *config.widths), config.widths, strict=False)
            )
        )
        hidden = config.widths[-1]
        self.head = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden, config.num_classes),
        )

    def forward(self, mel_BMF: Tensor) -> Tensor:
        """Return logits_BK from log-mels of at least 32 frames."""
        merged_BMF = self.merge_frames(self.bn0(mel_BMF))
        image_BCFM = merged_BMF.transpose(1, 2).unsqueeze(1)
        map_BCFM = self.blocks(image_BCFM.contiguous(memory_format=torch.channels_last))
        map_BCF = map_BCFM.mean(dim=3)
        pooled_BC = map_BCF.amax(dim=2) + map_BCF.mean(dim=2)
        logits_BK: Tensor = self.head(pooled_BC)
        return logits_BK


def _block(num_in: int, num_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(num_in, num_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(num_out),
        nn.ReLU(),
        nn.Conv2d(num_out, num_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(num_out),
        nn.ReLU(),
        nn.AvgPool2d(2),
    )
