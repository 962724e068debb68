"""Old attempts and today's rules: the log stays, the states follow."""

from pathlib import Path

import pytest

from jobs.availability import reclassify as module
from jobs.availability.classifier import RULES_VERSION, classify
from jobs.availability.outcome import Code
from jobs.availability.reclassify import (
    apply_reclassified,
    read_judged_attempts,
    reclassified_name,
    reclassify,
)
from jobs.availability.reduction import reduce_attempts
from shardwriter.errors import ShardFormatError
from shardwriter.storage import LocalStore
from tests.jobs.availability.builders import at, attempt, attempts_table, listing, write_log
from tests.jobs.availability.corpus import messages
from tests.shardwriter.builders import tree

OLD = {"rules_version": RULES_VERSION - 1}
TERMINATED = (
    "ERROR: [youtube] abc: Video unavailable. This video is no longer available because the "
    "YouTube account associated with this video has been terminated."
)
LOG = [
    attempt("mended", Code.UNKNOWN, text=TERMINATED, **OLD),
    attempt("mended", Code.UNKNOWN, text=TERMINATED, run_id="run-2", time_utc=at(24), **OLD),
    attempt("right", Code.PRIVATE, text="Private video", **OLD),
    attempt("newer", Code.UNKNOWN, text="Private video"),
    attempt("ours", Code.CLIP_PAST_END, text="Private video", **OLD),
    attempt("bare", Code.PRIVATE, **OLD),
    attempt("no longer known", Code.PRIVATE, text="a lost wording", **OLD),
    attempt("by status", Code.UNKNOWN, http_status=503, **OLD),
    attempt("alive", text="Private video", **OLD),
]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "dataset")
    write_log(store, LOG, tmp_path / "journals")
    return store


def test_attempts_of_older_rules_get_the_codes_of_todays(store: LocalStore) -> None:
    before = tree(Path(store.url))
    summary = reclassify(store)
    assert summary.changes == {("unknown", "account_terminated"): 2, ("unknown", "http_5xx"): 1}
    assert (summary.num_attempts, summary.num_judged, summary.num_changed) == (9, 5, 3)
    after = tree(Path(store.url))
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {summary.name} == {reclassified_name(RULES_VERSION)}


def test_states_follow_the_new_codes(store: LocalStore) -> None:
    clips = listing(["mended", "right", "alive"])
    before = reduce_attempts(read_judged_attempts(store), clips)
    reclassify(store)
    after = reduce_attempts(read_judged_attempts(store), clips)
    assert before["state"].to_pylist() == ["unknown", "unknown", "alive"]
    assert after["state"].to_pylist() == ["gone", "unknown", "alive"]
    assert after["code"].to_pylist() == ["account_terminated", "private", "ok"]


def test_judging_anew_twice_is_judging_once(store: LocalStore) -> None:
    first = reclassify(store)
    written = tree(Path(store.url))
    assert reclassify(store) == first
    assert tree(Path(store.url)) == written
    once = read_judged_attempts(store)
    assert once.num_rows == len(LOG)


def test_log_of_todays_rules_needs_nothing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "dataset")
    rows = []
    for number, row in enumerate(messages()):
        outcome = classify(row["text"], warnings=row.get("warnings", ()))
        kept = {"text": outcome.evidence.text, "warnings": outcome.evidence.warnings}
        rows.append(attempt(str(number), outcome.code, **kept, **OLD))
    write_log(store, rows, tmp_path)
    summary = reclassify(store)
    assert summary.num_judged > 150
    assert summary.num_changed == 0


def test_rows_are_changed_by_clip_run_try_and_time() -> None:
    log = attempts_table([attempt("a", Code.UNKNOWN), attempt("a", Code.UNKNOWN, attempt=2)])
    row = {"run_id": "run-1", "clip_id": "a", "attempt": 2, "time_utc": at(0)}
    row |= {"old_code": "unknown", "code": "private", "group": "permanent"}
    changed = module.pa.Table.from_pylist([row], schema=module.RECLASSIFIED_SCHEMA)
    table = apply_reclassified(log, changed)
    assert table["code"].to_pylist() == ["unknown", "private"]
    assert table["group"].to_pylist() == ["unclear", "permanent"]
    assert table.schema.equals(log.schema)


def test_damaged_table_is_named_with_the_way_out(store: LocalStore) -> None:
    store.put(reclassified_name(RULES_VERSION), b"PAR1 no more")
    with pytest.raises(ShardFormatError, match="melstream availability reclassify"):
        read_judged_attempts(store)
