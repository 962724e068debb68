"""Statistics in the text format of Prometheus, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from loader.stats import LoaderStats

_WAIT_BOUNDS_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class _Value:
    value: float
    labels: Mapping[str, str]
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    values: tuple[_Value, ...]


def prometheus_text(
    stats: LoaderStats, *, rank: int, labels: Mapping[str, str] | None = None
) -> str:
    """Return the metrics of a rank, all named `melstream_loader_...`.

    Args:
        stats: What `ShardLoader.stats` returned.
        rank: Becomes the label `rank`.
        labels: More labels of every metric, e.g. `{"run": "baseline"}`.
    """
    common = {**(labels or {}), "rank": str(rank)}
    lines = []
    for metric in _metrics(stats):
        name = f"melstream_loader_{metric.name}"
        lines += [f"# HELP {name} {metric.text}", f"# TYPE {name} {metric.kind}"]
        lines += [
            f"{name}{each.suffix}{_braces({**common, **each.labels})} {float(each.value)!r}"
            for each in metric.values
        ]
    return "\n".join(lines) + "\n"


def _metrics(stats: LoaderStats) -> Iterator[_Metric]:
    reader = stats.reader
    for name, value, text in (
        ("batches", stats.num_batches, "Batches delivered."),
        ("clips", stats.num_clips, "Clips delivered, without padding."),
        ("loop_seconds", stats.loop_seconds, "Time of the training loop between batches."),
        ("replaced", stats.num_replaced, "Places in which another clip stood in for a lost one."),
        ("replayed_batches", stats.num_replayed, "Repeats of ceiling mode: not training."),
        ("requests", reader.num_requests, "Requests to remote stores."),
        ("retries", reader.num_retries, "Reads made again after a failure."),
        ("throttled", reader.num_throttled, "Answers that asked for fewer requests."),
        ("fetched_bytes", reader.num_bytes_fetched, "Bytes that came over the network."),
        ("shards_downloaded", reader.num_shards_downloaded, "Shards brought into the cache."),
        ("cache_fallbacks", reader.num_cache_fallbacks, "Shards streamed past the cache."),
        ("buffer_hits", stats.buffer.num_hits, "Copies of clips that were kept in memory."),
        ("buffer_rereads", stats.buffer.num_rereads, "Copies of clips that were read again."),
    ):
        yield _Metric(f"{name}_total", "counter", text, (_Value(value, {}),))
    for name, value, text in (
        ("quarantined", stats.num_quarantined, "Samples that this rank does without."),
        ("ready_batches", stats.mean_ready, "Whole batches when one is asked for, on average."),
        ("held_bytes", reader.num_bytes_held, "Memory of what was fetched ahead."),
        ("buffer_bytes", stats.buffer.num_bytes_held, "Memory of the resampling buffer."),
        ("queued_requests", reader.num_queued, "Requests planned that have not begun."),
        ("connections", reader.max_connections, "Requests allowed at a time just now."),
        ("first_batch_seconds", stats.time_to_first_batch_seconds, "Wait for the first batch."),
        ("ceiling_mode", stats.ceiling_batches is not None, "1: repeated batches, no training."),
    ):
        yield _Metric(name, "gauge", text, (_Value(value, {}),))
    yield _Metric(
        "read_bytes_total",
        "counter",
        "Encoded audio read, by where it came from.",
        tuple(
            _Value(getattr(reader, f"num_bytes_{origin}"), {"origin": origin})
            for origin in ("local", "cache", "memory", "network")
        ),
    )
    yield _Metric(
        "stage_seconds_total",
        "counter",
        "What each stage does with its time; of several threads the sum.",
        tuple(
            _Value(seconds, {"stage": name, "state": state})
            for name, stage in stats.stages.items()
            for state, seconds in (("busy", stage.busy_seconds), ("blocked", stage.blocked_seconds))
        ),
    )
    yield _wait_metric(stats)


def _wait_metric(stats: LoaderStats) -> _Metric:
    waits = stats.waits
    buckets = [
        _Value(count, {"le": f"{bound:g}"}, "_bucket")
        for bound, count in zip(
            _WAIT_BOUNDS_SECONDS, waits.cumulative(_WAIT_BOUNDS_SECONDS), strict=True
        )
    ]
    values = (
        *buckets,
        _Value(waits.num, {"le": "+Inf"}, "_bucket"),
        _Value(waits.sum_seconds, {}, "_sum"),
        _Value(waits.num, {}, "_count"),
    )
    text = "Waits of the training loop for a batch, but for each iteration's first."
    return _Metric("wait_seconds", "histogram", text, values)


def _braces(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
