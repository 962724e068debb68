import numpy as np
import pytest

from jobs.fetching.prefix import (
    first_num_bytes,
    needed_seconds,
    next_num_bytes,
    reached_seconds,
)
from shardwriter.audio import Cut, clean_audio
from tests.jobs.fetching import media

FORMS = ["webm", "fragmented_m4a", "wav", "flac"]


@pytest.fixture(scope="module")
def pcm_T() -> np.ndarray:
    return media.noise(12)


def test_only_a_cut_with_an_end_needs_less_than_all() -> None:
    assert needed_seconds(None) is None
    assert needed_seconds(Cut(start_seconds=3.0)) is None
    assert needed_seconds(Cut(start_seconds=3.0, stop_seconds=13.0)) == 14.0


@pytest.mark.parametrize("form", FORMS)
def test_what_a_beginning_is_said_to_reach_does_decode(pcm_T: np.ndarray, form: str) -> None:
    data = getattr(media, form)(pcm_T)
    for share in (0.3, 0.71):
        beginning = data[: int(len(data) * share)]
        reached = reached_seconds(beginning)
        assert reached == pytest.approx(12 * share, abs=1.5)
        stop = reached - 0.1
        audio = clean_audio(
            beginning,
            file="a",
            sample_rate_hz=None,
            max_seconds=60,
            cut=Cut(start_seconds=1.0, stop_seconds=stop),
        )
        assert len(audio.pcm_T) == round(stop * media.RATE_HZ) - media.RATE_HZ


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"\x1aE\xdf\xa3", b"\0\0\0\x18ftypmp42" + bytes(20)]
)
def test_a_beginning_that_tells_nothing_reaches_nowhere(data: bytes) -> None:
    assert reached_seconds(data) == 0.0


def test_an_index_at_the_end_tells_nothing_before_it_is_there(pcm_T: np.ndarray) -> None:
    data = media.m4a(pcm_T)
    assert reached_seconds(data[:-1000]) == 0.0
    assert reached_seconds(data) == pytest.approx(12, abs=0.1)
    first = media.m4a(pcm_T, index_first=True)
    assert reached_seconds(first[: len(first) // 2]) == pytest.approx(5, abs=1.5)


def test_the_first_try_is_by_the_mean_rate() -> None:
    assert first_num_bytes(100.0, kbit_per_second=128.0) == 65_536 + 1_600_000
    assert first_num_bytes(100.0, kbit_per_second=None) == 1 << 20


def test_each_further_try_has_more() -> None:
    data = bytes(1000)
    assert next_num_bytes(data, seconds=10, reached=0.0) == 2000
    assert next_num_bytes(data, seconds=10, reached=5.0) > 2000
    assert next_num_bytes(data, seconds=10, reached=0.001) <= 10_000 + (64 << 10)
