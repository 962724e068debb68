"""How far our loader's threads use the cores that the machine gives at the time."""

import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.loader_peers import OURS
from benchmarks.loader_process import LoaderProcess, Pass, make_environment


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRound:
    """The same batches, made in three ways one after the other."""

    one: Pass
    """One thread on one core."""
    two: Pass
    """Two threads on two."""
    apart: tuple[Pass, Pass]
    """Two processes at the same time, each with one thread and a core of its own: more than that
    the machine, with all else that it does, doesn't give."""


def measure_scaling(
    dataset: Path, num_samples: int | None, *, skip: int, num_rounds: int, num_batches: int
) -> list[ScalingRound]:
    """Return some rounds, or none on a machine of one core.

    Args:
        dataset: Where the shards are.
        num_samples: Length of the crops; None takes whole clips.
        skip: Batches that each takes first, untimed.
        num_rounds: How many rounds.
        num_batches: How many batches each makes in a round.
    """
    cores = [str(core) for core in sorted(os.sched_getaffinity(0))[-2:]]
    if len(cores) < 2:
        return []
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        opened = []
        for tuning, on in (
            ("1 thread", cores[1]),
            ("1 thread", cores[0]),
            ("2 threads", ",".join(cores)),
        ):
            process = _process(dataset, on)
            stack.enter_context(process)
            process.open(tuning, num_samples)
            opened.append(process)

        def run(process: LoaderProcess) -> Pass:
            return process.run(skip=skip, num_batches=num_batches)

        rounds = []
        for _ in range(num_rounds):
            one, two = run(opened[0]), run(opened[2])
            first, second = pool.map(run, opened[:2])
            rounds.append(ScalingRound(one=one, two=two, apart=(first, second)))
        return rounds


def scaling_line(mode: str, rounds: Sequence[ScalingRound]) -> str:
    """Say what two threads give, by the clock and by CPU time, beside what the machine gives."""
    threads = statistics.median(_rate(each.two) / _rate(each.one) for each in rounds)
    processes = statistics.median(sum(map(_rate, each.apart)) / _rate(each.one) for each in rounds)
    share = statistics.median(_rate(each.two) / sum(map(_rate, each.apart)) for each in rounds)
    cpu = statistics.median(_cpu_per_clip(each.two) / _cpu_per_clip(each.one) for each in rounds)
    return (
        f"- {mode}: two threads on two cores do {threads:.2f} x of one on one by the clock; two "
        f"processes with a core each, which share nothing, did {processes:.2f} x in the same "
        f"rounds, so the threads give {share:.0%} of what the machine gave. A clip takes "
        f"{cpu:.2f} x the CPU time."
    )


def _process(dataset: Path, cores: str) -> LoaderProcess:
    python = make_environment(OURS, dataset)
    return LoaderProcess(OURS.module, python, dataset.parent, dataset, cores=cores)


def _rate(one: Pass) -> float:
    return one.num_clips / one.wall_seconds


def _cpu_per_clip(one: Pass) -> float:
    return one.cpu_seconds / one.num_clips
