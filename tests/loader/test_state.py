import json
from typing import Any

import pytest

from loader.state import LoaderState
from shardwriter.errors import LoaderStateError

STATE = LoaderState(
    dataset_digest="a" * 64,
    split="train",
    folds=(1, 2, 3, 4),
    seed=2**64 - 1,
    shuffle=True,
    open_shards=16,
    epoch=10**6,
    cursor=10**9,
)


def test_state_survives_json() -> None:
    assert LoaderState.from_dict(json.loads(json.dumps(STATE.to_dict()))) == STATE


def test_state_takes_less_than_a_kilobyte() -> None:
    assert len(json.dumps(STATE.to_dict())) < 1000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2),
        ("version", None),
        ("dataset_digest", 5),
        ("split", None),
        ("folds", "12"),
        ("folds", [1, "2"]),
        ("seed", 1.0),
        ("shuffle", 1),
        ("open_shards", "16"),
        ("epoch", True),
        ("cursor", None),
    ],
)
def test_mistyped_field_is_refused_with_its_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(LoaderStateError, match=f"^{name}: .*{value!r}".replace("[", r"\[")):
        LoaderState.from_dict({**STATE.to_dict(), name: value})


def test_missing_and_unknown_fields_are_refused_with_their_names() -> None:
    row = STATE.to_dict()
    row["place"] = row.pop("cursor")
    with pytest.raises(LoaderStateError, match=r"missing \['cursor'\], unknown \['place'\]"):
        LoaderState.from_dict(row)


@pytest.mark.parametrize("position", [{"cursor": -1}, {"cursor": 24}, {"epoch": -1}])
def test_position_outside_of_the_epoch_is_refused(position: dict[str, int]) -> None:
    state = LoaderState.from_dict({**STATE.to_dict(), "epoch": 0, "cursor": 0, **position})
    with pytest.raises(LoaderStateError, match="outside of an epoch of 23 samples"):
        state.check_fits(STATE, num_samples=23)
