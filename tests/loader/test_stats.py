import pytest

from loader.stats import FillStats, LoaderStats

FILLS = [
    FillStats(num_encoded_bytes=100, read_seconds=0.25, decode_seconds=1.0),
    FillStats(num_encoded_bytes=50, read_seconds=0.25, decode_seconds=2.0),
]


def test_stats_add_up_and_keep_the_first_batch_apart() -> None:
    stats = LoaderStats(num_threads=2)
    stats = stats.plus(FILLS, num_clips=4, wait_seconds=9.0, loop_seconds=None)
    stats = stats.plus(FILLS, num_clips=3, wait_seconds=1.0, loop_seconds=3.0)
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
    )


@pytest.mark.parametrize(
    ("measured", "sentence"),
    [
        ({}, "Nothing is measured yet: it takes two batches of one iteration."),
        (
            {"wait_seconds": 0.1, "loop_seconds": 9.9},
            "The training loop is the bottleneck: it waited for data only 0.10 s of 10.00 s (1%).",
        ),
        (
            {"wait_seconds": 4.0, "loop_seconds": 6.0, "decode_seconds": 9.0, "read_seconds": 1.0},
            "The data is the bottleneck: the training loop waited for it 4.00 s of 10.00 s (40%); "
            "the loader's threads (2) spent 9.00 s decoding and 1.00 s reading: raise num_threads "
            "up to the number of free cores, or crop shorter.",
        ),
        (
            {"wait_seconds": 4.0, "loop_seconds": 6.0, "decode_seconds": 1.0, "read_seconds": 9.0},
            "The data is the bottleneck: the training loop waited for it 4.00 s of 10.00 s (40%); "
            "the loader's threads (2) spent 1.00 s decoding and 9.00 s reading: move the dataset "
            "to faster storage, or raise num_threads.",
        ),
    ],
)
def test_bottleneck_is_named_in_a_sentence(measured: dict[str, float], sentence: str) -> None:
    assert LoaderStats(num_threads=2, **measured).bottleneck() == sentence
