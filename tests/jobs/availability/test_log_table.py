"""All parts as one table: every field comes back, and damage is named."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.availability.attempt import Vantage
from jobs.availability.log import ATTEMPTS_SCHEMA, part_name, read_attempts, write_attempts_table
from jobs.availability.log_schema import to_line, to_row
from jobs.availability.outcome import Code
from shardwriter.errors import ShardFormatError
from shardwriter.storage import LocalStore
from tests.jobs.availability.builders import attempt, write_log
from tests.shardwriter.properties import bounded

FULL = attempt(
    "audioset/-abc_30000",
    Code.GEO_BLOCKED,
    video_id="-abc",
    text='"The uploader" has not\nmade \u2028 this\0 \u2019',
    exceptions=("DownloadError", "GeoRestrictedError"),
    http_status=451,
    errno=2,
    is_media=True,
    is_expected=True,
    playability=("web:UNPLAYABLE",),
    countries=("US", "CA"),
    warnings=("first", "second"),
    retry_after_seconds=120.0,
    expected="10.000 s",
    got="9.000 s",
    vantage=Vantage(region="eu", is_authenticated=True, is_proxied=True),
    client="visionos",
    source_sha256="0" * 64,
    pcm_sha256="1" * 64,
    licence="CC BY 3.0",
    fetch_mode="range",
)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "dataset")


def test_every_field_of_an_attempt_comes_back(store: LocalStore, tmp_path: Path) -> None:
    write_log(store, [FULL, attempt("b")], tmp_path)
    table = read_attempts(store)
    assert table.schema.equals(ATTEMPTS_SCHEMA)
    expected = [to_row(FULL), to_row(attempt("b"))]
    for row in expected:
        row |= {name: list(value) for name, value in row.items() if isinstance(value, tuple)}
    assert table.to_pylist() == expected


def test_a_log_of_before_some_fields_were_kept_is_read(store: LocalStore) -> None:
    new = ("fetch_mode", "retry_after_seconds")
    old = {name: value for name, value in to_row(FULL).items() if name not in new}
    store.put(part_name("run-1", "w0", 0), json.dumps(old).encode() + b"\n")
    table = read_attempts(store)
    assert table.schema.equals(ATTEMPTS_SCHEMA)
    assert [table[name].to_pylist() for name in new] == [[None], [None]]
    assert table["clip_id"].to_pylist() == [FULL.clip_id]


def test_no_field_of_an_attempt_is_left_out() -> None:
    parts = (FULL, FULL.evidence, FULL.vantage)
    fields = {name for part in parts for name in type(part).__dataclass_fields__}
    assert fields - {"evidence", "vantage"} == set(ATTEMPTS_SCHEMA.names)


def test_log_of_nothing_is_an_empty_table(store: LocalStore) -> None:
    assert read_attempts(store).schema.equals(ATTEMPTS_SCHEMA)
    assert len(read_attempts(store)) == 0


def test_columns_can_be_chosen(store: LocalStore, tmp_path: Path) -> None:
    write_log(store, [FULL], tmp_path)
    assert read_attempts(store, ["code", "clip_id"]).column_names == ["code", "clip_id"]
    with pytest.raises(ValueError, match=r"no columns \['colour'\]"):
        read_attempts(store, ["colour"])


def test_runs_are_read_together(store: LocalStore, tmp_path: Path) -> None:
    rows = [attempt("a", run_id=f"run-{number % 3}") for number in range(30)]
    write_log(store, rows, tmp_path)
    assert read_attempts(store)["run_id"].to_pylist() == sorted(row.run_id for row in rows)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2 + 9],
        lambda data: b"",
        lambda data: data.replace(b'"clip_id":"b",', b""),
        lambda data: data.replace(b'"attempt":1', b'"attempt":"one"'),
        lambda data: data.replace(b'"code":"ok"', b'"code":null'),
        lambda data: data.replace(b"{", b"[", 1),
        lambda data: data[:20] + b"\xff" + data[21:],
        lambda data: data.replace(b"\n", b"", 1),
        lambda data: b"\n" + data,
        lambda data: b"\0" * len(data) + b"\n",
    ],
)
def test_damaged_part_is_an_error_that_names_it(store: LocalStore, damage: object) -> None:
    name = part_name("run-1", "w0", 0)
    store.put(name, damage(to_line(attempt("a")) + to_line(attempt("b"))))  # type: ignore[operator]
    with pytest.raises(ShardFormatError, match=r"run-1/w0-000000\.jsonl: "):
        read_attempts(store)


def test_derived_table_holds_what_the_parts_hold(store: LocalStore, tmp_path: Path) -> None:
    write_log(store, [attempt("a"), FULL], tmp_path)
    assert write_attempts_table(store) == 2
    write_log(store, [attempt("c", run_id="run-2")], tmp_path)
    assert write_attempts_table(store) == 3
    table = pq.read_table(Path(store.url) / "availability" / "attempts.parquet")
    assert table.equals(read_attempts(store))


def test_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_line(attempt("a", seconds=float("nan")))


@bounded(max_examples=30)
@given(
    clip_id=st.text(min_size=1),
    text=st.text(),
    warnings=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    number=st.integers(0, 2**40),
    start=st.none() | st.floats(0, 1e6),
)
def test_any_attempt_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    clip_id: str,
    text: str,
    warnings: tuple[str, ...],
    number: int,
    start: float | None,
) -> None:
    row = attempt(clip_id, text=text, warnings=warnings, num_bytes=number, start_seconds=start)
    store = LocalStore(tmp_path_factory.mktemp("log"))
    store.put(part_name("r", "w", 0), to_line(row))
    read = read_attempts(store).to_pylist()[0]
    sent = [clip_id, text, list(warnings), number, start]
    names = ["clip_id", "text", "warnings", "num_bytes", "start_seconds"]
    assert [read[name] for name in names] == sent
