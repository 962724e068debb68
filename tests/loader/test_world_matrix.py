"""Worlds x threads x shards, odd everywhere: equal steps, nothing lost or doubled beyond policy."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from loader import InverseFrequency
from shardwriter.manifest import load_manifest
from shardwriter.storage import open_store
from tests.loader.builders import interleave, make_dataset, make_loaders, real_keys

WORLDS = (1, 2, 3, 5, 8)
NUM_CLIPS_BY_SHARDS = {1: 7, 2: 9, 3: 13, 5: 23, 8: 31, 13: 38, 17: 67}


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """Datasets by their number of shards."""
    root = tmp_path_factory.mktemp("matrix")
    made = {}
    for num_shards, num_clips in NUM_CLIPS_BY_SHARDS.items():
        url = make_dataset(
            root / str(num_shards), num_clips=num_clips, clips_per_shard=-(-num_clips // num_shards)
        )
        assert num_shards_of(url) == num_shards
        made[num_shards] = url
    return made


def num_shards_of(url: str) -> int:
    return len(load_manifest(open_store(url)).shards)


def run(url: str, size: int, **settings: Any) -> tuple[list[int], Counter[str]]:
    """Steps of each rank, and how often each clip came without padding."""
    loaders = make_loaders(url, size, batch_size=2, open_shards=3, **settings)
    by_rank = [list(loader) for loader in loaders]
    assert [len(batches) for batches in by_rank] == [len(loader) for loader in loaders]
    return [len(batches) for batches in by_rank], Counter(real_keys(interleave(by_rank)))


@pytest.mark.parametrize("size", WORLDS)
@pytest.mark.parametrize("num_shards", NUM_CLIPS_BY_SHARDS)
def test_equal_steps_and_every_sample_by_its_policy(
    urls: dict[int, str], num_shards: int, size: int
) -> None:
    num_clips = NUM_CLIPS_BY_SHARDS[num_shards]
    settings = {"num_threads": 1 + (size + num_shards) % 4, "num_streams": 1 + num_shards % 2}
    for tail in ("pad", "cycle", "drop"):
        if tail == "drop" and num_clips < 2 * size:
            continue
        steps, counts = run(urls[num_shards], size, tail=tail, **settings)
        assert len(set(steps)) == 1
        if tail == "pad":
            assert counts == Counter(dict.fromkeys(counts, 1))
            assert len(counts) == num_clips
        elif tail == "cycle":
            assert len(counts) == num_clips
            assert counts.total() == steps[0] * 2 * size < num_clips + 2 * size
        else:
            assert set(counts.values()) == {1}
            assert num_clips - 2 * size < len(counts) <= num_clips


@pytest.mark.slow
@pytest.mark.parametrize("num_threads", [1, 2, 3, 4])
@pytest.mark.parametrize("size", WORLDS)
@pytest.mark.parametrize("num_shards", range(1, 18))
def test_every_world_thread_count_and_shard_count(
    tmp_path: Path, num_shards: int, size: int, num_threads: int
) -> None:
    num_clips = 4 * num_shards - 1
    url = make_dataset(tmp_path / "set", num_clips=num_clips, clips_per_shard=4)
    assert num_shards_of(url) == num_shards
    steps, counts = run(url, size, tail="pad", num_threads=num_threads)
    assert (len(set(steps)), len(counts), set(counts.values())) == (1, num_clips, {1})


@pytest.mark.parametrize("size", WORLDS)
def test_balanced_epochs_have_equal_steps_and_their_planned_copies(
    urls: dict[int, str], size: int
) -> None:
    loaders = make_loaders(
        urls[13], size, batch_size=2, tail="pad", balance=InverseFrequency(), num_threads=3
    )
    exposure = loaders[0].exposure(0)
    by_rank = [list(loader) for loader in loaders]
    assert len({len(batches) for batches in by_rank}) == 1
    counts = Counter(real_keys(interleave(by_rank)))
    assert counts.total() == loaders[0].num_draws == exposure.num_delivered
    assert max(counts.values()) == exposure.max_copies


@pytest.mark.parametrize("size", WORLDS)
def test_a_lost_shard_changes_no_ranks_steps(
    urls: dict[int, str], tmp_path: Path, size: int
) -> None:
    url = make_dataset(tmp_path / "set", num_clips=31, clips_per_shard=4)
    steps, _ = run(url, size, tail="pad")
    lost = {f"made+clip-{number:03d}=2Ewav" for number in range(8, 12)}
    Path(url, "train/made-000002.tar").unlink()
    again, counts = run(url, size, tail="pad", error_budget=4)
    assert again == steps
    assert not lost & set(counts)
    assert (len(counts), set(counts.values())) == (27, {1})
