"""Loops that end early, break, fail or are abandoned: nothing hangs, nothing is lost or left."""

import gc
import os
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from loader import ShardLoader
from shardwriter.errors import ShardFormatError
from tests.loader.builders import (
    alive_threads_after_waiting,
    clip_key,
    make_loader,
    real_keys,
)

REPOSITORY = Path(__file__).parents[2]


def damage(loader: ShardLoader, row: int) -> Path:
    """Flip a bit in the audio of a row; return the shard's path."""
    index = loader.index
    path = Path(index.stores[0].url, index.tars[index.shard_N[row]])
    data = bytearray(path.read_bytes())
    data[int(index.audio_offset_N[row]) + 80] ^= 4
    path.write_bytes(data)
    return path


def test_loop_left_early_goes_on_where_it_was_and_leaves_no_thread(dataset_url: str) -> None:
    expected = real_keys(make_loader(dataset_url))
    loader = make_loader(dataset_url)
    got = []
    for _ in range(3):
        for batch in loader:
            got.append(batch)
            if len(got) % 2 == 0:
                break
        assert alive_threads_after_waiting() == []
    got += loader
    assert real_keys(got) == expected
    assert loader.epoch == 1
    assert alive_threads_after_waiting() == []


def test_rewind_goes_back_to_the_epochs_beginning(dataset_url: str) -> None:
    loader = make_loader(dataset_url)
    begun = real_keys(islice(loader, 2))
    loader.rewind()
    again = real_keys(loader)
    assert again[: len(begun)] == begun
    assert len(again) == 21


def test_epoch_taken_by_counting_steps_is_followed_by_the_next(dataset_url: str) -> None:
    expected = make_loader(dataset_url)
    loader = make_loader(dataset_url)
    for epoch in range(3):
        assert real_keys(islice(loader, len(loader))) == real_keys(expected)
        assert loader.epoch == epoch


def test_new_iteration_ends_the_one_before(dataset_url: str) -> None:
    expected = real_keys(make_loader(dataset_url))
    loader = make_loader(dataset_url)
    first = iter(loader)
    begun = [next(first)]
    second = iter(loader)
    begun.append(next(second))
    with pytest.raises(RuntimeError, match="this iteration has ended early"):
        next(first)
    assert real_keys([*begun, *second]) == expected


def test_moving_or_closing_the_loader_ends_the_iteration(dataset_url: str) -> None:
    loader = make_loader(dataset_url)
    state = loader.state_dict()
    for end in (
        loader.close,
        loader.rewind,
        lambda: loader.set_epoch(7),
        lambda: loader.load_state_dict(state),
    ):
        iterator = iter(loader)
        next(iterator)
        end()
        with pytest.raises(RuntimeError, match="this iteration has ended early"):
            next(iterator)
        assert alive_threads_after_waiting() == []


def test_exhausted_iterator_stays_exhausted(dataset_url: str) -> None:
    loader = make_loader(dataset_url)
    iterator = iter(loader)
    assert len(list(iterator)) == 7
    assert next(iterator, None) is None
    assert next(iterator, None) is None
    assert loader.epoch == 1


def test_damaged_clip_is_raised_at_its_batch_and_again_after_that(own_dataset_url: str) -> None:
    loader = make_loader(own_dataset_url, shuffle=False, batch_size=2)
    damage(loader, 5)
    message = rf"train/made-000001\.tar: sample {re.escape(clip_key(5))}, audio at byte "
    got = []
    iterator = iter(loader)
    with pytest.raises(ShardFormatError, match=message):
        got.extend(iterator)
    assert real_keys(got) == [clip_key(number) for number in range(4)]
    assert loader.state_dict()["cursor"] == 4
    with pytest.raises(RuntimeError, match="or a batch failed"):
        next(iterator)
    with pytest.raises(ShardFormatError, match=message):
        next(iter(loader))
    assert loader.epoch == 0
    assert alive_threads_after_waiting() == []


def test_cut_off_shard_is_raised_and_leaves_no_thread(own_dataset_url: str) -> None:
    loader = make_loader(own_dataset_url, num_threads=4)
    path = Path(own_dataset_url, loader.index.tars[3])
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ShardFormatError, match=r"made-000003\.tar: sample .* the shard is cut off"):
        list(loader)
    assert alive_threads_after_waiting() == []


def test_clip_damaged_under_unverified_checksums_is_not_taken_for_another_length(
    own_dataset_url: str,
) -> None:
    loader = make_loader(own_dataset_url, verify_checksums=False, crop_seconds=None, shuffle=False)
    index = loader.index
    path = Path(own_dataset_url, index.tars[0])
    data = bytearray(path.read_bytes())
    start = int(index.audio_offset_N[1])
    data[start : start + 4] = b"OggS"
    path.write_bytes(data)
    with pytest.raises(ShardFormatError, match=r"made-000000.*(FFmpeg|libsndfile) says"):
        next(iter(loader))


def test_abandoned_iterator_in_a_reference_cycle_leaves_no_thread(dataset_url: str) -> None:
    loader = make_loader(dataset_url)
    iterator = iter(loader)
    next(iterator)
    cycle: list[object] = [iterator]
    cycle.append(cycle)
    del iterator, cycle
    gc.collect()
    assert alive_threads_after_waiting() == []
    assert len(list(loader)) == 6


def test_error_in_the_loop_body_leaves_no_thread(dataset_url: str) -> None:
    def train(loader: ShardLoader) -> None:
        for _ in loader:
            raise ZeroDivisionError

    loader = make_loader(dataset_url)
    with pytest.raises(ZeroDivisionError):
        train(loader)
    assert alive_threads_after_waiting() == []


def check_that_it_ends(script: str) -> None:
    """Run a program that leaves by `SystemExit(7)` in the middle, in an interpreter of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, b"", b"")


def test_interpreter_ends_while_an_iteration_is_running(dataset_url: str) -> None:
    script = f"""
from loader import LoaderConfig, ShardLoader, World
config = LoaderConfig(
    url={dataset_url!r}, split="train", batch_size=1, crop_seconds=None, prefetch_batches=20,
)
iterator = iter(ShardLoader(config, world=World()))
next(iterator)
raise SystemExit(7)
"""
    check_that_it_ends(script)


def test_interpreter_ends_while_a_store_does_not_answer(dataset_url: str) -> None:
    script = f"""
import threading
from loader import LoaderConfig, ShardLoader, World
from tests.loader.remote_folder import RemoteFolder

class Hanging(RemoteFolder):
    def read_part(self, *args, **kwargs):
        if len(self.ranges) > 3:
            threading.Event().wait()
        return super().read_part(*args, **kwargs)

config = LoaderConfig(url="x", split="train", batch_size=1, crop_seconds=None)
iterator = iter(ShardLoader(config, world=World(), store=Hanging({dataset_url!r})))
next(iterator)
raise SystemExit(7)
"""
    check_that_it_ends(script)
