"""MP4 in fragments is decoded however few of them there are: what it promises tells if it's cut."""

import struct

import pytest

from shardwriter.decode import decode_wave
from shardwriter.decoded import Decoded
from shardwriter.errors import AudioError
from shardwriter.mixdown import Cut, DecodeRules
from shardwriter.promised_length import promised_num_bytes
from shardwriter.schema import RejectionReason
from tests.shardwriter.media import noise
from tests.shardwriter.mp4_files import FORMS, RATE, aac, box, patched

FRAGMENTED = [form for form in FORMS if form.startswith(("fragments", "one", "dash", "youtube"))]
FILES = {form: aac(noise(20_480), form) for form in FRAGMENTED}


def decoded(data: bytes, cut: Cut | None = None) -> Decoded:
    return decode_wave(data, file="clip", rules=DecodeRules(max_seconds=9.0, cut=cut))[1]


def top_boxes(data: bytes) -> list[tuple[bytes, int]]:
    """Kind and end of each."""
    boxes, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        at += size
        boxes.append((kind, at))
    return boxes


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("video", [False, True])
def test_a_whole_mp4_promises_what_it_has(form: str, video: bool) -> None:
    data = aac(noise(20_480), form, video=video)
    assert promised_num_bytes(data) == (len(data) if form in FRAGMENTED else None)


@pytest.mark.parametrize("form", FRAGMENTED)
def test_fragments_that_are_cut_within_a_box_are_refused(form: str) -> None:
    data = FILES[form]
    boxes = top_boxes(data)
    first = next(end for kind, end in boxes if kind == b"moof")
    starts = {end + at for _, end in boxes for at in range(8)}  # too little to tell a box by
    for num_bytes in set(range(first, len(data), 23)) - starts:
        with pytest.raises(AudioError, match=r"clip promises \d+ bytes and holds") as caught:
            decoded(data[:num_bytes])
        assert caught.value.reason is RejectionReason.TRUNCATED


def test_fragments_that_are_missing_are_noticed_by_the_index() -> None:
    data = FILES["youtube"]
    ends = [end for kind, end in top_boxes(data) if kind == b"mdat"]
    for end in ends[:-1]:
        with pytest.raises(AudioError, match="clip promises") as caught:
            decoded(data[:end])
        assert caught.value.reason is RejectionReason.TRUNCATED
    assert len(decoded(data[: ends[-1]]).wave_T) == len(decoded(data).wave_T)


@pytest.mark.parametrize("junk", [b"\n", bytes(4), bytes(100), b"TAG" + bytes(125), b"\xff" * 9])
def test_what_was_put_behind_fragments_does_not_matter(junk: bytes) -> None:
    for data in FILES.values():
        assert len(decoded(data + junk).wave_T) == len(decoded(data).wave_T)


def test_a_beginning_is_enough_for_a_cut() -> None:
    data = FILES["youtube"]
    cut = Cut(stop_seconds=5_000 / RATE)
    assert len(decoded(data[: len(data) // 2], cut).wave_T) == 5_000


@pytest.mark.parametrize(
    "data",
    [
        patched(FILES["youtube"], b"sidx", 30, b"\0\1"),
        FILES["youtube"].replace(b"sidx", b"free").replace(b"moof", b"free"),
        FILES["youtube"] + struct.pack(">I4s", 7, b"free"),
        box(b"ftyp", b"") * (1 << 17),
    ],
    ids=["an index of another length", "no fragments", "a box without a header", "boxes all over"],
)
def test_what_is_odd_promises_nothing(data: bytes) -> None:
    assert promised_num_bytes(data) is None
