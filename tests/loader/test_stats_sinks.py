"""Statistics in files: lines of JSON, and Prometheus' text."""

import json
import re
from pathlib import Path

import pytest

from loader.prometheus import prometheus_text
from loader.reader_stats import ReaderStats
from loader.stats import LoaderStats
from loader.stats_sinks import JsonlSink, PrometheusFileSink
from shardwriter.errors import ConfigError
from tests.loader.builders import make_loader

_SAMPLE = re.compile(r'(melstream_loader_\w+)\{((?:\w+="(?:[^"\\]|\\.)*",?)+)\} (\S+)')


def parsed(text: str) -> dict[tuple[str, frozenset[str]], float]:
    """Each sample of an exposition; a line that is none is an error."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP|TYPE) melstream_loader_\w+ .+", line)
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, line
        found[match[1], frozenset(re.findall(r'\w+="(?:[^"\\]|\\.)*"', match[2]))] = float(match[3])
    return found


def test_lines_come_at_their_pace_and_hold_all_figures(dataset_url: str, tmp_path: Path) -> None:
    loader = make_loader(dataset_url)
    seconds = iter(range(100))
    sink = JsonlSink(
        tmp_path / "stats.jsonl", every_seconds=3, rank=2, clock=lambda: next(seconds),
        wall_clock=lambda: 1700.5,
    )  # fmt: skip
    for _ in loader:
        sink.update(loader.stats)
    sink.write(loader.stats())
    rows = [json.loads(line) for line in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert [row["num_batches"] for row in rows] == [1, 4, 7, 7]
    assert all((row["rank"], row["unix_seconds"]) == (2, 1700.5) for row in rows)
    assert rows[-1]["num_clips"] == 21
    assert rows[-1]["reader"]["num_bytes_local"] > 0


def test_the_metrics_are_those_of_the_statistics() -> None:
    stats = LoaderStats(
        num_threads=2,
        num_clips=123456789,
        reader=ReaderStats(num_bytes_cache=77, fetch_seconds=0.1, num_cache_fallbacks=5),
        ceiling_batches=4,
    )
    for seconds in (0.002, 0.002, 0.5, 99.0):
        stats = stats.plus([], num_clips=0, wait_seconds=seconds, loop_seconds=1.0)
    found = parsed(prometheus_text(stats, rank=3, labels={"run": 'a "b"\\\n'}))
    common = {'rank="3"', 'run="a \\"b\\"\\\\\\n"'}

    def value(name: str, *labels: str) -> float:
        return found[f"melstream_loader_{name}", frozenset(common | set(labels))]

    assert value("clips_total") == 123456789
    assert value("ceiling_mode") == 1
    assert value("cache_fallbacks_total") == 5
    assert value("read_bytes_total", 'origin="cache"') == 77
    assert value("stage_seconds_total", 'stage="fetch"', 'state="busy"') == 0.1
    assert value("stage_seconds_total", 'stage="deliver"', 'state="blocked"') == 99.504
    buckets = [value("wait_seconds_bucket", f'le="{le}"') for le in ("0.001", "0.01", "1", "+Inf")]
    assert buckets == [0, 2, 3, 4]
    assert (value("wait_seconds_count"), value("wait_seconds_sum")) == (4, 99.504)


def test_the_file_for_the_collector_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "rank0.prom"
    sink = PrometheusFileSink(path, rank=0, every_seconds=0)
    sink.update(lambda: LoaderStats(num_threads=1, num_batches=1))
    before = path.stat().st_ino
    with path.open() as reader:  # who reads meanwhile sees the old file whole
        sink.update(lambda: LoaderStats(num_threads=1, num_batches=2))
        assert 'melstream_loader_batches_total{rank="0"} 1.0\n' in reader.read()
    assert 'melstream_loader_batches_total{rank="0"} 2.0\n' in path.read_text()
    assert path.stat().st_ino != before
    assert [each.name for each in tmp_path.iterdir()] == ["rank0.prom"]


def test_what_can_not_be_written_is_said(tmp_path: Path) -> None:
    stats = LoaderStats(num_threads=1)
    for sink in (
        JsonlSink(tmp_path / "no" / "a.jsonl"),
        PrometheusFileSink(tmp_path / "no" / "a.prom", rank=0),
    ):
        with pytest.raises(ConfigError, match=r"can't write statistics to \S+: No such file"):
            sink.write(stats)
    with pytest.raises(ValueError, match=r"must end in \.prom"):
        PrometheusFileSink(tmp_path / "a.txt", rank=0)
    with pytest.raises(ValueError, match="every_seconds must be at least 0"):
        JsonlSink(tmp_path / "a", every_seconds=-1)
