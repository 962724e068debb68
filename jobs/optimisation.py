"""The optimiser's parts: schedule, parameter groups, precision, moving average."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from jobs.recipe import Recipe


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


def amp_dtype(recipe: Recipe, device: torch.device) -> torch.dtype | None:
    """Return the dtype of automatic mixed precision, None for float32.

    By default none on the CPU, where it doesn't pay. GPUs before Ampere have no bfloat16 units;
    torch would emulate it there, slowly, while float16 has units since Volta.
    """
    if recipe.precision == "bf16":
        return torch.bfloat16
    if recipe.precision == "float32" or device.type != "cuda":
        return None
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if has_bf16 else torch.float16


def moving_average(network: nn.Module, decay: float) -> AveragedModel | None:
    """Return the exponential moving average of weights and batch norm statistics.

    Its first update copies the weights. None without a decay.
    """
    if not decay:
        return None
    average = AveragedModel(
        network,
        multi_avg_fn=get_ema_multi_avg_fn(decay),  # type: ignore[no-untyped-call]  # torch 2.11
        use_buffers=True,
    )
    return average.eval()
