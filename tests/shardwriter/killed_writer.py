"""Writers that are killed, run as a program: `python -m tests.shardwriter.killed_writer ...`.

`steps FOLDER NUM_CLIPS` writes one clip for each byte of its input; whoever started it kills it.
`points FOLDER STEP` kills a writer at every STEP-th of its file operations, goes on with another,
and writes what it found as JSON. It forks; pytest's own process must not, it may have threads.
"""

import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shardwriter import ShardWriter
from shardwriter.errors import ConfigError
from shardwriter.flac import encode_flac
from shardwriter.keys import to_key
from shardwriter.manifest import load_manifest
from shardwriter.object_names import TEMPORARY_PREFIX
from shardwriter.schema import idx_name
from shardwriter.storage import LocalStore
from tests.shardwriter.builders import SETTINGS, make_clips, tree, write_dataset

# Otherwise every fork would import what pyarrow wants, and load the compiled encoder.
PRELOADED = (pd, encode_flac(np.ones(1, np.int16), sample_rate_hz=8000, frame_num_samples=64))
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


def write_in_steps(folder: Path, num_clips: int) -> None:
    with ShardWriter(str(folder), SETTINGS, max_samples_per_shard=3) as writer:
        for clip in make_clips(range(num_clips)):
            sys.stdin.buffer.read(1)
            if not writer.is_written(to_key(clip.id)):
                writer.write_clip(clip)
            sys.stdout.write(f"{clip.id}\n")
            sys.stdout.flush()


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


def write_in_fork(folder: Path, *, kill_at: int | None = None) -> int:
    """Write the dataset in a child process; return the signal that ended it, 0 for none."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            operations = FileOperations(folder, kill_at=kill_at)
            sys.addaudithook(operations)
            write_dataset(folder, make_clips(range(7)), max_samples_per_shard=2)
            folder.with_suffix(".count").write_text(str(operations.count))
            os._exit(0)
        except BaseException:  # noqa: BLE001  # the child must not run on as if it were the parent
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"the writer failed in {folder}")
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


def kill_at_points(folder: Path, step: int) -> dict[str, Any]:
    write_in_fork(folder / "reference")
    num_points = int((folder / "reference.count").read_text())
    reference = tree(folder / "reference")
    problems = {}
    points = range(1, num_points + 1, step)
    for point in points:
        work = folder / "work"
        if write_in_fork(work, kill_at=point) != signal.SIGKILL:
            problems[point] = ["was not killed"]
            continue
        found = problems_after_kill(work, reference)
        write_in_fork(work)
        if tree(work) != reference:
            found.append("the next writer did not make it whole")
        if found:
            problems[point] = found
        shutil.rmtree(work)
    return {"num_points": len(points), "problems": problems}


def main() -> None:
    mode, folder, *rest = sys.argv[1:]
    if mode == "steps":
        write_in_steps(Path(folder), int(rest[0]))
    else:
        sys.stdout.write(json.dumps(kill_at_points(Path(folder), int(rest[0]))))


if __name__ == "__main__":
    main()
