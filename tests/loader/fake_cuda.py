"""The code's way on CUDA, followed without a card: tensors that have shapes and devices, no values.

Whatever needs a value on the host (`.item()`, `if tensor`, `nonzero`, `x[mask]`) raises, and so
does arithmetic on tensors of two devices. On a card each of these would make the host wait. Copies
between host and device that the host waits for raise within `no_waiting_copies`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("cuda:0")


@contextmanager
def fake_cuda() -> Iterator[None]:
    """Make the tensors that come to be in here fakes."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


@contextmanager
def no_waiting_copies() -> Iterator[None]:
    """Refuse copies between devices that are not `non_blocking`; only within `fake_cuda`."""
    with _NoWaitingCopies(), _NoNewValues():
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


class _NoWaitingCopies(TorchDispatchMode):
    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default:
            devices = {args[0].device, torch.device(kwargs.get("device") or args[0].device)}
            _check(devices, waits=not kwargs.get("non_blocking"))
        elif func is torch.ops.aten.copy_.default:
            _check({args[0].device, args[1].device}, waits=args[2:] != (True,))
        return func(*args, **kwargs)


class _NoNewValues(TorchFunctionMode):
    """`torch.tensor(values, device="cuda")` makes them on the host, copies them and waits."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor, torch.asarray):
            _check({torch.device("cpu"), torch.device(kwargs.get("device") or "cpu")}, waits=True)
        return func(*args, **kwargs)


def _check(devices: set[torch.device], *, waits: bool) -> None:
    if waits and len({device.type for device in devices}) > 1:
        raise RuntimeError(f"a copy between {devices} that the host waits for")
