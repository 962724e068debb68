"""Ranks that work together: joining them, and what they tell each other."""

import contextlib
import gc
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from loader import World
from shardwriter.errors import ConfigError


@contextlib.contextmanager
def process_group(world: World) -> Iterator[torch.device]:
    """Join the other ranks, if there are any, and give this one's device.

    NCCL on GPUs, gloo on CPUs. A network of `distributed` is to be let go of inside the block.
    """
    if torch.cuda.is_available():
        device = torch.device("cuda", world.local_rank)
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
        # torchrun's default of one thread a process wastes cores where there are more.
        local_world_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // local_world_size))
    if world.size == 1:
        yield device
        return
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        torch.distributed.destroy_process_group()
        # What the block has let go of may be in cycles, and hold the group, whose threads end with
        # it. gloo's abort a process that ends while they give a tensor back
        # (https://github.com/pytorch/pytorch/issues/190489).
        gc.collect()


def distributed(network: nn.Module, *, world: World, device: torch.device) -> nn.Module:
    """Return the network with its gradients averaged over ranks."""
    if world.size == 1:
        return network
    if device.type == "cuda":
        return nn.parallel.DistributedDataParallel(network, device_ids=[device])
    # PyTorch keeps the group of a network, and gloo's threads, until the process ends: one of its
    # own is idle by then, see `process_group`.
    group = torch.distributed.new_group()
    return nn.parallel.DistributedDataParallel(network, process_group=group)


def sum_over_ranks(values: Tensor, world: World) -> Tensor:
    """Return the sum over ranks, on every rank; `values` itself is changed."""
    if world.size > 1:
        torch.distributed.all_reduce(values)
    return values


def gather_from_ranks(value: Any, world: World) -> list[Any]:
    """Return every rank's value, in order of rank, on every rank."""
    if world.size == 1:
        return [value]
    values: list[Any] = [None] * world.size
    torch.distributed.all_gather_object(values, value)
    return values


def check_same_step(step: int, world: World) -> None:
    """Refuse to begin where ranks would go on from different steps.

    Raises:
        ConfigError: on all ranks, which would wait for each other in vain later on.
    """
    steps = sorted(set(gather_from_ranks(step, world)))
    if len(steps) > 1:
        raise ConfigError(
            f"the ranks would go on behind different steps {', '.join(map(str, steps))}: put --out "
            "on a file system that all nodes share, so that each finds the same checkpoint"
        )


def share_buffers(network: nn.Module, world: World) -> None:
    """Give every rank the batch norm statistics of rank 0; each has seen other clips."""
    if world.size > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, src=0)


def wait_for_all(world: World) -> None:
    """Return when every rank has come here."""
    if world.size > 1:
        torch.distributed.barrier()


def device_name(device: torch.device) -> str:
    """Return the GPU's name, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
