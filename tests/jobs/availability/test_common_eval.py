import hashlib
import random
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.availability.common_eval import common_alive, id_list
from tests.jobs.availability.drift_builders import snapshot, snapshots

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1)


@given(ids=st.lists(texts, max_size=30), seed=st.integers(0, 100))
def test_digest_is_independent_of_order_and_repetition(ids: list[str], seed: int) -> None:
    shuffled = ids + ids[:2]
    random.Random(seed).shuffle(shuffled)
    assert id_list(shuffled).sha256 == id_list(ids).sha256


@given(ids=st.lists(texts, max_size=30))
def test_canonical_form_is_what_the_docstring_says(ids: list[str]) -> None:
    lines = sorted({clip_id.encode() for clip_id in ids})
    expected = b"".join(line + b"\n" for line in lines)
    assert id_list(ids).data == expected
    assert id_list(ids).sha256 == hashlib.sha256(expected).hexdigest()


def test_digest_is_that_of_sort_and_sha256sum(tmp_path: Path) -> None:
    ids = ["toy/-b_1000", "toy/_a_0", "toy/Z", "toy/é", "toy/-b_1000"]
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(ids) + "\n", encoding="utf-8")
    ordered = subprocess.run(
        ["sort", "-u", str(path)], env={"LC_ALL": "C"}, capture_output=True, check=True
    ).stdout
    summed = subprocess.run(["sha256sum"], input=ordered, capture_output=True, check=True).stdout
    assert summed.decode().split()[0] == id_list(ids).sha256


def test_empty_list_has_the_digest_of_nothing() -> None:
    assert id_list([]).data == b""
    assert id_list([]).sha256 == hashlib.sha256(b"").hexdigest()


def test_id_with_a_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="holds a line break"):
        id_list(["a\nb"])


def test_common_clips_are_alive_everywhere() -> None:
    first = snapshot({"a": "alive", "b": "alive", "c": "alive", "d": "gone"})
    second = snapshot({"d": "alive", "c": "blocked", "b": "alive", "a": "alive"})
    third = snapshot({"b": "alive", "e": "alive"})
    assert common_alive([first, second]).ids.to_pylist() == ["a", "b"]
    assert common_alive([first, second, third]).ids.to_pylist() == ["b"]


def test_clips_of_other_or_unknown_audio_can_be_left_out() -> None:
    first = snapshot(dict.fromkeys("abc", "alive"))
    second = snapshot(dict.fromkeys("abc", "alive"), pcm_sha256={"b": "cd" * 32, "c": None})
    assert common_alive([first, second]).ids.to_pylist() == ["a", "b", "c"]
    assert common_alive([first, second], same_audio=True).ids.to_pylist() == ["a"]


@given(tables=st.lists(snapshots(), min_size=1, max_size=4), same_audio=st.booleans())
def test_order_of_the_datasets_does_not_matter(tables: list[pa.Table], same_audio: bool) -> None:
    there = common_alive(tables, same_audio=same_audio)
    back = common_alive(tables[::-1], same_audio=same_audio)
    if len(tables) == 1:
        assert there.data == back.data
    else:
        assert there.sha256 == back.sha256


def test_no_snapshot_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one snapshot"):
        common_alive([])
