import json
from dataclasses import replace
from typing import Any

import pytest

from loader.state import LoaderState, bounded
from shardwriter.errors import LoaderStateError

STATE = LoaderState(
    dataset_digest="a" * 64,
    selection="train folds=1,2,3,4",
    sampling="draws=10 balance=InverseFrequency()",
    seed=2**64 - 1,
    shuffle=True,
    open_shards=16,
    num_streams=4,
    epoch=10**6,
    cursor=10**9,
)


def test_state_survives_json() -> None:
    assert LoaderState.from_dict(json.loads(json.dumps(STATE.to_dict()))) == STATE


def test_state_takes_less_than_a_kilobyte() -> None:
    # Texts of any length and alphabet, also where JSON takes six bytes for a letter.
    long = replace(STATE, selection=bounded("é" * 5000), sampling=bounded("x" * 5000))
    assert len(json.dumps(long.to_dict())) < 1000


def test_long_texts_that_differ_at_the_end_stay_different() -> None:
    assert bounded("short") == "short"
    assert bounded("x" * 900 + "a") != bounded("x" * 900 + "b")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 1),
        ("version", None),
        ("dataset_digest", 5),
        ("selection", None),
        ("sampling", ["draws"]),
        ("seed", 1.0),
        ("shuffle", 1),
        ("open_shards", "16"),
        ("num_streams", None),
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
