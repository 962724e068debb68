import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs import cli
from jobs.availability.classifier import RULES_VERSION
from jobs.availability.listing import read_listing, write_listing
from jobs.availability.log_table import read_attempts
from jobs.availability.outcome import Code
from jobs.availability.reduction import reduce_attempts
from jobs.availability.snapshot import snapshot_run_ids, write_snapshot
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.manifest import load_manifest
from shardwriter.storage import open_store
from tests.jobs.availability.builders import attempt, write_log
from tests.jobs.availability.drift_builders import LABELS, catalogue, clip, snapshot

CLIPS = [clip(number, split=("train", "eval")[number % 2]) for number in range(6)]
BEFORE, AFTER = "2026-11-20T12:00:00.000Z", "2026-11-22T12:00:00.000Z"


def add_run(folder: Path, run_id: str, states: Mapping[int, str], *, time: str) -> None:
    """A run that found clips, by number, in these states."""
    ids = {CLIPS[number].id: state for number, state in states.items()}
    table = snapshot(ids, last_attempt=dict.fromkeys(ids, time))
    write_snapshot(open_store(str(folder)), run_id, table)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two runs; the names of the runs don't sort by their time."""
    folder = tmp_path / "toy"
    write_listing(open_store(str(folder)), catalogue(*CLIPS))
    before = dict.fromkeys(range(5), "alive") | {3: "gone", 4: "unknown"}
    add_run(folder, "z-first", before, time=BEFORE)
    after = dict.fromkeys(range(6), "alive") | {0: "gone", 1: "blocked"}
    add_run(folder, "a-second", after, time=AFTER)
    return folder


def run(*arguments: object) -> int:
    return cli.main(["availability", *(str(argument) for argument in arguments)])


def words(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("melstream availability: ")
    return line


def test_report_is_of_the_latest_run_and_compares_with_the_one_before(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    assert run("report", dataset, "--out", out) == 0
    said = words(capsys)
    assert f"Toy (eval, train) at {dataset}, run a-second" in said
    assert "listed 6 clips alive 4 (66.67%) gone 1 (16.67%) blocked 1 (16.67%)" in said
    assert "survival 66.67% to 83.33%" in said
    assert "since z-first 1 clips lost, 1 recovered" in said
    assert f"report: {out / 'report.html'}" in said
    assert "66.67%" in (out / "report.html").read_text()
    assert (out / "ids" / "eval.txt").read_text() == f"{CLIPS[3].id}\n{CLIPS[5].id}\n"


def test_report_of_a_named_run_and_in_json(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("report", dataset, "--out", tmp_path / "r", "--run", "z-first", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["run"] == "z-first"
    assert summary["states"]["alive"] == 3
    assert summary["states"]["unknown"] == 2  # one of them was never tried
    assert summary["since"] is None
    assert summary["hours_alive"] == pytest.approx(30 / 3600)


def test_diff_of_the_last_two_runs_names_every_clip(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("diff", dataset, "--out", tmp_path / "changes.csv") == 0
    said = words(capsys)
    assert f"A: {dataset}, run z-first B: {dataset}, run a-second" in said
    assert "in both 5 clips alive in both 1 lost 1 recovered 1 other audio 0" in said
    assert "alive -> gone 1" in said
    with (tmp_path / "changes.csv").open(newline="") as file:
        changes = {row["clip_id"]: row["change"] for row in csv.DictReader(file)}
    assert changes == {
        CLIPS[0].id: "lost",
        CLIPS[1].id: "state",
        CLIPS[3].id: "recovered",
        CLIPS[4].id: "state",
        CLIPS[5].id: "only_second",
    }
    assert run("diff", dataset, "--out", tmp_path / "changes.parquet") == 0
    assert len(pq.read_table(tmp_path / "changes.parquet")) == 5


def test_diff_of_two_datasets_in_json(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    add_run(other, "run", dict.fromkeys(range(6), "alive"), time=AFTER)
    assert run("diff", dataset, other, "--run-a", "z-first", "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert row["a"] == f"{dataset}, run z-first"
    assert row["changes"]["recovered"] == 1
    assert row["transitions"]["unknown"]["alive"] == 1


def test_datasets_without_a_common_clip_are_called_so(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = open_store(str(tmp_path / "other"))
    write_snapshot(other, "run", snapshot({"other/1": "alive"}))
    assert run("diff", dataset, other.url) == 0
    captured = capsys.readouterr()
    assert "only in B  " in captured.out
    assert captured.err == "melstream availability diff: A and B have no clip id in common\n"


def test_common_eval_lists_the_clips_of_a_split_with_the_digest_of_the_file(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    write_listing(open_store(str(other)), catalogue(*CLIPS))
    add_run(other, "run", dict.fromkeys(range(4), "alive"), time=AFTER)
    out = tmp_path / "lists" / "common.txt"
    assert run("common-eval", dataset, other, "--split", "eval", "--out", out) == 0
    said = words(capsys)
    assert out.read_text() == f"{CLIPS[3].id}\n"
    assert "run a-second 2 alive" in said
    assert f"in all of them 1 clips SHA-256 of the id list {_sha256(out)}" in said
    assert run("common-eval", dataset, other, "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert row["clips"] == 2
    assert row["datasets"][1] == {"url": str(other), "run": "run"}


def test_card_is_printed_or_written_and_quotes_the_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = str(tmp_path / "toy")
    settings = Settings(name="toy", audio=AudioFormat(sample_rate_hz=8000), labels=LABELS)
    provenance = {"dataset": "Toy sounds", "licence": "CC0", "tools": {"melstream": "1.2"}}
    with ShardWriter(url, settings, provenance=provenance) as writer:
        pcm_T = np.arange(4000, dtype=np.int16)
        writer.write_clip(CleanClip(id=CLIPS[0].id, split="train", pcm_T=pcm_T, labels=("dog",)))
    write_listing(open_store(url), catalogue(*CLIPS))
    add_run(Path(url), "run", {0: "alive"}, time=AFTER)
    assert run("card", url) == 0
    text = capsys.readouterr().out
    assert text.startswith('---\npretty_name: "Toy sounds"\n')
    assert load_manifest(open_store(url)).digest in text
    assert "melstream: 1.2" in text
    assert "flac 8000 Hz" in text
    assert run("card", url, "--out", tmp_path / "new" / "card.md") == 0
    assert (tmp_path / "new" / "card.md").read_text() == text


def test_what_is_not_there_is_said_with_the_way_out(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing, out = tmp_path / "nothing", tmp_path / "out"
    message = refused(capsys, "report", nothing, "--out", out)
    assert "has no availability snapshot" in message
    assert "melstream ingest" in message
    message = refused(capsys, "report", dataset, "--run", "run-9", "--out", out)
    assert "has no run 'run-9'; it has: z-first, a-second" in message
    message = refused(capsys, "common-eval", dataset, dataset, "--split", "test")
    assert "has no split 'test'; it has: eval, train" in message
    message = refused(capsys, "diff", dataset, "--out", tmp_path / "x.txt")
    assert "expected a .csv or .parquet" in message
    assert not out.exists()


def test_one_run_alone_has_nothing_to_differ_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_run(tmp_path, "only", {0: "gone"}, time=AFTER)
    assert "has no run before only" in refused(capsys, "diff", tmp_path)
    assert "no clip is alive in all of" in refused(capsys, "common-eval", tmp_path, tmp_path)
    assert "listing.parquet is not there" in refused(capsys, "card", tmp_path)


def test_reclassified_log_is_a_run_of_its_own_that_diff_compares(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(str(dataset))
    old = {"rules_version": RULES_VERSION - 1, "run_id": "a-second", "time_utc": AFTER}
    misjudged = attempt(
        CLIPS[0].id, Code.UNKNOWN, text="Sign in to confirm you're not a bot", **old
    )
    write_log(store, [misjudged, attempt(CLIPS[2].id, **old)], tmp_path / "journals")
    write_snapshot(store, "a-second", reduce_attempts(read_attempts(store), read_listing(store)[0]))
    assert run("reclassify", dataset) == 0
    said = words(capsys)
    assert "tries in the log 2 judged anew 1" in said
    assert "unknown -> bot_check 1" in said
    run_id = f"a-second+rules-{RULES_VERSION}"
    assert f"snapshot by these rules: run {run_id}" in said
    assert run("diff", dataset) == 0
    said = words(capsys)
    assert f"run a-second B: {dataset}, run {run_id}" in said
    assert "unknown -> blocked 1" in said
    assert run("reclassify", dataset) == 0  # again: the same run, and not one of its own
    assert f"run {run_id};" in words(capsys)
    assert snapshot_run_ids(store)[-2:] == ["a-second", run_id]


def test_log_by_the_rules_of_today_stays_as_it_is(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("reclassify", dataset) == 0
    assert "other verdicts 0" in words(capsys)
    assert snapshot_run_ids(open_store(str(dataset))) == ["z-first", "a-second"]


@pytest.mark.parametrize(
    ("action", "phrases"),
    [
        ([], ["report", "diff", "common-eval", "card", "reclassify", "Blocked is not gone"]),
        (["report"], ["URL", "--out", "--since", "--floor", "--json", "report.html"]),
        (["diff"], ["--run-a", "the last two runs of A"]),
        (["common-eval"], ["--split", "--same-audio", "sha256sum"]),
        (["card"], ["--out", "Hugging Face"]),
        (["reclassify"], ["never rewritten"]),
    ],
)
def test_help_says_what_matters(
    action: list[str], phrases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*action, "--help")
    assert caught.value.code == 0
    said = words(capsys)
    for phrase in phrases:
        assert phrase in said


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
