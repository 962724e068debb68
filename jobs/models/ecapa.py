"""A speaker network of the ECAPA-TDNN kind (Desplanques et al. 2020), small.

    mel_BMF ─conv 5─▶ 3 x SE-Res2 block, dilation 2, 3, 4 ─all three, conv 1─▶ attentive statistics
            ─BN, linear─▶ embedding_BD ─cosine to each speaker's weights─▶ logits_BK

512 channels at width 1, as in the smaller model of the paper. What it was simplified by: the
attention sees each frame alone, not the statistics of the whole clip beside it. The logits are
cosines in [-1, 1]: the margin and the scale belong to the objective, which alone knows the
targets. A clip that is padded in its batch gets the embedding that it has alone: what lies beyond
it is set to zero before each convolution. Axes: B clips, M mels, F frames, C channels,
D embedding, K speakers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

_SCALE = 8
"""Groups of a Res2 convolution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EcapaConfig:
    """Size of the network."""

    num_classes: int
    num_mels: int = 80
    width: float = 1.0
    """Factor of 512 channels; what comes out is rounded to a multiple of 8."""
    embedding_size: int = 192

    @property
    def num_channels(self) -> int:
        """Channels of the blocks."""
        return _SCALE * max(1, round(512 * self.width / _SCALE))


class Ecapa(nn.Module):
    """Takes log-mels less their mean, gives cosines to each known speaker; `embed` compares."""

    def __init__(self, config: EcapaConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.num_channels
        self.first = _Unit(config.num_mels, channels, size=5)
        self.blocks = nn.ModuleList(_SeRes2Block(channels, dilation=d) for d in (2, 3, 4))
        self.mix = nn.Sequential(nn.Conv1d(3 * channels, 3 * channels, 1), nn.ReLU())
        self.attention = nn.Sequential(
            nn.Conv1d(3 * channels, 128, 1), nn.Tanh(), nn.Conv1d(128, 3 * channels, 1)
        )
        self.embedding = nn.Sequential(
            nn.BatchNorm1d(6 * channels),
            nn.Linear(6 * channels, config.embedding_size),
            nn.BatchNorm1d(config.embedding_size),
        )
        self.speaker_KD = nn.Parameter(torch.empty(config.num_classes, config.embedding_size))
        nn.init.xavier_normal_(self.speaker_KD)

    def forward(self, mel_BMF: Tensor, num_frames_B: Tensor | None = None) -> Tensor:
        """Return cosines_BK."""
        embedding_BD = self.embed(mel_BMF, num_frames_B)
        return linear(embedding_BD, normalize(self.speaker_KD.float()))

    def embed(self, mel_BMF: Tensor, num_frames_B: Tensor | None = None) -> Tensor:
        """Return embedding_BD in float32, of length 1.

        Args:
            mel_BMF: Log-mels.
            num_frames_B: The clips' own frames; None means all.
        """
        own_BCF = _own_frames(mel_BMF, num_frames_B)
        x_BCF = self.first(mel_BMF * own_BCF, own_BCF)
        outputs = []
        for block in self.blocks:
            x_BCF = block(x_BCF, own_BCF)
            outputs.append(x_BCF)
        x_BCF = self.mix(torch.cat(outputs, dim=1))
        score_BCF = self.attention(x_BCF).float().masked_fill(own_BCF == 0, -torch.inf)
        weight_BCF = score_BCF.softmax(dim=2)
        x_BCF = x_BCF.float()
        mean_BC = (weight_BCF * x_BCF).sum(dim=2)
        variance_BC = (weight_BCF * x_BCF.square()).sum(dim=2) - mean_BC.square()
        statistics_BC = torch.cat((mean_BC, variance_BC.clamp(min=1e-5).sqrt()), dim=1)
        return normalize(self.embedding(statistics_BC).float())


def _own_frames(mel_BMF: Tensor, num_frames_B: Tensor | None) -> Tensor:
    if num_frames_B is None:
        return torch.ones_like(mel_BMF[:, :1])
    place_F = torch.arange(mel_BMF.shape[2], device=mel_BMF.device)
    return (place_F < num_frames_B.clamp(min=1)[:, None])[:, None].to(mel_BMF.dtype)


class _Unit(nn.Module):
    """Convolution, ReLU, BN, and zero beyond the clip."""

    def __init__(self, num_in: int, num_out: int, *, size: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(num_in, num_out, size, padding=dilation * (size // 2), dilation=dilation),
            nn.ReLU(),
            nn.BatchNorm1d(num_out),
        )

    def forward(self, x_BCF: Tensor, own_BCF: Tensor) -> Tensor:
        y_BCF: Tensor = self.layers(x_BCF)
        return y_BCF * own_BCF


class _SeRes2Block(nn.Module):
    """Convolutions over groups of channels, each fed by the one before, and a gate by channel."""

    def __init__(self, channels: int, *, dilation: int) -> None:
        super().__init__()
        self.before = _Unit(channels, channels)
        self.groups = nn.ModuleList(
            _Unit(channels // _SCALE, channels // _SCALE, size=3, dilation=dilation)
            for _ in range(_SCALE - 1)
        )
        self.after = _Unit(channels, channels)
        self.gate = nn.Sequential(
            nn.Linear(channels, 128), nn.ReLU(), nn.Linear(128, channels), nn.Sigmoid()
        )

    def forward(self, x_BCF: Tensor, own_BCF: Tensor) -> Tensor:
        first_BCF, *parts = self.before(x_BCF, own_BCF).chunk(_SCALE, dim=1)
        outputs = [first_BCF]
        y_BCF = torch.zeros_like(parts[0])
        for group, part_BCF in zip(self.groups, parts, strict=True):
            y_BCF = group(part_BCF + y_BCF, own_BCF)
            outputs.append(y_BCF)
        z_BCF = self.after(torch.cat(outputs, dim=1), own_BCF)
        mean_BC = z_BCF.sum(dim=2) / own_BCF.sum(dim=2)
        gated_BCF: Tensor = z_BCF * self.gate(mean_BC)[:, :, None]
        return x_BCF + gated_BCF
