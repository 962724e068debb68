"""The CNNs of PANNs (Kong et al. 2020), of any width.

    mel_BMF ─bn0 over mels, mean of frames─▶ blocks of [convolutions, BN, ReLU, mean pool, dropout]
            ─mean over mels─▶ map_BCF ─head─▶ logits_BK

CNN10 has 64, 128, 256, 512 channels and 4.9 million parameters; at an eighth of its width 79
thousand are left, which two cores train on ESC-10 in a minute. Axes: B clips, M mels, F frames,
C channels, K classes.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from jobs.models.pooling import make_head

CnnKind = Literal["cnn6", "cnn10", "cnn14"]
CNN_KINDS = get_args(CnnKind)

_CHANNELS: dict[CnnKind, tuple[int, ...]] = {
    "cnn6": (64, 128, 256, 512),
    "cnn10": (64, 128, 256, 512),
    "cnn14": (64, 128, 256, 512, 1024, 2048),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CnnConfig:
    """Size of the network; the defaults are those published."""

    kind: CnnKind
    num_classes: int
    num_mels: int = 64
    width: float = 1.0
    """Factor of all numbers of channels."""
    merge_frames: int = 1
    """So many frames are averaged first, for front ends with more frames than are needed."""
    block_dropout: float = 0.2
    head_dropout: float = 0.5
    pooling: str = "mean_max"

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels behind each block."""
        return tuple(max(1, round(count * self.width)) for count in _CHANNELS[self.kind])

    @property
    def min_frames(self) -> int:
        """Frames that become one; the last block of CNN14 has no pool."""
        num_pools = len(self.channels) - (self.kind == "cnn14")
        return self.merge_frames << num_pools


class PannsCnn(nn.Module):
    """Takes log-mels in dB, gives one logit a class."""

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.config = config
        self.bn0 = nn.BatchNorm1d(config.num_mels)
        self.merge_frames = nn.AvgPool1d(config.merge_frames)
        channels = config.channels
        blocks: list[nn.Module] = []
        for place, (num_in, num_out) in enumerate(zip((1, *channels), channels, strict=False)):
            pools = not (config.kind == "cnn14" and place == len(channels) - 1)
            blocks.append(_block(config, num_in, num_out, pools=pools))
        self.blocks = nn.Sequential(*blocks)
        self.head = make_head(
            channels[-1], config.num_classes, pooling=config.pooling, dropout=config.head_dropout
        )

    def forward(self, mel_BMF: Tensor, num_frames_B: Tensor | None = None) -> Tensor:
        """Return logits_BK.

        Args:
            mel_BMF: Log-mels of at least `config.min_frames` frames.
            num_frames_B: The clips' own frames; what pools over time leaves the others out.
        """
        merged_BMF = self.merge_frames(self.bn0(mel_BMF))
        image_BCFM = merged_BMF.transpose(1, 2).unsqueeze(1)
        map_BCFM = self.blocks(image_BCFM.contiguous(memory_format=torch.channels_last))
        map_BCF = map_BCFM.mean(dim=3)
        is_own_BCF = None
        if num_frames_B is not None:
            num_own_B = (num_frames_B // self.config.min_frames).clamp(min=1)
            place_F = torch.arange(map_BCF.shape[2], device=map_BCF.device)
            is_own_BCF = (place_F < num_own_B[:, None])[:, None]
        logits_BK: Tensor = self.head(map_BCF, is_own_BCF)
        return logits_BK


def _block(config: CnnConfig, num_in: int, num_out: int, *, pools: bool) -> nn.Sequential:
    size, count = (5, 1) if config.kind == "cnn6" else (3, 2)
    layers: list[nn.Module] = []
    for place in range(count):
        source = num_out if place else num_in
        layers += [
            nn.Conv2d(source, num_out, size, padding=size // 2, bias=False),
            nn.BatchNorm2d(num_out),
            nn.ReLU(),
        ]
    if pools:
        layers.append(nn.AvgPool2d(2))
    if config.block_dropout:
        layers.append(nn.Dropout(config.block_dropout))
    return nn.Sequential(*layers)
