"""A catalogue with a known mix of outcomes comes out with exactly that census, twice."""

import json
from collections import Counter
from pathlib import Path

import pytest

from jobs.availability.log_table import read_attempts
from jobs.availability.outcome import Code, Group
from jobs.availability.snapshot import read_snapshot, snapshot_run_ids
from jobs.ingesting.tally import REJECTIONS_NAME
from shardwriter.check import check_indexes, check_shards
from shardwriter.index import index_rows
from shardwriter.manifest import load_manifest
from shardwriter.publish import load_idx
from shardwriter.storage import LocalStore
from tests.jobs.ingesting.site import clip_id, requests, run_site, write_site

NUM_CLIPS = 500
CODES = {
    Code.PRIVATE: range(40),
    Code.REMOVED_BY_UPLOADER: range(40, 65),
    Code.AGE_GATED: range(65, 80),
    Code.GEO_BLOCKED: range(80, 90),
    Code.UNAVAILABLE_UNSPECIFIED: range(90, 110),
    Code.CLIP_PAST_END: range(110, 113),
}
REVIVED = range(7)
"""Private before, there again in the second run."""
NEWLY_GATED = range(80, 84)
FLAKY = range(300, 310)
"""Fail once, and come with the second try."""


def first_answers() -> dict[str, list[str]]:
    answers = {clip_id(n): [code.value] for code, numbers in CODES.items() for n in numbers}
    return answers | {clip_id(number): ["timeout", "ok"] for number in FLAKY}


def keys_in(out: Path) -> list[str]:
    store = LocalStore(out)
    manifest = load_manifest(store)
    assert not [p for r in check_shards(store, manifest, manifest.shards) for p in r.problems]
    assert check_indexes(store, manifest) == []
    return [row.key for shard in manifest.shards for row in index_rows(load_idx(store, shard.tar))]


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.ingesting.lane.time.sleep", lambda seconds: None)


def test_census_of_two_runs_is_exact_and_names_what_came_back(
    tmp_path: Path, no_waiting: None
) -> None:
    site, out = write_site(tmp_path / "site", first_answers()), tmp_path / "out"
    store = LocalStore(out)
    lost = sum(len(numbers) for numbers in CODES.values())

    first = run_site(site, out, NUM_CLIPS, run_id="first")
    assert first.num_written == NUM_CLIPS - lost
    assert first.num_by_group == {
        Group.OK: NUM_CLIPS - lost,
        Group.PERMANENT: 40 + 25 + 3,
        Group.GATED: 15 + 10,
        Group.UNCLEAR: 20,
    }
    keys = keys_in(out)
    assert len(keys) == len(set(keys)) == NUM_CLIPS - lost
    reasons = [json.loads(line)["reason"] for line in store.read(REJECTIONS_NAME).splitlines()]
    assert Counter(reasons) == {code.value: len(numbers) for code, numbers in CODES.items()}
    tries = requests(site)
    assert all(tries[clip_id(number)] == 2 for number in FLAKY)
    assert read_attempts(store).num_rows == tries.total()
    states = Counter(read_snapshot(store, "first")["state"].to_pylist())
    assert states["alive"] == NUM_CLIPS - lost
    assert states["gated"] == 25

    answers = first_answers()
    answers |= {clip_id(number): ["ok"] for number in REVIVED}
    answers |= {clip_id(number): ["members_only"] for number in NEWLY_GATED}
    write_site(site, answers)
    second = run_site(site, out, NUM_CLIPS, run_id="second", retry=("all",))
    assert second.num_already_there == NUM_CLIPS - lost
    assert second.num_written == len(REVIVED)
    assert set(keys_in(out)) - set(keys) == {f"site+{number:04d}" for number in REVIVED}
    assert snapshot_run_ids(store) == ["first", "second"]
    before = dict(zip(*_states(store, "first"), strict=True))
    after = dict(zip(*_states(store, "second"), strict=True))
    revived = {clip for clip in after if after[clip] == "alive" != before[clip]}
    assert revived == {clip_id(number) for number in REVIVED}


def _states(store: LocalStore, run_id: str) -> tuple[list[str], list[str]]:
    table = read_snapshot(store, run_id)
    return table["clip_id"].to_pylist(), table["state"].to_pylist()
