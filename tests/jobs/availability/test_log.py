"""The attempts log: append only, nothing lost by a kill, nothing published twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.availability.log import AttemptsLog, part_name, read_attempts
from jobs.availability.log_journal import store_folder
from jobs.availability.log_schema import to_line
from shardwriter.errors import StorageError
from shardwriter.storage import LocalStore
from tests.jobs.availability.builders import attempt
from tests.shardwriter.builders import tree


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "dataset")


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    return tmp_path / "journals"


def open_log(
    store: LocalStore, journals: Path, worker: str = "w0", **options: object
) -> AttemptsLog:
    return AttemptsLog(
        store,
        run_id="run-1",
        worker=worker,
        journal_folder=journals,
        **options,  # type: ignore[arg-type]  # given by name below
    )


def clip_ids(store: LocalStore) -> list[str]:
    return read_attempts(store, ["clip_id"])["clip_id"].to_pylist()


def journal_files(journals: Path) -> list[str]:
    return sorted(path.name for path in journals.rglob("*") if path.is_file())


def test_attempts_are_published_in_parts_of_one_worker(store: LocalStore, journals: Path) -> None:
    with open_log(store, journals, rows_per_part=2) as log:
        for clip in "abcde":
            log.append(attempt(clip))
        assert clip_ids(store) == ["a", "b", "c", "d"]
    assert clip_ids(store) == ["a", "b", "c", "d", "e"]
    assert sorted(tree(Path(store.url))) == [part_name("run-1", "w0", n) for n in range(3)]
    assert journal_files(journals) == []


def test_part_is_published_when_its_first_row_is_old(store: LocalStore, journals: Path) -> None:
    clock = Clock()
    with open_log(store, journals, seconds_per_part=60.0, clock=clock) as log:
        log.append(attempt("a"))
        clock.seconds = 59.0
        log.append(attempt("b"))
        assert clip_ids(store) == []
        clock.seconds = 60.0
        log.append(attempt("c"))
        assert clip_ids(store) == ["a", "b", "c"]


def test_log_goes_on_with_the_next_number(store: LocalStore, journals: Path) -> None:
    for clip in "abc":
        with open_log(store, journals) as log:
            log.append(attempt(clip))
    assert sorted(tree(Path(store.url))) == [part_name("run-1", "w0", n) for n in range(3)]


def test_log_that_was_not_used_writes_nothing(store: LocalStore, journals: Path) -> None:
    with open_log(store, journals):
        pass
    assert not Path(store.url).exists()


def test_attempts_before_an_exception_are_published(store: LocalStore, journals: Path) -> None:
    def work() -> None:
        with open_log(store, journals) as log:
            log.append(attempt("a"))
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert clip_ids(store) == ["a"]


def test_kill_at_any_file_operation_loses_no_row_and_doubles_none(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "tests.jobs.availability.killed_logger", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    assert found["problems"] == {}
    assert found["num_points"] > 20


def test_kill_between_publishing_and_removing_publishes_once(
    store: LocalStore, journals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store_folder(journals, store.url) / "run-1" / "w0-000000.jsonl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(to_line(attempt("a")))
    store.put(part_name("run-1", "w0", 0), to_line(attempt("a")))
    with open_log(store, journals) as log:
        log.append(attempt("b"))
    assert clip_ids(store) == ["a", "b"]


def test_journal_whose_number_was_taken_elsewhere_gets_the_next(
    store: LocalStore, journals: Path
) -> None:
    kept = store_folder(journals, store.url) / "run-1" / "w0-000000.jsonl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(to_line(attempt("lost and found")))
    store.put(part_name("run-1", "w0", 0), to_line(attempt("a")))
    with open_log(store, journals):
        pass
    assert clip_ids(store) == ["a", "lost and found"]


def test_torn_last_row_is_dropped_and_a_damaged_one_is_not(
    store: LocalStore, journals: Path
) -> None:
    kept = store_folder(journals, store.url) / "run-1" / "w0-000000.jsonl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(to_line(attempt("a")) + to_line(attempt("b"))[:50])
    with open_log(store, journals):
        assert clip_ids(store) == ["a"]
    kept.write_bytes(b"\0\0\0\n" + to_line(attempt("b")))
    with pytest.raises(StorageError, match=r"w0-000000\.jsonl is damaged in line 1"):
        open_log(store, journals).__enter__()


def test_journal_in_use_is_left_alone_and_not_opened_twice(
    store: LocalStore, journals: Path
) -> None:
    with open_log(store, journals) as log:
        log.append(attempt("a"))
        with open_log(store, journals, worker="w1") as other:
            other.append(attempt("b"))
        assert clip_ids(store) == ["b"]
        with (
            pytest.raises(StorageError, match="another worker run under the same run id"),
            open_log(store, journals) as twin,
        ):
            twin.append(attempt("c"))
    assert sorted(clip_ids(store)) == ["a", "b"]


def test_journals_of_another_store_are_left_alone(
    store: LocalStore, journals: Path, tmp_path: Path
) -> None:
    other = LocalStore(tmp_path / "other")
    with open_log(other, journals) as log:
        log.append(attempt("a"))
        with open_log(store, journals):
            pass
    assert (clip_ids(store), clip_ids(other)) == ([], ["a"])


def test_rows_that_the_store_refused_wait_for_the_next_opening(
    store: LocalStore, journals: Path
) -> None:
    log = open_log(store, journals)
    log.__enter__()
    log.append(attempt("a"))
    Path(store.url).write_text("a file where the dataset should be")
    with pytest.raises(StorageError):
        log.__exit__(None, None, None)
    Path(store.url).unlink()
    with open_log(store, journals) as log:
        log.append(attempt("b"))
    assert clip_ids(store) == ["a", "b"]


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "ä", "a" * 101])
def test_names_that_would_leave_the_folder_are_refused(
    store: LocalStore, journals: Path, name: str
) -> None:
    with pytest.raises(ValueError, match="not a name of a run or worker"):
        open_log(store, journals, worker=name)


def test_attempt_of_another_run_is_refused(store: LocalStore, journals: Path) -> None:
    with (
        open_log(store, journals) as log,
        pytest.raises(ValueError, match="attempt of run 'run-2' for the log of 'run-1'"),
    ):
        log.append(attempt("a", run_id="run-2"))
