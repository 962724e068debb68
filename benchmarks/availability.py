"""How long a catalogue of AudioSet's size takes from listing to report, and how much memory.

`python -m benchmarks.availability` makes a synthetic list of 2,000,000 segments in AudioSet's form,
and two runs over it, and times each step from parsing on. Making them is not timed. Writes
`results/availability.md` and `.json`.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.machine import write_results
from jobs.availability.census import take_census
from jobs.availability.common_eval import common_alive
from jobs.availability.diff import diff_snapshots
from jobs.availability.label_shift import label_shifts
from jobs.availability.listing import listing_table, read_listing, write_listing
from jobs.availability.planner import plan_ingest
from jobs.availability.report_files import write_report_files
from jobs.availability.snapshot import SNAPSHOT_SCHEMA, read_snapshot, write_snapshot
from jobs.availability.standing import STATES, stand
from jobs.availability_report import load_survey
from jobs.catalogues.audioset_classes import weak_classes
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from shardwriter.storage import open_store

T = TypeVar("T")
NUM_CLASSES = 527
_LIST = "unbalanced_train_segments.csv"
_CODES = ("ok", "private", "age_gated", "bot_check", "member_missing", "timeout")


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2_000_000)
    num_clips = parser.parse_args().clips
    with tempfile.TemporaryDirectory() as folder:
        _in_process_of_its_own(write_list, Path(folder, _LIST), num_clips)
        steps = [
            *_in_process_of_its_own(plan_steps, folder),
            *_in_process_of_its_own(count_steps, folder),
            *_in_process_of_its_own(report_steps, folder),
        ]
    write_results(
        "availability",
        title=f"From the catalogue to the report, {num_clips:,} clips of {NUM_CLASSES} classes",
        header=["process", "step", "CPU seconds", "wall seconds", "peak memory, GiB"],
        rows=[
            [
                step.process,
                step.name,
                f"{step.cpu_seconds:.1f}",
                f"{step.seconds:.1f}",
                f"{step.peak_bytes / 2**30:.2f}",
            ]
            for step in steps
        ],
        notes=[
            "Peak memory is that of the process so far, Python and libraries included: for "
            "planning with the catalogue's own Python objects, for the report with two runs, since "
            "it compares them. The report is its whole folder: page with seven pictures, card, "
            "tables, id lists. Other work ran on the machine: load average "
            f"{os.getloadavg()[1]:.1f}, so the CPU seconds say more than the wall clock.",
        ],
        data={"steps": [asdict(step) for step in steps]},
        command=f"python -m benchmarks.availability --clips {num_clips}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a step took."""

    process: str
    name: str
    seconds: float
    """By the wall clock."""
    cpu_seconds: float
    """Of all threads."""
    peak_bytes: int
    """Largest resident size that the process had up to the end of the step."""


class Stopwatch:
    """Times the steps of one process."""

    def __init__(self, process: str) -> None:
        self.steps: list[Step] = []
        self._process = process

    def timed(self, name: str, work: Callable[[], T]) -> T:
        """Do one step."""
        started, cpu_started = time.perf_counter(), time.process_time()
        result = work()
        self.steps.append(
            Step(
                process=self._process,
                name=name,
                seconds=time.perf_counter() - started,
                cpu_seconds=time.process_time() - cpu_started,
                peak_bytes=_peak_bytes(),
            )
        )
        return result


def _peak_bytes() -> int:
    """Return the largest resident size so far; `ru_maxrss` would count the parent's as well."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024


def _in_process_of_its_own(work: Callable[..., T], *arguments: object) -> T:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()


def plan_steps(folder: str) -> list[Step]:
    """Time what a dry run does with a list, and write two runs for the other processes."""
    watch = Stopwatch("dry run")
    store = open_store(folder)
    path = Path(folder, _LIST)
    options = {"split": "unbalanced", "csv": str(path)}
    dataset = find_dataset("audioset")
    catalogue = watch.timed("parse", lambda: read_catalogue(dataset, None, options))
    table = watch.timed("catalogue to listing", lambda: listing_table(catalogue))
    watch.timed("plan", lambda: plan_ingest(table, source="youtube"))
    write_listing(store, catalogue)
    for number in (1, 2):
        write_snapshot(store, f"run-{number}", make_snapshot(table, seed=number))
    return watch.steps


def count_steps(folder: str) -> list[Step]:
    """Time each count and comparison by itself."""
    watch = Stopwatch("step by step")
    store = open_store(folder)
    listing, labels = watch.timed("read the listing", lambda: read_listing(store))
    first, second = watch.timed(
        "read two snapshots",
        lambda: (read_snapshot(store, "run-1"), read_snapshot(store, "run-2")),
    )
    standing = watch.timed("join listing and snapshot", lambda: stand(listing, labels, second))
    watch.timed("census", lambda: take_census(standing))
    watch.timed("label shift", lambda: label_shifts(standing))
    watch.timed("diff of the two", lambda: diff_snapshots(first, second))
    watch.timed("common ids with digest", lambda: common_alive([first, second]))
    return watch.steps


def report_steps(folder: str) -> list[Step]:
    """Time `melstream availability report` as a user runs it."""
    watch = Stopwatch("report")
    survey = watch.timed(
        "read, count and compare", lambda: load_survey(folder, run_id=None, since=None, s3=None)
    )
    watch.timed(
        "write page, card, tables, ids", lambda: write_report_files(survey, Path(folder, "report"))
    )
    return watch.steps


def write_list(path: Path, num_clips: int) -> None:
    """Write a list as AudioSet's, of one to three labels a segment, some classes rare."""
    rng = np.random.default_rng(0)
    # D: draws of a label for each clip
    weights = np.arange(1, NUM_CLASSES + 1) ** -0.7
    mids = tuple(weak_classes().codes.values())
    label_ND = rng.choice(NUM_CLASSES, size=(num_clips, 3), p=weights / weights.sum())
    count_N = rng.integers(1, 4, size=num_clips)
    num_labels = 0
    rows = []
    for number, (chosen, count) in enumerate(zip(label_ND.tolist(), count_N.tolist(), strict=True)):
        labels = list(dict.fromkeys(mids[label] for label in chosen[:count]))
        num_labels += len(labels)
        rows.append(f'{number:011d}, 30.000, 40.000, "{",".join(labels)}"\n')
    head = (
        "# Segments csv created Sun Mar  5 10:54:31 2017\n"
        f"# num_ytids={num_clips}, num_segs={num_clips}, num_unique_labels={NUM_CLASSES}, "
        f"num_positive_labels={num_labels}\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
    )
    path.write_text(head + "".join(rows))


def make_snapshot(listing: pa.Table, *, seed: int) -> pa.Table:
    """Return a run in which four clips of five are alive, the rest in every other state."""
    rng = np.random.default_rng(seed)
    num_clips = len(listing)
    state_N = rng.choice(len(STATES), size=num_clips, p=[0.8, 0.1, 0.04, 0.02, 0.01, 0.03])
    moments_N = np.datetime64("2026-11-01T00:00:00.000") + np.arange(num_clips) * np.timedelta64(
        900, "ms"
    )
    times = pa.array([f"{time}Z" for time in moments_N.astype(str)])
    hashes = pa.array([f"{number:064x}" for number in range(num_clips)])
    seen = pa.array(state_N != 0)
    alive_times = pc.if_else(seen, pa.scalar(None, pa.string()), times)
    columns = {
        "clip_id": listing["clip_id"],
        "state": pa.array(STATES).take(pa.array(state_N)),
        "code": pa.array(_CODES).take(pa.array(state_N)),
        "first_seen": alive_times,
        "last_seen": alive_times,
        "last_attempt": times,
        "num_attempts": pa.array(np.ones(num_clips, dtype=np.int32)),
        "verdict_strength": pa.array(["confirmed"]).take(pa.array(np.zeros(num_clips, dtype=int))),
        "source_sha256": hashes,
        "pcm_sha256": pc.if_else(seen, pa.scalar(None, pa.string()), hashes),
    }
    return pa.Table.from_arrays(list(columns.values()), schema=SNAPSHOT_SCHEMA)


if __name__ == "__main__":
    main()
