"""Balance, mixing and groups through the whole loader: who gets what, and exact resume."""

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import (
    AudioBatch,
    DatasetConfig,
    GroupBatches,
    InverseFrequency,
    LoaderConfig,
    RepeatFactor,
    ShardLoader,
    World,
)
from shardwriter.errors import ConfigError, LoaderStateError
from tests.loader.builders import NUM_CLIPS, make_dataset, make_loader, make_loaders
from tests.loader.test_mixture import make_other

Pairs = Counter[tuple[str, int]]


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("datasets")
    return make_dataset(folder / "first"), make_other(folder / "second")


POLICIES: dict[str, dict[str, Any]] = {
    "balance": {"balance": InverseFrequency(), "epoch_size": 40, "open_shards": 2},
    "repeats": {"balance": RepeatFactor(threshold=0.4), "open_shards": 3, "num_streams": 2},
    "mixture": {"weights": (1.0, 2.0), "epoch_size": 37, "open_shards": 2},
    "balanced mixture": {"weights": (2.0, 1.0), "balance": InverseFrequency(exponent=0.5)},
    "groups": {"group_batches": GroupBatches(clips_per_group=2)},
}


def loaders_of(urls: tuple[str, str], policy: str, size: int, **more: Any) -> list[ShardLoader]:
    settings = {"batch_size": 4, "crop_seconds": 0.02, "tail": "pad", "seed": 3}
    settings |= {**POLICIES[policy], **more}
    weights = settings.pop("weights", (None, None))
    chosen = urls[1:] if policy == "groups" else urls
    config = LoaderConfig(
        datasets=tuple(
            DatasetConfig(url=url, split="train", weight=weight)
            for url, weight in zip(chosen, weights, strict=False)
        ),
        **settings,
    )
    return [
        ShardLoader(config, world=World(rank=rank, size=size, local_rank=rank))
        for rank in range(size)
    ]


def pairs_of(batches: list[AudioBatch]) -> Pairs:
    """Which copy of which clip was delivered how often, without padding."""
    return Counter(
        pair
        for batch in batches
        for *pair_and, is_padding in zip(
            batch.keys, batch.copy_B.tolist(), batch.is_padding_B.tolist(), strict=True
        )
        if not is_padding
        for pair in [tuple(pair_and)]
    )


def run(loaders: list[ShardLoader], num_steps: int | None = None) -> list[AudioBatch]:
    by_rank = [list(islice(loader, num_steps)) for loader in loaders]
    assert len({len(batches) for batches in by_rank}) == 1
    return [batch for batches in by_rank for batch in batches]


@pytest.mark.parametrize("policy", POLICIES)
def test_rest_after_every_step_is_the_complement_on_another_world(
    urls: tuple[str, str], policy: str
) -> None:
    whole = pairs_of(run(loaders_of(urls, policy, 1)))
    assert max(whole.values()) == 1
    num_steps = len(loaders_of(urls, policy, 2)[0])
    assert num_steps > 1
    for step in range(num_steps + 1):
        begun = loaders_of(urls, policy, 2)
        before = pairs_of(run(begun, step))
        states = {json.dumps(loader.state_dict()) for loader in begun}
        assert len(states) == 1
        text = states.pop()
        assert len(text) < 1000
        for size, batch_size in ((3, 2), (1, 6)):
            resumed = loaders_of(urls, policy, size, batch_size=batch_size, num_threads=1)
            for loader in resumed:
                loader.load_state_dict(json.loads(text))
            after = pairs_of(run(resumed))
            assert before + after == whole


@pytest.mark.parametrize("policy", POLICIES)
def test_every_copy_has_its_own_crop_the_same_on_any_world(
    urls: tuple[str, str], policy: str
) -> None:
    def windows(batches: list[AudioBatch]) -> dict[tuple[str, int], bytes]:
        return {
            (key, copy): wave_T.numpy().tobytes()
            for batch in batches
            for key, copy, wave_T in zip(
                batch.keys, batch.copy_B.tolist(), batch.wave_BT, strict=True
            )
        }

    one = windows(run(loaders_of(urls, policy, 1)))
    # With and without the buffer, too.
    assert windows(run(loaders_of(urls, policy, 3, resampling_buffer_bytes=0))) == one
    repeated = [key for key, copy in one if copy == 1]
    if policy != "groups":
        assert any(one[key, 0] != one[key, 1] for key in repeated)


def test_buffer_spares_reads_and_says_so(urls: tuple[str, str]) -> None:
    loader = loaders_of(urls, "balance", 1, epoch_size=200)[0]
    distinct = {key for batch in loader for key in batch.keys}
    stats = loader.buffer_stats()
    assert (stats.num_hits, stats.num_rereads) == (200 - len(distinct), 0)
    assert 0 < stats.max_bytes_held < 2**20
    without = loaders_of(urls, "balance", 1, epoch_size=200, resampling_buffer_bytes=0)[0]
    list(without)
    assert without.buffer_stats().num_rereads == 200 - len(distinct)


def test_exposure_counts_what_all_ranks_received(urls: tuple[str, str]) -> None:
    loaders = loaders_of(urls, "balance", 2)
    delivered = run(loaders, 3)
    expected = sum(batch.target_BK.numpy().sum(axis=0) for batch in delivered)
    for loader in loaders:
        exposure = loader.exposure()
        assert exposure.num_delivered == 24
        assert exposure.delivered_K.tolist() == expected.tolist()
        assert exposure.labels == loader.labels


@pytest.mark.parametrize("tail", ["drop", "pad", "cycle"])
def test_exposure_of_a_whole_epoch_is_what_its_batches_held(
    urls: tuple[str, str], tail: str
) -> None:
    loaders = loaders_of(urls, "balance", 3, tail=tail)
    batches = run(loaders)
    kept = [batch.target_BK[~batch.is_padding_B].numpy().sum(axis=0) for batch in batches]
    exposure = loaders[0].exposure(epoch=0)
    assert exposure.delivered_K.tolist() == sum(kept).tolist()
    assert exposure.planned_K.sum() > 0
    assert loaders[0].exposure().num_delivered == 0


CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("balance", {"balance": InverseFrequency(offset=1.0)}, "sampling"),
    ("balance", {"balance": None}, "sampling"),
    ("balance", {"epoch_size": 41}, "sampling"),
    ("balance", {"min_spread": 2}, "sampling"),
    ("repeats", {"num_streams": 1}, "num_streams"),
    ("mixture", {"weights": (1.0, 2.5)}, "selection"),
    ("groups", {"group_batches": GroupBatches(clips_per_group=4)}, "sampling"),
    ("groups", {"group_batches": GroupBatches(clips_per_group=2, rest="drop")}, "sampling"),
    ("groups", {"group_batches": None}, "sampling"),
]


@pytest.mark.parametrize(("policy", "change", "field"), CHANGES)
def test_state_of_another_policy_is_refused(
    urls: tuple[str, str], policy: str, change: dict[str, Any], field: str
) -> None:
    state = loaders_of(urls, policy, 1)[0].state_dict()
    with pytest.raises(LoaderStateError, match=f"^{field}: the saved state has "):
        loaders_of(urls, policy, 1, **change)[0].load_state_dict(state)


def test_settings_that_do_not_decide_the_order_may_change(urls: tuple[str, str]) -> None:
    state = loaders_of(urls, "balance", 1)[0].state_dict()
    change = {"batch_size": 7, "num_threads": 4, "resampling_buffer_bytes": 5, "tail": "cycle"}
    other = loaders_of(urls, "balance", 2, **change)[1]
    other.load_state_dict(state)
    assert other.state_dict() == state


def test_epoch_size_alone_takes_another_subset_in_each_epoch(urls: tuple[str, str]) -> None:
    loader = make_loader(urls[0], epoch_size=10, tail="pad", batch_size=5)
    epochs = [frozenset(key for batch in loader for key in batch.keys) for _ in range(30)]
    assert all(len(keys) == 10 for keys in epochs)
    assert len(set(epochs)) > 1
    assert len(frozenset.union(*epochs)) == NUM_CLIPS


def test_group_batches_hold_groups_of_clips(urls: tuple[str, str]) -> None:
    for loader in loaders_of(urls, "groups", 2, tail="drop"):
        index = loader.index
        group_by_key = dict(
            zip(index.keys_of(np.arange(len(index))), index.group_N.tolist(), strict=True)
        )
        num_batches = 0
        for batch in loader:
            groups = [group_by_key[key] for key in batch.keys]
            assert groups[::2] == groups[1::2]
            assert len(set(groups)) == 2
            num_batches += 1
        assert num_batches == 1


def test_groups_all_too_small_to_visit_are_refused(urls: tuple[str, str]) -> None:
    batches = GroupBatches(clips_per_group=4, rest="drop")
    with pytest.raises(ConfigError, match="no group has 4 clips, and rest='drop'"):
        loaders_of(urls, "groups", 1, group_batches=batches)


def test_clips_without_labels_are_a_class_of_their_own(tmp_path: Path) -> None:
    url = make_dataset(tmp_path, numbers=range(0, 30, 3))  # number % 3 labels: none at all
    keys = [
        key
        for loader in make_loaders(url, 1, balance=InverseFrequency())
        for batch in loader
        for key in batch.keys
    ]
    assert len(set(keys)) == len(keys) == 9
