"""Caching that is killed: `python -m tests.jobs.killed_feature_cache AUDIO FOLDER STEP`.

Kills it at every STEP-th of its file operations, lets another go on, and writes what it found as
JSON. It forks, so it is a program of its own; see `tests.shardwriter.killed_writer`.
"""

import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from shardwriter.errors import ConfigError
from shardwriter.manifest import load_manifest
from shardwriter.object_names import TEMPORARY_PREFIX
from shardwriter.schema import idx_name
from shardwriter.storage import LocalStore
from tests.jobs.feature_builders import cache
from tests.shardwriter.builders import tree
from tests.shardwriter.killed_writer import FileOperations


def cache_in_fork(url: str, out: Path, *, kill_at: int | None = None) -> int:
    """Cache in a child process; return the signal that ended it, 0 for none."""
    child = os.fork()
    if child == 0:
        try:
            operations = FileOperations(out, kill_at=kill_at)
            sys.addaudithook(operations)
            cache(url, out)
            out.with_suffix(".count").write_text(str(operations.count))
            os._exit(0)
        except BaseException:  # noqa: BLE001  # the child must not run on as if it were the parent
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"caching failed in {out}")
    return os.WTERMSIG(status)


def problems_after_kill(out: Path, reference: dict[str, str]) -> list[str]:
    """What a reader could see of the killed run's work that it must not see."""
    seen = {name: sha for name, sha in tree(out).items() if TEMPORARY_PREFIX not in name}
    problems = [f"{name} is not whole" for name in seen if reference.get(name) != seen[name]]
    for name in seen:
        if name.startswith("parts/"):
            tar = name.removeprefix("parts/").replace(".json", ".tar")
            problems += [f"{name} without {it}" for it in (tar, idx_name(tar)) if it not in seen]
    try:
        load_manifest(LocalStore(out))
        if seen != reference:
            problems.append("published before it was whole")
    except ConfigError:
        pass
    return problems


def main() -> None:
    url, folder, step = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)  # no pool of threads that a fork would lose
    cache_in_fork(url, folder / "reference")
    num_operations = int((folder / "reference.count").read_text())
    reference = tree(folder / "reference")
    problems: dict[int, list[str]] = {}
    points = range(1, num_operations + 1, step)
    for point in points:
        work = folder / "work"
        if cache_in_fork(url, work, kill_at=point) != signal.SIGKILL:
            problems[point] = ["was not killed"]
            continue
        found: list[Any] = problems_after_kill(work, reference)
        cache_in_fork(url, work)
        if tree(work) != reference:
            found.append("the next run did not make it whole")
        if found:
            problems[point] = found
        shutil.rmtree(work)
    sys.stdout.write(json.dumps({"num_points": len(points), "problems": problems}))


if __name__ == "__main__":
    main()
