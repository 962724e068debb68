"""Kill a program at each of its file operations, let another go on, and tell what is wrong.

It forks, so it is for programs of their own; pytest's own process must not, it may have threads.
"""

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shardwriter.errors import ConfigError
from shardwriter.manifest import load_manifest
from shardwriter.object_names import TEMPORARY_PREFIX
from shardwriter.shard_names import idx_name
from shardwriter.storage import LocalStore
from tests.shardwriter.builders import tree

FILE_OPERATIONS = {
    "open",
    "fcntl.flock",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "shutil.rmtree",
}


class FileOperations:
    """An audit hook that counts file operations in a folder, and dies before the n-th."""

    def __init__(self, folder: Path, *, kill_at: int | None) -> None:
        self.count = 0
        self._folder = str(folder)
        self._kill_at = kill_at

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in FILE_OPERATIONS:
            return
        if event == "open" and not str(args[0]).startswith(self._folder):
            return  # an import, for example
        self.count += 1
        if self.count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def run_in_fork(make: Callable[[Path], object], folder: Path, *, kill_at: int | None = None) -> int:
    """Make a dataset in a child process; return the signal that ended it, 0 for none."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            operations = FileOperations(folder, kill_at=kill_at)
            sys.addaudithook(operations)
            make(folder)
            folder.with_suffix(".count").write_text(str(operations.count))
            os._exit(0)
        except BaseException:  # noqa: BLE001  # the child must not run on as if it were the parent
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"making it failed in {folder}")
    return os.WTERMSIG(status)


def problems_after_kill(folder: Path, reference: dict[str, str]) -> list[str]:
    """What a reader could see of a killed writer's work that it must not see."""
    seen = {name: sha for name, sha in tree(folder).items() if TEMPORARY_PREFIX not in name}
    problems = [f"{name} is not whole" for name in seen if reference.get(name) != seen[name]]
    for name in seen:
        if name.startswith("parts/"):
            tar = name.removeprefix("parts/").replace(".json", ".tar")
            problems += [f"{name} without {it}" for it in (tar, idx_name(tar)) if it not in seen]
    try:
        load_manifest(LocalStore(folder))
        if seen != reference:
            problems.append("published before it was whole")
    except ConfigError as err:
        has_parts = any(name.startswith("parts/") for name in seen)
        if has_parts and "run the same ingest command again" not in str(err):
            problems.append(f"no way out: {err}")
    return problems


def kill_at_points(make: Callable[[Path], object], folder: Path, step: int) -> dict[str, Any]:
    """Kill `make` at every `step`-th of its file operations in `folder`; return what was wrong."""
    run_in_fork(make, folder / "reference")
    num_points = int((folder / "reference.count").read_text())
    reference = tree(folder / "reference")
    problems = {}
    points = range(1, num_points + 1, step)
    for point in points:
        work = folder / "work"
        if run_in_fork(make, work, kill_at=point) != signal.SIGKILL:
            problems[point] = ["was not killed"]
            continue
        found = problems_after_kill(work, reference)
        run_in_fork(make, work)
        if tree(work) != reference:
            found.append("the next run did not make it whole")
        if found:
            problems[point] = found
        shutil.rmtree(work)
    return {"num_points": len(points), "problems": problems}
