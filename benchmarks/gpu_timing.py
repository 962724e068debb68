"""Times and memory of work on a device.

On CUDA each call stands between two events, and what the second-level cache holds is overwritten
before it, as other work of a training step would. Calls are queued without waiting, so that a call
takes what the device needs for it or, where the host launches too slowly, what the launching takes.
Elsewhere the clock is read; that only shows that the code runs.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

_Result = TypeVar("_Result")

_WARM_UP_CALLS = 3
# Twice the second-level cache of the largest cards, where the driver doesn't tell its size.
_FLUSH_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Milliseconds of one call, round after round."""

    ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """The middle one."""
        return statistics.median(self.ms)

    @property
    def range_text(self) -> str:
        """The tenth and the ninetieth percentile."""
        ordered = sorted(self.ms)
        last = len(ordered) - 1
        return f"{ordered[round(0.1 * last)]:.3f} to {ordered[round(0.9 * last)]:.3f}"


def measure(call: Callable[[], object], device: torch.device, *, rounds: int) -> Times:
    """Return how long a call takes, after some that warm up."""
    for _ in range(_WARM_UP_CALLS):
        call()
    if device.type != "cuda":
        return Times(ms=tuple(_clocked_ms(call) for _ in range(rounds)))
    flush = torch.empty(_flush_bytes(device), dtype=torch.int8, device=device)
    pairs = [
        (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))
        for _ in range(rounds)
    ]
    for begin, end in pairs:
        flush.zero_()
        begin.record()
        call()
        end.record()
    torch.cuda.synchronize(device)
    return Times(ms=tuple(begin.elapsed_time(end) for begin, end in pairs))


def with_peak_bytes(
    call: Callable[[], _Result], device: torch.device
) -> tuple[_Result, int | None]:
    """Return a call's result, and what it took on the device beyond what stood there.

    That is None where it can't be known.
    """
    if device.type != "cuda":
        return call(), None
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    result = call()
    torch.cuda.synchronize(device)
    return result, torch.cuda.max_memory_allocated(device) - before


def copy_bytes_per_second(device: torch.device, *, rounds: int) -> float:
    """Return the memory bandwidth that a plain copy reaches, bytes read and written together."""
    num_bytes = (2 << 30) if device.type == "cuda" else (64 << 20)
    source = torch.zeros(num_bytes // 4, device=device)
    target = torch.empty_like(source)
    times = measure(lambda: target.copy_(source), device, rounds=rounds)
    return 2 * num_bytes / (times.median_ms / 1000)


def graphed(call: Callable[[], _Result]) -> Callable[[], _Result]:
    """Capture a call in a CUDA graph and return what replays it, into the same result."""
    current, side = torch.cuda.current_stream(), torch.cuda.Stream()
    side.wait_stream(current)
    with torch.cuda.stream(side):  # plans of the FFT and the like are made outside of the capture
        for _ in range(_WARM_UP_CALLS):
            call()
    current.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def replay() -> _Result:
        graph.replay()
        return result

    return replay


def _clocked_ms(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1000


def _flush_bytes(device: torch.device) -> int:
    return 2 * int(getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0)) or (
        _FLUSH_BYTES
    )
