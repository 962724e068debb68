import math
from typing import Any

import pytest

from loader import LoaderConfig

VALID: dict[str, Any] = {"url": "x", "split": "train", "batch_size": 4, "crop_seconds": 1.0}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", ""),
        ("split", ""),
        ("batch_size", 0),
        ("batch_size", 4.0),
        ("batch_size", True),
        ("crop_seconds", 0),
        ("crop_seconds", -1.0),
        ("crop_seconds", math.inf),
        ("crop_seconds", math.nan),
        ("crop_seconds", "5"),
        ("crop", "middle"),
        ("seed", -1),
        ("seed", 2**64),
        ("shuffle", 1),
        ("folds", ()),
        ("folds", [1, 2]),
        ("folds", (1, 1)),
        ("folds", (1.5,)),
        ("tail", "keep"),
        ("num_threads", 0),
        ("prefetch_batches", 0),
        ("open_shards", 0),
        ("verify_checksums", None),
        ("pin_memory", "yes"),
    ],
)
def test_wrong_setting_is_refused_with_its_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name) as error:
        LoaderConfig(**{**VALID, name: value})
    assert repr(value) in str(error.value)


def test_printed_config_names_every_setting() -> None:
    config = LoaderConfig(**VALID)
    for name in LoaderConfig.__dataclass_fields__:
        assert f"{name}=" in repr(config)


def test_config_takes_whole_seconds_and_none_as_crop() -> None:
    assert LoaderConfig(**{**VALID, "crop_seconds": 5}).crop_seconds == 5
    assert LoaderConfig(**{**VALID, "crop_seconds": None}).crop_seconds is None
