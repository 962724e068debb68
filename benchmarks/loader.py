"""How fast clips become batches, per core, beside other loaders: `python -m benchmarks.loader`.

FLAC of 10 s at 32 kHz mono (recordings of the embedded ESC-10 sample in pairs) to batches of 64
on the CPU: whole clips, and random crops of 2 s. Every loader is a process of its own, pinned to
one core, in an environment that the script makes with uv (`--environments FOLDER` keeps them).
Each gets the clips in the form that it likes best; what it delivers is compared with the source
first; then each of its settings is tried, and the fastest one runs in the rounds. A round is a
pass of each loader in turn, so that what else the machine does hits all alike.

Clips/s per core are clips by CPU time (children included): what a core does that does nothing
else. Ratios are medians over the rounds of ours by the other's in the same round.
"""

import argparse
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.loader_clips import make_clips, make_shards
from benchmarks.loader_first_batch import measure_first_batch
from benchmarks.loader_memory import measure_memory
from benchmarks.loader_peers import BATCH_SIZE, CROP_SAMPLES, OURS, PEERS, Peer
from benchmarks.loader_process import LoaderProcess, Pass, PeerError, make_environment
from benchmarks.loader_report import Report, write_report
from benchmarks.loader_scaling import measure_scaling

MODES: dict[str, int | None] = {"whole": None, "crops": CROP_SAMPLES}
_SKIP = 5
"""Batches that are taken untimed before each pass: as many as any loader makes ahead."""
_CORE = max(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured."""

    num_recordings: int = 192
    copies: int = 2
    num_rounds: int = 3
    num_batches: dict[str, int] = field(default_factory=lambda: {"whole": 4, "crops": 12})
    num_shards: int = 2000
    num_long_shards: int = 32
    """Of 64 clips: what threads on two cores are measured with. Between the few batches of an
    epoch of the other clips, threads end and begin anew, which training does once in thousands."""
    num_scaling_rounds: int = 7
    scaling_times: int = 10
    """Batches of a pass there, for each of one elsewhere: in less than a second the clocks' ratio
    swings between 1.3 and 2.8 with what else the machine does."""


QUICK = Effort(
    num_recordings=64,
    copies=1,
    num_rounds=1,
    num_batches={"whole": 1, "crops": 2},
    num_shards=100,
    num_long_shards=6,
    num_scaling_rounds=1,
    scaling_times=2,
)


@dataclass(slots=True, kw_only=True)
class Contestant:
    """A loader, open in one mode with its fastest settings."""

    peer: Peer
    process: LoaderProcess
    tuning: str = ""
    passes: list[Pass] = field(default_factory=list)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test: little of everything")
    parser.add_argument("--rounds", type=int, help="rounds of passes (default: 3)")
    parser.add_argument("--only", nargs="*", metavar="MODULE", help="only these peers' modules")
    parser.add_argument("--environments", type=Path, help="folder of the peers' environments")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else Effort()
    peers = [peer for peer in PEERS if arguments.only is None or peer.module in arguments.only]
    command = "python -m benchmarks.loader" + (" --quick" if arguments.quick else "")
    with tempfile.TemporaryDirectory() as temporary:
        report = measure(
            peers,
            Path(temporary),
            environments=arguments.environments or Path(temporary) / "environments",
            effort=effort,
            num_rounds=arguments.rounds or effort.num_rounds,
        )
    write_report(report, arguments.out, command=command)


def measure(
    peers: Sequence[Peer], root: Path, *, environments: Path, effort: Effort, num_rounds: int
) -> Report:
    """Run everything in a folder."""
    report = Report()
    print(f"encoding {effort.num_recordings} clips", flush=True)
    make_clips(root, num_recordings=effort.num_recordings, copies=effort.copies)
    make_shards(root / "long", num_shards=effort.num_long_shards, clips_per_shard=BATCH_SIZE)
    contestants = _start([OURS, *peers], root, environments, report)
    for mode, num_samples in MODES.items():
        num_batches = effort.num_batches[mode]
        for one in tuple(contestants):
            try:
                _open_fastest(one, num_samples, num_batches)
            except PeerError as failure:
                report.leave_out(one.peer.name, f"{mode}: {failure}")
                one.process.close()
                contestants.remove(one)
        _run_rounds(contestants, num_rounds=num_rounds, num_batches=num_batches)
        for one in contestants:
            report.add(mode, one.peer.name, one.tuning, one.passes)
        report.scaling[mode] = measure_scaling(
            root / "long",
            num_samples,
            skip=_SKIP,
            num_rounds=effort.num_scaling_rounds,
            num_batches=effort.scaling_times * num_batches,
        )
    for one in contestants:
        one.process.close()
    make_shards(root / "many", num_shards=effort.num_shards)
    report.first_batch = measure_first_batch(root / "many", num_rounds=num_rounds)
    report.memory = measure_memory()
    report.num_shards, report.load = effort.num_shards, os.getloadavg()[2]
    return report


def _start(
    peers: Sequence[Peer], root: Path, environments: Path, report: Report
) -> list[Contestant]:
    """Make environments and the clips' forms; return the loaders that can run."""
    contestants = []
    for peer in peers:
        try:
            python = make_environment(peer, environments)
            process = LoaderProcess(peer.module, python, root, root / peer.module, cores=str(_CORE))
            process.prepare()
        except PeerError as failure:
            print(f"{peer.name}: {failure}", flush=True)
            report.leave_out(peer.name, str(failure))
        else:
            contestants.append(Contestant(peer=peer, process=process))
    return contestants


def _open_fastest(one: Contestant, num_samples: int | None, num_batches: int) -> None:
    """Check each of a loader's settings, time it once, and leave the fastest one open."""
    tunings = ["1 thread"] if one.peer is OURS else one.process.tunings
    best_seconds = math.inf
    for tuning in tunings:
        one.process.open(tuning, num_samples)
        one.process.check(1)
        first = one.process.run(skip=2, num_batches=max(num_batches // 2, 1))
        seconds = first.cpu_seconds / first.num_clips
        print(f"{one.peer.name}, {tuning}: {1 / max(seconds, 1e-9):.0f} clips/s a core", flush=True)
        if seconds < best_seconds:
            best_seconds, one.tuning = seconds, tuning
    if one.tuning != tunings[-1]:
        one.process.open(one.tuning, num_samples)
    one.passes = []


def _run_rounds(contestants: list[Contestant], *, num_rounds: int, num_batches: int) -> None:
    for number in range(num_rounds):
        turn = number % len(contestants)
        for one in contestants[turn:] + contestants[:turn]:
            one.passes.append(one.process.run(skip=_SKIP, num_batches=num_batches))


if __name__ == "__main__":
    main()
