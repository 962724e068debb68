import numpy as np
import pytest

from loader.config import Crop
from loader.crop import choose_windows

KEYS = tuple(f"key{number}" for number in range(300))


def starts(crop: Crop, lengths: list[int], *, window: int = 100, epoch: int = 0) -> list[int]:
    keys = KEYS[: len(lengths)]
    windows = choose_windows(
        keys, np.array(lengths), window_num_samples=window, crop=crop, seed=5, epoch=epoch
    )
    assert windows.num_samples_B.tolist() == [min(length, window) for length in lengths]
    return windows.start_B.tolist()


@pytest.mark.parametrize("crop", ["random", "start", "center"])
def test_clip_up_to_the_windows_length_is_taken_whole(crop: Crop) -> None:
    assert starts(crop, [1, 99, 100]) == [0, 0, 0]


def test_start_and_center_windows_lie_where_they_say() -> None:
    assert starts("start", [101, 500]) == [0, 0]
    assert starts("center", [101, 102, 103, 500]) == [0, 1, 1, 200]


def test_random_windows_reach_every_start_and_none_beyond() -> None:
    assert set(starts("random", [103] * 300)) == {0, 1, 2, 3}


def test_random_windows_change_from_epoch_to_epoch() -> None:
    lengths = [10_000] * 50
    assert starts("random", lengths, epoch=0) != starts("random", lengths, epoch=1)
    assert starts("random", lengths, epoch=1) == starts("random", lengths, epoch=1)


def test_copies_of_a_clip_are_cut_at_places_of_their_own() -> None:
    keys, lengths = ("a", "a", "b", "a"), np.full(4, 1000)

    def starts(copies: list[int] | None) -> list[int]:
        return choose_windows(
            keys,
            lengths,
            window_num_samples=10,
            crop="random",
            seed=1,
            epoch=2,
            copies_B=None if copies is None else np.array(copies),
        ).start_B.tolist()

    first = starts(None)
    assert first[0] == first[1] == first[3]
    # The first copy is cut as the only one would be.
    assert starts([0, 0, 0, 0]) == first
    copies = starts([0, 1, 0, 2])
    assert copies[0] == first[0]
    assert len({copies[0], copies[1], copies[3]}) == 3
