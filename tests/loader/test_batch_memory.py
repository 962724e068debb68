import contextlib

import numpy as np
import pytest
import torch

from loader.batch_memory import BatchMemory
from tests.loader.builders import make_loader


def test_memory_of_a_batch_that_is_gone_is_used_again() -> None:
    memory = BatchMemory()
    first = memory.take((4, 1000))
    address = first.ctypes.data
    first[:] = 7
    del first
    again = memory.take((4, 1000))
    assert again.ctypes.data == address
    assert again.shape == (4, 1000)


def test_memory_stays_with_a_batch_as_long_as_a_view_of_it_lives() -> None:
    memory = BatchMemory()
    tensor = torch.from_numpy(memory.take((4, 1000)))
    tensor[:] = 7
    address = tensor.data_ptr()
    views = [tensor[2, 10:20], tensor.numpy()[3]]
    del tensor
    while views:
        other = memory.take((4, 1000))
        assert other.ctypes.data != address
        other[:] = 8
        assert all((np.asarray(view) == 7).all() for view in views)
        views.pop()
    assert memory.take((4, 1000)).ctypes.data == address


def test_memory_of_another_size_is_let_go() -> None:
    memory = BatchMemory()
    memory.take((4, 1000))
    assert memory.take((2, 10)).shape == (2, 10)
    assert memory.take((4, 1000)).size == 4000


def test_no_more_is_kept_than_a_loop_needs() -> None:
    memory = BatchMemory()
    arrays = [memory.take((8,)) for _ in range(9)]
    arrays.clear()
    assert len(memory._free) == 3


def test_a_batch_takes_memory_when_the_first_of_its_clips_are_decoded(
    dataset_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []
    take = BatchMemory.take

    def noted(self: BatchMemory, shape: tuple[int, ...]) -> np.ndarray:
        shapes.append(shape)
        return take(self, shape)

    monkeypatch.setattr(BatchMemory, "take", noted)
    loader = make_loader(dataset_url, batch_size=20, num_threads=8)
    with contextlib.ExitStack() as on_end:
        first = next(iter(loader._pipeline.jobs(epoch=0, cursor=0, on_end=on_end)))
        assert len(first.tasks) == 2
        assert shapes == []
        for task in first.tasks:
            task()
            assert len(shapes) == 1
        assert first.result().wave_BT.shape == shapes[0]
    assert len(shapes) == 1
