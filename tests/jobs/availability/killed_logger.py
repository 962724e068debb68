"""A worker that logs attempts until it is killed: `python -m ... STORE JOURNALS WORKER`.

It appends one attempt for each byte of its input and says so only after the log has it.
"""

import sys
from pathlib import Path

from jobs.availability.log import AttemptsLog
from shardwriter.storage import LocalStore
from tests.jobs.availability.builders import attempt


def main() -> None:
    store, journals, worker = sys.argv[1:]
    with AttemptsLog(
        LocalStore(Path(store)),
        run_id="run-1",
        worker=worker,
        journal_folder=Path(journals),
        rows_per_part=3,
    ) as log:
        sys.stdout.write("open\n")
        sys.stdout.flush()
        while sys.stdin.buffer.read(1):
            line = sys.stdin.buffer.readline().decode().strip()
            log.append(attempt(line))
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
