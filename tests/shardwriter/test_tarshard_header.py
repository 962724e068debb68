"""Headers of members: those that `tarfile` would write, filled in by ourselves."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwriter.tarshard import _header, read_members
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


@pytest.mark.parametrize("length", [101, 102, 155, 300])
def test_a_longer_name_stands_in_a_pax_header_before_it(length: int) -> None:
    name = "k" * (length - 8) + ".mel.npy"
    data = _header(name, 3) + b"mel".ljust(512, b"\0") + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        (member,) = tar
        assert (member.name, member.size, member.mode, member.mtime) == (name, 3, 0o644, 0)
        assert member.offset_data == len(_header(name, 3))
        assert (member.uname, member.gname) == ("", "")
    (held,) = read_members(data, where="here")
    assert (held.name, held.offset, held.data) == (name, member.offset_data, b"mel")


@pytest.mark.parametrize(("name", "num_bytes"), [("", 1), ("ä", 1), ("a", 8**11)])
def test_what_a_header_has_no_room_for_is_refused(name: str, num_bytes: int) -> None:
    with pytest.raises(ValueError, match=r"no ustar header|can't encode"):
        _header(name, num_bytes)
