"""Ceiling mode: a few batches over and over, and nobody can take it for training."""

import logging

import pytest

from loader import LoaderConfig
from shardwriter.errors import LoaderStateError
from tests.loader.builders import alive_threads_after_waiting, make_loader


def test_the_first_batches_are_repeated_for_as_many_steps_as_ever(
    dataset_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    real = [batch.keys for batch in make_loader(dataset_url)]
    with caplog.at_level(logging.WARNING):
        loader = make_loader(dataset_url, ceiling_batches=3)
    assert "ceiling mode: 3 batches are handed out over and over" in caplog.text
    batches = iter(loader)
    got = [next(batches) for _ in range(4)]
    assert alive_threads_after_waiting() == []  # nothing works in the background any more
    got += batches
    assert len(got) == len(loader) == 7
    assert [batch.keys for batch in got] == [real[step % 3] for step in range(7)]
    assert got[3] is got[0]
    stats = loader.stats()
    assert (stats.num_batches, stats.num_replayed, stats.ceiling_batches) == (7, 4, 3)
    assert stats.bottleneck().startswith("CEILING MODE, no training: 4 of 7 batches")
    assert loader.epoch == 1


def test_an_epoch_shorter_than_that_is_as_ever(dataset_url: str) -> None:
    loader = make_loader(dataset_url, ceiling_batches=99)
    assert [batch.keys for batch in loader] == [batch.keys for batch in make_loader(dataset_url)]
    assert loader.stats().num_replayed == 0


def test_a_position_in_ceiling_mode_is_never_taken_for_a_real_one(dataset_url: str) -> None:
    loader = make_loader(dataset_url, ceiling_batches=1)
    next(iter(loader))
    state = loader.state_dict()
    assert state["ceiling_batches"] == 1
    with pytest.raises(LoaderStateError, match="the state was saved in ceiling mode"):
        make_loader(dataset_url).load_state_dict(state)


@pytest.mark.parametrize("number", [0, -1, 1.0, True])
def test_a_number_of_batches_that_is_none_is_refused(number: object) -> None:
    with pytest.raises(ValueError, match="ceiling_batches must be a whole number"):
        LoaderConfig(url="x", split="a", batch_size=1, crop_seconds=1, ceiling_batches=number)  # type: ignore[arg-type]
