"""A worker that logs attempts until it is killed, run as a program: `python -m ... FOLDER`.

It kills a worker at each of its file operations in turn, opens the log anew, and writes as JSON
what was lost, doubled or invented. It forks; pytest's own process must not, it may have threads.
"""

import json
import os
import shutil
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path

from jobs.availability.log import AttemptsLog, read_attempts
from shardwriter.storage import LocalStore
from tests.jobs.availability.builders import attempt
from tests.shardwriter.kill_points import FileOperations

NUM_ROWS = 5


def log_of(folder: Path, worker: str) -> AttemptsLog:
    return AttemptsLog(
        LocalStore(folder / "dataset"),
        run_id="run-1",
        worker=worker,
        journal_folder=folder / "journals",
        rows_per_part=2,
    )


def append_in_fork(folder: Path, *, kill_at: int) -> tuple[int, list[str]]:
    """Return the signal that ended the worker, 0 for none, and the rows that it was sure of."""
    folder.mkdir()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            sys.addaudithook(FileOperations(folder, kill_at=kill_at))
            with log_of(folder, "w0") as log:
                for number in range(NUM_ROWS):
                    log.append(attempt(f"clip-{number}"))
                    os.write(writing, b"clip-%d\n" % number)
            os._exit(0)
        except BaseException:  # noqa: BLE001  # the child must not run on as if it were the parent
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as acknowledged:
        rows = acknowledged.read().split()
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"the worker failed in {folder}")
    return os.WTERMSIG(status), rows


def problems(folder: Path, sure: list[str]) -> list[str]:
    with log_of(folder, "w1"):
        pass
    store = LocalStore(folder / "dataset")
    found = Counter(read_attempts(store, ["clip_id"])["clip_id"].to_pylist())
    told = [f"lost {row}" for row in sure if not found[row]]
    told += [f"doubled {row}" for row, count in found.items() if count > 1]
    told += [f"invented {row}" for row in found if row not in {*sure, f"clip-{len(sure)}"}]
    left = [path for path in (folder / "journals").rglob("*.jsonl") if path.is_file()]
    return told + [f"left {path.name}" for path in left]


def main() -> None:
    folder = Path(sys.argv[1])
    told: dict[int, list[str]] = {}
    point, sent = 0, signal.SIGKILL
    while sent == signal.SIGKILL:
        point += 1
        sent, sure = append_in_fork(folder / "work", kill_at=point)
        if found := problems(folder / "work", sure):
            told[point] = found
        shutil.rmtree(folder / "work")
    sys.stdout.write(json.dumps({"num_points": point - 1, "problems": told}))


if __name__ == "__main__":
    main()
