"""The attempts log: every try at every clip, written once and never rewritten.

A worker appends to its journal and publishes it as an immutable part of the dataset:
`availability/attempts/<run_id>/<worker>-NNNNNN.jsonl`.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from jobs.availability.attempt import Attempt
from jobs.availability.log_journal import Journal, leftovers, store_folder
from jobs.availability.log_schema import ATTEMPTS_FOLDER, ATTEMPTS_SCHEMA, to_line
from jobs.availability.log_table import read_attempts, write_attempts_table
from shardwriter.storage import Store

__all__ = [
    "ATTEMPTS_SCHEMA",
    "AttemptsLog",
    "part_name",
    "read_attempts",
    "write_attempts_table",
]

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PART = re.compile(r"(?P<worker>.+)-(?P<number>\d{6,})\.jsonl")


def part_name(run_id: str, worker: str, number: int) -> str:
    """Return the store name of a part of the log."""
    return f"{ATTEMPTS_FOLDER}/{run_id}/{worker}-{number:06d}.jsonl"


class AttemptsLog:
    """One worker's end of the log; used as a context manager, by any thread.

    Rows survive a kill of the process: what was appended and not published is published when any
    worker of the machine next opens a log of the same store. Leaving the context publishes what is
    there, after an exception too: a try that was made is a fact.
    """

    def __init__(
        self,
        store: Store,
        *,
        run_id: str,
        worker: str,
        journal_folder: Path,
        rows_per_part: int = 10_000,
        seconds_per_part: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember what is asked for; nothing is touched before the context is entered.

        Args:
            store: The dataset.
            run_id: The run, the same for all of its workers and when it is resumed; letters,
                digits, dots, hyphens and underscores.
            worker: Name of this worker, unique among those of the run that run at one time.
            journal_folder: A local folder that outlives the process. All workers of a machine
                may share it.
            rows_per_part: A part is published when it has so many rows,
            seconds_per_part: or when its first row is so old. A machine that is lost for good
                takes no more than this with it.
            clock: Seconds, for tests.

        Raises:
            ValueError: a name that is none.
        """
        for name in (run_id, worker):
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"not a name of a run or worker: {name!r}; up to 100 letters, digits, dots, "
                    "hyphens and underscores, the first a letter or digit"
                )
        if rows_per_part < 1 or seconds_per_part <= 0:
            raise ValueError("rows_per_part must be 1 or more, seconds_per_part over 0")
        self._store = store
        self._run_id = run_id
        self._worker = worker
        self._folder = store_folder(journal_folder, store.url)
        self._rows_per_part: Final = rows_per_part
        self._seconds_per_part: Final = seconds_per_part
        self._clock = clock
        self._journal: Journal | None = None
        self._number = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Publish what a killed worker left, and find the number of the next part."""
        for path, data in leftovers(self._folder):
            self._recover(path, data)
        self._number = _next_number(self._store, self._run_id, self._worker)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Publish the last part. If the store fails, the rows stay in the journal."""
        self.flush()

    def append(self, attempt: Attempt) -> None:
        """Add a row; once this returns, the row outlives the process.

        Raises:
            StorageError: the journal or the store can't be written.
            ValueError: the attempt is of another run, or a number in it is not finite.
        """
        if attempt.run_id != self._run_id:
            raise ValueError(f"attempt of run {attempt.run_id!r} for the log of {self._run_id!r}")
        line = to_line(attempt)
        with self._lock:
            if self._journal is None:
                name = Path(part_name(self._run_id, self._worker, self._number)).name
                self._journal = Journal(self._folder / self._run_id / name, self._clock)
            self._journal.append(line)
            age = self._clock() - self._journal.opened_at
            if self._journal.num_rows >= self._rows_per_part or age >= self._seconds_per_part:
                self._publish()

    def flush(self) -> None:
        """Publish what was appended so far."""
        with self._lock:
            self._publish()

    def _publish(self) -> None:
        journal = self._journal
        if journal is None:
            return
        name = part_name(self._run_id, self._worker, self._number)
        try:
            self._store.put(name, journal.read())
        except BaseException:
            journal.close()
            self._journal = None
            self._number += 1  # what is appended from now on is another part
            raise
        journal.remove()
        self._journal = None
        self._number += 1

    def _recover(self, path: Path, data: bytes) -> None:
        match = _PART.fullmatch(path.name)
        if match is None:
            return
        run_id, worker = path.parent.name, match["worker"]
        name = part_name(run_id, worker, int(match["number"]))
        if data:
            if self._store.exists(name) and self._store.read(name) != data:
                # Meanwhile the worker went on elsewhere, without this machine's journal.
                name = part_name(run_id, worker, _next_number(self._store, run_id, worker))
            self._store.put(name, data)
            logger.info("published what a killed worker left part=%s", name)
        path.unlink(missing_ok=True)


def _next_number(store: Store, run_id: str, worker: str) -> int:
    """Return the number after those of the worker's parts; 0 for the first."""
    names = store.names(f"{ATTEMPTS_FOLDER}/{run_id}")
    matches = (_PART.fullmatch(Path(name).name) for name in names)
    numbers = [int(match["number"]) for match in matches if match and match["worker"] == worker]
    return max(numbers, default=-1) + 1
