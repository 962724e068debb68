import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shardwriter.keys import MAX_KEY_LENGTH, from_key, to_key
from tests.shardwriter.properties import bounded

IDENTITIES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda identity: 3 * len(identity.encode()) <= MAX_KEY_LENGTH
)


@pytest.mark.parametrize(
    ("identity", "key"),
    [
        ("esc50/1-100032-A-0", "esc50+1-100032-A-0"),
        ("audioset/--PJHxphWEs_30000", "audioset+--PJHxphWEs_30000"),
        ("a.b", "a=2Eb"),
        ("a+b=c", "a=2Bb=3Dc"),
        ("ä b", "=C3=A4=20b"),
        ("..", "=2E=2E"),
        ("/", "+"),
    ],
)
def test_key_is_spelled_as_documented(identity: str, key: str) -> None:
    assert to_key(identity) == key


@bounded(max_examples=200)
@given(identity=IDENTITIES)
def test_every_identity_comes_back_from_its_key(identity: str) -> None:
    assert from_key(to_key(identity)) == identity


@bounded(max_examples=200)
@given(identity=IDENTITIES)
def test_key_is_a_plain_file_name_without_dots(identity: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_\-+=]{1,94}", to_key(identity))


@bounded(max_examples=200)
@given(left=IDENTITIES, right=IDENTITIES)
def test_different_identities_have_different_keys(left: str, right: str) -> None:
    assume(left != right)
    assert to_key(left) != to_key(right)


@bounded(max_examples=200)
@given(key=st.text("aZ09_-+=2EF.e", min_size=1, max_size=9))
def test_text_is_a_key_of_one_identity_or_refused(key: str) -> None:
    try:
        identity = from_key(key)
    except ValueError:
        return
    assert to_key(identity) == key


@pytest.mark.parametrize(
    "key",
    ["", ".", "a.b", "a/b", "a b", "ä", "a\n", "=", "=2", "=2e", "=GG", "=FF", "=41", "a" * 95],
)
def test_text_that_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"key|utf-8"):
        from_key(key)


def test_longest_key_fits_a_ustar_name() -> None:
    key = to_key("a" * MAX_KEY_LENGTH)
    assert len(f"{key}.flac") <= 100
    assert from_key(key) == "a" * MAX_KEY_LENGTH


@pytest.mark.parametrize("identity", ["", "a" * 95, "." * 32, "ä" * 16])
def test_identity_that_makes_no_key_is_refused(identity: str) -> None:
    with pytest.raises(ValueError, match="allowed are 1 to 94"):
        to_key(identity)


def test_identity_that_is_no_unicode_text_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        to_key("\ud800")
