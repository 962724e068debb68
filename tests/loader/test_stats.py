import json
import math

import pytest

from loader.histogram import WaitHistogram, merge_histograms
from loader.reader_stats import ReaderStats
from loader.replacement import Replaced
from loader.resampling_buffer import BufferStats
from loader.stats import FillStats, LoaderStats, Stage
from loader.stats_merge import merge_stats

FILLS = [
    FillStats(num_encoded_bytes=100, read_seconds=0.25, decode_seconds=1.0),
    FillStats(
        num_encoded_bytes=50,
        read_seconds=0.25,
        decode_seconds=2.0,
        replaced=(Replaced(place=1, key="a"),),
    ),
]


def test_stats_add_up_and_keep_the_first_batch_apart() -> None:
    stats = LoaderStats(num_threads=2)
    stats = stats.plus(FILLS, num_clips=4, wait_seconds=9.0, loop_seconds=None, plan_seconds=8.0)
    stats = stats.plus(
        FILLS, num_clips=3, wait_seconds=1.0, loop_seconds=3.0, num_ready=2, plan_seconds=0.5
    )
    assert stats == LoaderStats(
        num_threads=2,
        num_batches=2,
        num_clips=7,
        num_encoded_bytes=300,
        time_to_first_batch_seconds=9.0,
        wait_seconds=1.0,
        loop_seconds=3.0,
        read_seconds=1.0,
        decode_seconds=6.0,
        plan_seconds=0.5,
        waits=WaitHistogram().plus(1.0),
        num_ready_sum=2,
        num_replaced=2,
    )
    assert stats.stages["deliver"] == Stage(busy_seconds=3.0, blocked_seconds=1.0, num_queued=2.0)
    assert stats.stages["decode"] == Stage(busy_seconds=6.0, blocked_seconds=1.0, num_queued=0.0)


WAITED = {"wait_seconds": 4.0, "loop_seconds": 6.0}
SLOW_DECODING = {"decode_seconds": 9.0, "read_seconds": 1.0}
SLOW_READING = {"decode_seconds": 1.0, "read_seconds": 9.0}
FAR = {
    "num_bytes_network": 9_000_000, "num_bytes_fetched": 9_500_000, "num_requests": 100,
    "fetch_seconds": 3.0, "num_retries": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("measured", "sentence"),
    [
        ({}, "Nothing is measured yet: it takes two batches of one iteration."),
        (
            {"wait_seconds": 0.1, "loop_seconds": 9.9},
            "The training loop is the bottleneck: it waited for data only 0.10 s of 10.00 s (1%), "
            "with 0.0 batches ready on average.",
        ),
        (
            {**WAITED, **SLOW_DECODING},
            "Decoding is the bottleneck: the training loop waited for data 4.00 s of 10.00 s "
            "(40%); the loader's threads (2) spent 9.00 s decoding and 1.00 s reading; raise "
            "num_threads up to the number of free cores, or crop shorter.",
        ),
        (
            {**WAITED, **SLOW_READING, "reader": ReaderStats(num_bytes_local=5_000_000)},
            "The disk is the bottleneck: the training loop waited for data 4.00 s of 10.00 s "
            "(40%); the loader's threads (2) spent 1.00 s decoding and 9.00 s reading; it gave "
            "5 MB; move the dataset to faster storage, or raise num_threads.",
        ),
        (
            {**WAITED, **SLOW_READING, "reader": ReaderStats(num_bytes_cache=5_000_000)},
            "The disk is the bottleneck: the training loop waited for data 4.00 s of 10.00 s "
            "(40%); the loader's threads (2) spent 1.00 s decoding and 9.00 s reading; it gave "
            "5 MB; move the cache to faster storage, or raise num_threads.",
        ),
        (
            {**WAITED, **SLOW_READING, "reader": ReaderStats(**FAR)},
            "The network is the bottleneck: the training loop waited for data 4.00 s of 10.00 s "
            "(40%); the loader's threads (2) spent 1.00 s decoding and 9.00 s reading; 100 "
            "requests brought 10 MB at 30 ms each, 2 were made again, 0 throttled; set cache_dir, "
            "or raise fetch_connections and fetch_memory_bytes.",
        ),
        (
            {**WAITED, "plan_seconds": 3.0},
            "Planning is the bottleneck: the training loop waited for data 4.00 s of 10.00 s "
            "(40%), 3.00 s of it planning in its own thread: make batches larger, or give that "
            "thread a core of its own.",
        ),
        (
            {**WAITED, "ceiling_batches": 3, "num_batches": 9, "num_replayed": 6},
            "CEILING MODE, no training: 6 of 9 batches were repeats of 3, so this is how fast the "
            "training loop goes without waiting for data (6.00 s in the loop).",
        ),
    ],
)
def test_bottleneck_is_named_in_a_sentence(measured: dict[str, float], sentence: str) -> None:
    assert LoaderStats(num_threads=2, **measured).bottleneck() == sentence


def test_a_store_that_throttles_is_said_to() -> None:
    reader = ReaderStats(**FAR, num_throttled=7)  # type: ignore[arg-type]
    stats = LoaderStats(num_threads=2, **WAITED, **SLOW_READING, reader=reader)
    assert "7 throttled; the store throttles: spread the dataset" in stats.bottleneck()


def test_quantiles_are_right_to_ten_per_cent_in_bounded_memory() -> None:
    waits = WaitHistogram()
    seconds = [1e-5 * 1.004**number for number in range(3000)]
    for each in seconds:
        waits = waits.plus(each)
    assert (waits.num, len(waits.counts)) == (3000, len(WaitHistogram().counts))
    for share in (0.0, 0.01, 0.5, 0.95, 0.99, 1.0):
        exact = seconds[max(0, math.ceil(share * 3000) - 1)]
        assert waits.quantile(share) == pytest.approx(exact, rel=0.1)
    assert waits.sum_seconds == pytest.approx(sum(seconds))
    extremes = WaitHistogram().plus(0.0).plus(1e9)
    assert extremes.quantile(0.5) <= 1e-5
    assert extremes.quantile(1.0) > 1000
    assert WaitHistogram().quantile(0.5) == 0.0


def test_stats_of_all_ranks_add_up_and_quantiles_are_of_all_waits() -> None:
    ranks = [
        LoaderStats(
            num_threads=2,
            num_batches=3,
            time_to_first_batch_seconds=float(rank),
            wait_seconds=1.0,
            waits=merge_histograms([WaitHistogram().plus(10.0**-rank)] * 2),
            reader=ReaderStats(num_requests=5, fetch_seconds=0.5),
            buffer=BufferStats(num_hits=7, max_bytes_held=10 + rank),
        )
        for rank in range(3)
    ]
    merged = merge_stats(ranks)
    assert (merged.num_threads, merged.num_batches, merged.wait_seconds) == (6, 9, 3.0)
    assert merged.time_to_first_batch_seconds == 2.0
    assert (merged.reader.num_requests, merged.reader.fetch_seconds) == (15, 1.5)
    assert (merged.buffer.num_hits, merged.buffer.max_bytes_held) == (21, 12)
    assert merged.waits.num == 6
    assert merged.waits.quantile(0.5) == pytest.approx(0.1, rel=0.1)
    assert merged.ceiling_batches is None
    assert merge_stats(ranks[:1]) == ranks[0]
    with pytest.raises(ValueError, match="at least one rank"):
        merge_stats([])


def test_json_has_every_figure() -> None:
    stats = LoaderStats(num_threads=2).plus(FILLS, num_clips=3, wait_seconds=0.5, loop_seconds=1.0)
    row = json.loads(json.dumps(stats.to_json()))
    assert row["wait_p50_seconds"] == row["wait_max_seconds"] == 0.5
    assert row["stages"]["decode"] == {
        "busy_seconds": 3.0, "blocked_seconds": 0.5, "num_queued": 0.0,
    }  # fmt: skip
    assert row["reader"]["num_requests"] == row["buffer"]["num_hits"] == 0
    assert (row["num_replaced"], row["ceiling_batches"]) == (1, None)
    assert row["bottleneck"] == stats.bottleneck()
