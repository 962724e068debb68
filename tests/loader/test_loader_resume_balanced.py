"""Saved positions of balanced epochs and of remote datasets: the exact rest, on any world."""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from loader import (
    AudioBatch,
    GroupBatches,
    InverseFrequency,
    LoaderConfig,
    ShardLoader,
    World,
)
from tests.loader.builders import (
    interleave,
    make_dataset,
    make_loaders,
    rewrite_index,
    set_column,
)
from tests.loader.remote_folder import RemoteFolder

NUM_STEPS = 7
Row = tuple[str, int, bytes]


def rows_of(batches: Sequence[AudioBatch]) -> list[Row]:
    """Keys, copies and windows in the global order, without padding."""
    return [
        (batch.keys[place], int(batch.copy_B[place]), batch.wave_BT[place].numpy().tobytes())
        for batch in batches
        for place in range(len(batch))
        if not batch.is_padding_B[place]
    ]


def loaders_of(url: str, size: int, *, is_remote: bool, **settings: Any) -> list[ShardLoader]:
    """The loaders of all ranks, of the folder or of what looks like a remote store."""
    if not is_remote:
        return make_loaders(url, size, **settings)
    config = LoaderConfig(url=url, split="train", crop_seconds=0.02, **settings)
    return [
        ShardLoader(config, world=World(rank=rank, size=size), store=RemoteFolder(url))
        for rank in range(size)
    ]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_dataset(tmp_path_factory.mktemp("resume") / "set", num_clips=27, clips_per_shard=4)


@pytest.mark.parametrize("is_remote", [False, True], ids=["local", "remote"])
@pytest.mark.parametrize("num_steps", range(NUM_STEPS + 1))
def test_rest_of_a_balanced_epoch_is_the_complement_on_other_worlds(
    url: str, tmp_path: Path, num_steps: int, is_remote: bool
) -> None:
    balanced = {"balance": InverseFrequency(), "tail": "pad", "epoch_size": 27, "min_spread": 9}
    cache = {"cache_dir": str(tmp_path / "cache")} if is_remote and num_steps % 2 else {}
    whole = rows_of(list(make_loaders(url, 1, batch_size=1, **balanced)[0]))
    assert len(whole) == 27
    settings = {**balanced, **cache}
    saved, before = [], []
    for loader in loaders_of(url, 2, is_remote=is_remote, batch_size=2, **settings):
        assert len(loader) == NUM_STEPS
        before.append(list(islice(loader, num_steps)))
        saved.append(json.loads(json.dumps(loader.state_dict())))
    assert saved[0] == saved[1]
    received = rows_of(interleave(before))
    for size, batch_size in ((1, 3), (3, 1)):
        after = []
        for loader in loaders_of(url, size, is_remote=is_remote, batch_size=batch_size, **settings):
            loader.load_state_dict(saved[0])
            promised = loader.steps_remaining
            after.append(list(loader))
            assert len(after[-1]) == promised
        assert sorted(received + rows_of(interleave(after))) == sorted(whole)


@pytest.mark.parametrize("num_steps", range(5))
def test_rest_of_an_epoch_of_group_batches_is_the_complement_on_other_worlds(
    tmp_path: Path, num_steps: int
) -> None:
    url = make_dataset(tmp_path / "set", num_clips=27, clips_per_shard=4)
    rewrite_index(
        url, lambda table: set_column(table, "group", [f"group-{i * i % 7}" for i in range(27)])
    )
    settings: dict[str, Any] = {
        "group_batches": GroupBatches(clips_per_group=2), "min_spread": 4, "open_shards": 2,
        "num_streams": 2, "tail": "pad",
    }  # fmt: skip
    whole = rows_of(list(make_loaders(url, 1, batch_size=2, **settings)[0]))
    before = []
    for loader in make_loaders(url, 2, batch_size=4, **settings):
        before.append(list(islice(loader, num_steps)))
        saved = loader.state_dict()
    received = rows_of(interleave(before))
    for size, batch_size in ((1, 6), (3, 2)):
        after = []
        for loader in make_loaders(url, size, batch_size=batch_size, **settings):
            loader.load_state_dict(saved)
            after.append(list(loader))
            group_N = loader.index.group_N
            number = {key: row for row, key in enumerate(loader.index.keys.to_pylist())}
            for batch in after[-1]:
                group_PU = group_N[[number[key] for key in batch.keys]].reshape(-1, 2)
                assert (group_PU[:, 0] == group_PU[:, 1]).all()
        assert sorted(received + rows_of(interleave(after))) == sorted(whole)
