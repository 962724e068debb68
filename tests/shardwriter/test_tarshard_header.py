"""Headers of members: those that `tarfile` would write, filled in by ourselves."""

import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwriter.tarshard import _header
from tests.shardwriter.properties import bounded


@bounded(max_examples=200)
@given(
    st.text("abcXYZ019_-+=.", min_size=1, max_size=100),
    st.integers(0, 8**11 - 1) | st.sampled_from([0, 1, 8**11 - 1]),
)
def test_header_is_that_of_tarfile(name: str, num_bytes: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = num_bytes
    member.mode = 0o644
    assert _header(name, num_bytes) == member.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(("name", "num_bytes"), [("", 1), ("a" * 101, 1), ("ä", 1), ("a", 8**11)])
def test_what_a_plain_header_has_no_room_for_is_refused(name: str, num_bytes: int) -> None:
    with pytest.raises(ValueError, match=r"no plain ustar header|can't encode"):
        _header(name, num_bytes)
