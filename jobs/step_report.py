"""What the ranks tell each other behind each step, and how it reaches the host without waiting."""

from typing import Any

import torch
from torch import Tensor

from jobs.distributed import sum_over_ranks
from loader import World

_cuda: Any = torch.cuda  # torch has no types for events


class StepReport:
    """A step's loss, and whether a rank was told to stop: the same on all ranks.

    On CUDA both are on their way to the host when this is made. Asking for them a step later waits
    for that copy alone, and not for the step that was queued behind it.
    """

    def __init__(self, loss: Tensor, *, is_told: bool, world: World) -> None:
        """Begin the sum over ranks and the copy; no value is looked at."""
        # Filled by the device: torch.tensor makes it on the host, and waits for the copy.
        told = torch.full_like(loss, float(is_told))
        summed = sum_over_ranks(torch.stack((loss, told)), world)
        self._values = summed.to("cpu", non_blocking=True)  # into pinned memory
        self._arrived: Any = None
        if summed.device.type == "cuda":
            self._arrived = _cuda.Event()
            self._arrived.record(torch.cuda.current_stream(summed.device))

    def read(self) -> tuple[float, bool]:
        """Return the sum of the ranks' losses, and whether any of them was told to stop."""
        if self._arrived is not None:
            self._arrived.synchronize()
        loss, num_told = self._values.tolist()
        return loss, num_told > 0
