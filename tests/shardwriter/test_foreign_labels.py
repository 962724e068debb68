"""Labels of foreign samples: where they are found, what they may be, how they are numbered."""

import pytest

from shardwriter.errors import ConfigError
from shardwriter.foreign_labels import (
    LabelError,
    build_vocabulary,
    label_ids,
    label_member,
    read_labels,
)


def test_labels_are_read_from_text_ids_and_json() -> None:
    assert read_labels(b" dog\n", member="txt", field="txt") == ("dog",)
    assert read_labels(b"7", member="txt", field="txt") == ("7",)
    assert read_labels(b"7\n", member="cls", field="cls") == (7,)
    assert read_labels(b"dog", member="cls", field="cls") == ("dog",)
    assert read_labels(b'["a", 3, "a"]', member="json", field="json") == ("a", 3)
    assert read_labels(b'{"a": {"b": "c"}}', member="json", field="json.a.b") == ("c",)
    assert read_labels(b'{"a": 1}', member="json", field="json.a.b") is None
    for data in (b"", b"\xff", b'{"a": true}', b'{"a": -1}', b'{"a": {}}', b'{"a": [null]}'):
        with pytest.raises(LabelError):
            read_labels(data, member="json", field="json.a")
    with pytest.raises(LabelError):
        read_labels(b" ", member="txt", field="txt")


def test_member_of_the_label_is_the_longest_that_fits() -> None:
    assert label_member("json.a", ["json", "flac"]) == "json"
    assert label_member("x.json.a", ["json", "x.json", "x"]) == "x.json"
    assert label_member("cls", ["json"]) is None


def test_vocabulary_keeps_ids_and_refuses_a_mixture() -> None:
    assert build_vocabulary([("b",), ("a", "b")]) == ("a", "b")
    assert build_vocabulary([(3,), (1,)]) == ("0", "1", "2", "3")
    assert build_vocabulary([()]) == ()
    with pytest.raises(ConfigError, match=r"names \('a'\), others numbers \(1\)"):
        build_vocabulary([("a",), (1,)])
    with pytest.raises(ConfigError, match="over the limit"):
        build_vocabulary([(10**9,)])
    assert label_ids(("b", 0), {"a": 0, "b": 1}) == (1, 0)
    for unknown in ("c", 2):
        with pytest.raises(LabelError):
            label_ids((unknown,), {"a": 0, "b": 1})
