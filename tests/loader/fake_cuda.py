"""The code's way on CUDA, followed without a card: tensors that have shapes and devices, no values.

Whatever needs a value on the host (`.item()`, `if tensor`, `nonzero`, `x[mask]`) raises, and so
does arithmetic on tensors of two devices. On a card each of these would make the host wait.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

DEVICE = torch.device("cuda:0")


@contextmanager
def fake_cuda() -> Iterator[None]:
    """Make the tensors that come to be in here fakes."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def on_cuda(values: Tensor) -> Tensor:
    """Return a fake of the same shape and type; only within `fake_cuda`."""
    return torch.empty(values.shape, dtype=values.dtype, device=DEVICE)


def with_fake_buffers(module: nn.Module) -> nn.Module:
    """Return a module with its buffers replaced by fakes; it is of no use afterwards."""
    for part in module.modules():
        for name, buffer in list(part.named_buffers(recurse=False)):
            setattr(part, name, on_cuda(buffer))
    return module
