"""Saved positions: what was not yet received comes next, on whatever world."""

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from loader import AudioBatch, ShardLoader
from shardwriter.errors import LoaderStateError
from tests.loader.builders import (
    NUM_CLIPS,
    clip_key,
    interleave,
    make_dataset,
    make_loader,
    make_loaders,
    real_keys,
    windows_by_key,
)

OTHER_WORLDS = [(1, 2), (2, 3), (3, 1), (5, 2)]


def run_until(
    url: str, size: int, num_steps: int, **settings: Any
) -> tuple[list[AudioBatch], dict]:
    """Batches of all ranks up to a step, and the state that each rank saves there."""
    states, batches = [], []
    for loader in make_loaders(url, size, **settings):
        batches.append(list(islice(loader, num_steps)))
        states.append(json.loads(json.dumps(loader.state_dict())))
    assert all(state == states[0] for state in states)
    return interleave(batches), states[0]


def resume(url: str, size: int, state: dict[str, Any], **settings: Any) -> list[AudioBatch]:
    loaders = make_loaders(url, size, **settings)
    for loader in loaders:
        loader.load_state_dict(state)
    promised = [loader.steps_remaining for loader in loaders]
    batches = [list(loader) for loader in loaders]
    assert [len(made) for made in batches] == promised
    return interleave(batches)


@pytest.mark.parametrize("num_steps", range(5))
@pytest.mark.parametrize(("size", "batch_size"), OTHER_WORLDS)
def test_rest_after_any_step_is_the_complement_on_another_world(
    dataset_url: str, size: int, batch_size: int, num_steps: int
) -> None:
    order = real_keys(make_loader(dataset_url, tail="pad", batch_size=1))
    before, state = run_until(dataset_url, 2, num_steps, tail="pad")
    after = resume(dataset_url, size, state, tail="pad", batch_size=batch_size)
    assert real_keys(before) + real_keys(after) == order
    assert len(order) == NUM_CLIPS


@pytest.mark.parametrize("tail", ["drop", "cycle"])
@pytest.mark.parametrize("num_steps", range(4))
def test_rest_follows_the_global_order_for_every_tail(
    dataset_url: str, tail: str, num_steps: int
) -> None:
    order = real_keys(make_loader(dataset_url, tail="pad", batch_size=1))
    before, state = run_until(dataset_url, 2, num_steps, tail=tail)
    after = resume(dataset_url, 3, state, tail=tail, batch_size=2)
    received = real_keys(before)[:NUM_CLIPS]
    received += real_keys(after)
    shared = min(len(received), NUM_CLIPS)
    assert received[:shared] == order[:shared]
    assert shared > NUM_CLIPS - 6


def test_crops_after_resuming_are_those_of_the_uninterrupted_run(dataset_url: str) -> None:
    whole = windows_by_key(make_loader(dataset_url, tail="pad"))
    _, state = run_until(dataset_url, 2, 2, tail="pad")
    after = windows_by_key(resume(dataset_url, 3, state, tail="pad", batch_size=2, num_threads=3))
    assert after == {key: whole[key] for key in after}
    assert len(after) >= NUM_CLIPS - 12


def test_batch_whose_loop_body_runs_counts_and_prefetched_ones_do_not(dataset_url: str) -> None:
    loader = make_loader(dataset_url, prefetch_batches=6)
    cursors = [loader.state_dict()["cursor"] for _ in loader]
    assert cursors == [3, 6, 9, 12, 15, 18, 21]


def test_resumed_run_continues_into_later_epochs(dataset_url: str) -> None:
    expected = make_loader(dataset_url)
    epochs = [real_keys(expected) for _ in range(3)]
    loader = make_loader(dataset_url)
    list(loader)
    begun = real_keys(islice(loader, 2))
    resumed = make_loader(dataset_url)
    resumed.load_state_dict(loader.state_dict())
    assert resumed.epoch == 1
    assert begun + real_keys(resumed) == epochs[1]
    assert real_keys(resumed) == epochs[2]


def test_set_epoch_with_the_current_epoch_keeps_a_restored_position(dataset_url: str) -> None:
    loader = make_loader(dataset_url)
    loader.set_epoch(4)
    begun = real_keys(islice(loader, 3))
    state = loader.state_dict()
    resumed = make_loader(dataset_url)
    resumed.load_state_dict(state)
    resumed.set_epoch(4)
    assert resumed.steps_remaining == len(resumed) - 3
    rest = real_keys(resumed)
    resumed.set_epoch(4)
    assert begun + rest == real_keys(resumed)


@pytest.mark.parametrize("tail", ["drop", "pad", "cycle"])
def test_state_behind_the_last_batch_resumes_with_the_epochs_empty_rest(
    dataset_url: str, tail: str
) -> None:
    loader = make_loader(dataset_url, tail=tail)
    states = [loader.state_dict() for _ in loader]
    second = real_keys(loader)
    resumed = make_loader(dataset_url, tail=tail)
    resumed.load_state_dict(states[-1])
    assert (resumed.epoch, resumed.steps_remaining) == (0, 0)
    assert list(resumed) == []
    assert (resumed.epoch, resumed.steps_remaining) == (1, len(resumed))
    assert real_keys(resumed) == second


def test_state_after_a_finished_epoch_is_the_beginning_of_the_next(dataset_url: str) -> None:
    loader = make_loader(dataset_url)
    list(loader)
    state = loader.state_dict()
    assert (state["epoch"], state["cursor"]) == (1, 0)


def test_loading_a_state_reads_no_audio(own_dataset_url: str) -> None:
    state = make_loader(own_dataset_url).state_dict()
    loader = make_loader(own_dataset_url)
    for tar in loader.index.tars:
        Path(own_dataset_url, tar).unlink()
    loader.load_state_dict({**state, "cursor": 9, "epoch": 5})
    assert (loader.epoch, loader.steps_remaining) == (5, 4)


def with_other_seed(url: str) -> ShardLoader:
    return make_loader(url, seed=1)


def with_other_folds(url: str) -> ShardLoader:
    return make_loader(url, folds=(1, 2, 3))


def without_shuffle(url: str) -> ShardLoader:
    return make_loader(url, shuffle=False)


def with_other_open_shards(url: str) -> ShardLoader:
    return make_loader(url, open_shards=3)


def with_other_dataset(url: str) -> ShardLoader:
    folder = Path(url).parent / "longer"
    return make_loader(make_dataset(folder, num_clips=NUM_CLIPS + 1))


def with_other_split(url: str) -> ShardLoader:
    make_dataset(Path(url), numbers=range(100, 109), split="eval")
    return make_loader(url, split="eval")


@pytest.mark.parametrize(
    ("make_other", "message"),
    [
        (with_other_seed, "^seed: the saved state has 0, this loader has 1; set seed as it was"),
        (
            with_other_folds,
            r"^selection: .* has 'train', this loader has 'train folds=1,2,3'",
        ),
        (without_shuffle, "^shuffle: the saved state has True, this loader has False"),
        (with_other_open_shards, "^open_shards: the saved state has 16, this loader has 3"),
        (with_other_dataset, "^dataset_digest: the saved state has '[0-9a-f]{64}', this loader"),
        # Another split makes another dataset; on the same dataset it is the split that is named.
        (with_other_split, "^dataset_digest: "),
    ],
)
def test_state_of_another_order_is_refused(
    own_dataset_url: str, make_other: Callable[[str], ShardLoader], message: str
) -> None:
    state = make_loader(own_dataset_url).state_dict()
    other = make_other(own_dataset_url)
    with pytest.raises(LoaderStateError, match=message):
        other.load_state_dict(state)
    assert (other.epoch, other.state_dict()["cursor"]) == (0, 0)


def test_state_of_another_split_of_the_dataset_is_refused(own_dataset_url: str) -> None:
    other = with_other_split(own_dataset_url)
    state = make_loader(own_dataset_url).state_dict()
    with pytest.raises(LoaderStateError, match=r"^selection: the saved state has 'train', this"):
        other.load_state_dict(state)


def test_order_of_folds_in_the_configuration_does_not_matter(dataset_url: str) -> None:
    first = make_loader(dataset_url, folds=(4, 1))
    begun = real_keys(islice(first, 1))
    second = make_loader(dataset_url, folds=(1, 4))
    second.load_state_dict(first.state_dict())
    assert begun + real_keys(second) == real_keys(make_loader(dataset_url, folds=(1, 4)))


def test_state_is_small_and_the_same_on_every_rank(dataset_url: str) -> None:
    loaders = make_loaders(dataset_url, 3, folds=(1, 2, 3, 4))
    for loader in loaders:
        next(iter(loader))
    texts = {json.dumps(loader.state_dict()) for loader in loaders}
    assert len(texts) == 1
    assert len(texts.pop()) < 1000


def test_unshuffled_position_counts_in_the_order_of_the_index(dataset_url: str) -> None:
    loader = make_loader(dataset_url, shuffle=False, tail="pad")
    state = {**loader.state_dict(), "cursor": 20}
    loader.load_state_dict(state)
    assert real_keys(loader) == [clip_key(number) for number in (20, 21, 22)]
