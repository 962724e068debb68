"""The training recipe: its settings, and the functions that are its steps.

It is for small sets on small machines: log-mels at 20 ms, a circular shift of every clip, AdamW,
10 % warm-up and a cosine to zero. Axes: B clips, T samples, K classes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from loader import AudioBatch
from loader.features import LogMelConfig
from loader.randomness import Operation, sample_ids, sample_uniform
from shardwriter.storage import S3Options


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What the user chose, and the recipe's constants."""

    url: str
    folds: tuple[int, ...]
    eval_fold: int
    split: str = "train"
    out: Path = Path("out/train")
    epochs: int = 30
    batch_size: int = 32
    """Clips a step over all ranks."""
    seed: int = 0
    resume: bool = False
    s3: S3Options | None = None
    """How to reach `url`, if it is on S3."""
    crop_seconds: float = 5.0
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    warm_up_share: float = 0.1
    checkpoint_steps: int = 50

    @property
    def checkpoint_path(self) -> Path:
        """Where the run's checkpoint lies."""
        return self.out / "checkpoint.pt"


def front_end(sample_rate_hz: int) -> LogMelConfig:
    """Return the log-mel settings: 32 ms windows every 20 ms, 64 mels, up to 14 kHz."""
    return LogMelConfig(
        sample_rate_hz=sample_rate_hz,
        n_fft=2 * round(0.016 * sample_rate_hz),
        hop_samples=round(0.02 * sample_rate_hz),
        num_mels=64,
        max_hz=min(14_000.0, sample_rate_hz / 2),
    )


def cosine_with_warm_up(num_steps: int, warm_up_share: float) -> Callable[[int], float]:
    """Return the learning rate's factor at each step: up in a line, down along half a cosine."""
    num_warm_up = max(1, round(num_steps * warm_up_share))

    def factor(step: int) -> float:
        if step < num_warm_up:
            return (step + 1) / num_warm_up
        progress = (step - num_warm_up) / max(1, num_steps - num_warm_up)
        return 0.5 * (1 + math.cos(math.pi * progress))

    return factor


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return weights with decay, and biases and norms without."""
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [
        {"params": weights, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def amp_dtype(device: torch.device) -> torch.dtype | None:
    """Return the dtype of automatic mixed precision; None on the CPU, where it doesn't pay."""
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def single_label_loss(logits_BK: Tensor, target_BK: Tensor) -> Tensor:
    """Return the softmax cross-entropy; each row of the target sums to one."""
    return cross_entropy(logits_BK, target_BK)


def multi_label_loss(logits_BK: Tensor, target_BK: Tensor) -> Tensor:
    """Return the binary cross-entropy, mean over clips and classes."""
    return binary_cross_entropy_with_logits(logits_BK, target_BK)


def clip_shifts(batch: AudioBatch, *, seed: int, epoch: int) -> list[int]:
    """Return by how many samples to shift each clip, keyed by (seed, epoch, clip)."""
    share_B = sample_uniform(
        sample_ids(batch.keys, batch.copy_B.numpy()),
        seed=seed,
        epoch=epoch,
        operation=Operation.SHIFT,
    )
    return [int(share * batch.wave_BT.shape[1]) for share in share_B]


def roll(wave_BT: Tensor, shifts_B: Sequence[int]) -> Tensor:
    """Return each row shifted to the right by its own number of samples, the end wrapped round.

    Row by row, because one gather over an index tensor took 10 times as long on the CPU.
    """
    return torch.stack(
        [wave_T.roll(shift) for wave_T, shift in zip(wave_BT, shifts_B, strict=True)]
    )
