"""One loader in its own process: `python -m benchmarks.loader_peers.run MODULE CLIPS FOLDER CORES`.

Reads commands from standard input, a line of JSON each, and answers each with one:

    {"do": "prepare"}                                       write the clips in the loader's form
    {"do": "open", "tuning": NAME, "num_samples": N or null}  begin; N is the length of the crops
    {"do": "check", "batches": N}                           compare what comes with the source
    {"do": "run", "skip": N, "batches": N}                  time batches, behind some untimed ones
"""

import contextlib
import gc
import hashlib
import importlib
import json
import mmap
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Answer commands for as long as there are some."""
    module, clips, folder, cores = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers

    def answer(**fields: Any) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    loader = importlib.import_module(f"benchmarks.loader_peers.{module}")
    batches: Iterator[Any] = iter(())
    answer(tunings=list(loader.TUNINGS))
    for line in sys.stdin:
        command = json.loads(line)
        match command["do"]:
            case "prepare":
                loader.prepare(clips, folder)
                answer()
            case "open":
                batches = iter(())  # lets go of the ones before
                gc.collect()
                _forget_peak()
                batches = loader.open_batches(
                    folder, command["num_samples"], **loader.TUNINGS[command["tuning"]]
                )
                answer()
            case "check":
                problem = problem_of(batches, clips / "clips.npy", command["batches"])
                _forget_peak()  # the source, which was compared with, is not the loader's
                answer(problem=problem)
            case "run":
                answer(**_run(batches, command["skip"], command["batches"]))
    # What frameworks leave running must not keep the process, nor be waited for.
    os._exit(0)


def _run(batches: Iterator[Any], num_skipped: int, num_batches: int) -> dict[str, float]:
    # What was made ahead while nobody looked would count as made in no time.
    for _ in range(num_skipped):
        next(batches)
    cpu, wall, num_clips = _cpu_seconds(), time.perf_counter(), 0
    for _ in range(num_batches):
        num_clips += len(next(batches))
    return {
        "clips": num_clips,
        "cpu": _cpu_seconds() - cpu,
        "wall": time.perf_counter() - wall,
        "peak_mb": _peak_megabytes(),
    }


def problem_of(batches: Iterator[Any], source: Path, num_batches: int) -> str:
    """Return what is wrong with the batches, or nothing."""
    clips_NT = np.load(source, mmap_mode="r")
    num_samples = clips_NT.shape[1]
    numbers = {_fingerprint(clip_T): number for number, clip_T in enumerate(clips_NT)}
    seen, num_rows = set(), 0
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
        for _ in range(num_batches):
            for row_T in next(batches).numpy():
                if row_T.dtype != np.int16:
                    row_T = np.rint(row_T * 32768.0).astype(np.int16)
                seen.add(hashlib.sha256(row_T).digest())
                num_rows += 1
                if len(row_T) == num_samples:
                    number = numbers.get(_fingerprint(row_T))
                    found = number is not None and np.array_equal(clips_NT[number], row_T)
                else:
                    found = content.find(row_T.tobytes()) >= 0
                if not found:
                    return "delivers samples that are not the source's"
    wanted = min(num_rows, len(clips_NT)) // 2
    return "" if len(seen) >= wanted else f"{len(seen)} different rows of {num_rows}"


def _fingerprint(clip_T: Any) -> bytes:
    fingerprint: bytes = clip_T[:: len(clip_T) // 64].tobytes()
    return fingerprint


def _processes() -> list[str]:
    """Return this process and all below it."""
    found, waiting = [], [str(os.getpid())]
    while waiting:
        process = waiting.pop()
        found.append(process)
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            waiting += children.read_text().split()
    return found


def _cpu_seconds() -> float:
    ticks = 0
    for process in _processes():
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS


def _forget_peak() -> None:
    """Have the largest resident set count from now on."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_megabytes() -> float:
    """Return the sum of the processes' largest resident sets."""
    total = 0
    for process in _processes():
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1])
    return total / 1024


if __name__ == "__main__":
    main()
