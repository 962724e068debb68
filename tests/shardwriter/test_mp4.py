"""The packets of an MP4 are those that FFmpeg's demuxer hands out, or FFmpeg is left to judge."""

import io
import struct

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwriter.mp4 import Mp4Aac, read_mp4_aac
from shardwriter.mp4_packets import MAX_PACKETS
from tests.shardwriter.media import by_ffmpeg, noise
from tests.shardwriter.mp4_files import (
    FORMS,
    RATE,
    aac,
    box,
    changed,
    itunes_note,
    noted_by_itunes,
    patched,
)

NUM = 5_011
FILES = {form: aac(noise(NUM), form) for form in FORMS}
PLAIN, FRAGMENTED = FILES["plain"], FILES["youtube"]


def by_demuxer(data: bytes) -> list[tuple[int, int, int, int]]:
    """Offset, size, end and samples to skip of each packet, as PyAV gives them."""
    rows = []
    with av.open(io.BytesIO(data), "r", format="mov") as opened:
        for packet in opened.demux(opened.streams.audio[0]):
            if packet.size:
                skipped = 0
                if packet.has_sidedata("skip_samples"):
                    side = bytes(packet.get_sidedata("skip_samples"))
                    skipped = int.from_bytes(side[:4], "little")
                rows.append((packet.pos, packet.size, packet.pts + packet.duration, skipped))
    return rows


def rows_of(track: Mp4Aac) -> list[tuple[int, int, int, int]]:
    skipped = np.zeros_like(track.sizes_P)
    skipped[0] = track.num_priming_samples or 0
    columns = (track.offsets_P, track.sizes_P, track.ends_P, skipped)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("num", [1, 1023, 1024, 1025, 20_480])
def test_packets_are_those_of_the_demuxer(form: str, num_channels: int, num: int) -> None:
    data = aac(noise(num, num_channels=num_channels), form)
    track = read_mp4_aac(data)
    if track is None:  # an edit of half a millisecond is none
        assert (num, form) in [(1, "plain"), (1, "index first"), (1, "version 2")]
        return
    assert track.time_scale_hz == RATE
    assert rows_of(track) == by_demuxer(data)


@pytest.mark.parametrize("form", ["plain", "index first", "youtube"])
def test_a_picture_beside_the_sound_is_passed_over(form: str) -> None:
    data = aac(noise(20_480), form, video=True)
    track = read_mp4_aac(data)
    assert track is not None
    assert rows_of(track) == by_demuxer(data)


@pytest.mark.parametrize("milliseconds", [1, 23, 24, 50, 69, 90, 113, 114, 5_000])
@pytest.mark.parametrize("start", [0, 1, 1023, 1024, 1025, 2112, 3072, 5000])
def test_an_edit_hides_what_the_demuxer_hides(milliseconds: int, start: int) -> None:
    data = patched(PLAIN, b"elst", 8, struct.pack(">Ii", milliseconds, start))
    track = read_mp4_aac(data)
    begins_in_it = -(-start // 1024) * 1024 < start + round(milliseconds * RATE / 1000)
    assert (track is not None) == begins_in_it  # FFmpeg plays a packet that only ends in it
    if track is not None:
        assert rows_of(track) == by_demuxer(data)


def test_wide_fields_are_read_as_narrow_ones_are() -> None:
    def wide_edit(content: bytes) -> bytes:
        return box(
            b"elst",
            struct.pack(">IIQQ", 1 << 24, 1, *struct.unpack(">II", content[8:16])) + content[16:],
        )

    def wide_offsets(content: bytes) -> bytes:
        offsets = struct.unpack(f">{len(content) // 4 - 2}I", content[8:])
        return box(b"co64", content[:8] + struct.pack(f">{len(offsets)}Q", *offsets))

    def wide_header(content: bytes) -> bytes:
        times = struct.unpack_from(">4I", content, 4)
        return box(
            b"mdhd",
            b"\1\0\0\0"
            + struct.pack(">QQIQ", times[0], times[1], times[2], times[3])
            + content[20:],
        )

    data = changed(changed(PLAIN, b"elst", wide_edit), b"stco", wide_offsets)
    data = changed(data, b"mdhd", wide_header)
    track = read_mp4_aac(data)
    assert len(data) > len(PLAIN)
    assert track is not None
    assert rows_of(track) == by_demuxer(data) == by_demuxer(PLAIN)


@pytest.mark.parametrize("form", ["index first", "youtube", "fragments"])
@pytest.mark.parametrize("share", [0.5, 0.77, 0.99])
def test_a_beginning_has_the_packets_that_it_reaches(form: str, share: float) -> None:
    data = FILES[form]
    whole = read_mp4_aac(data)
    beginning = read_mp4_aac(data[: int(len(data) * share)])
    assert whole is not None
    assert beginning is not None
    num = len(whole.sizes_P)
    if form != "index first":  # two packets in each fragment, of which the table is enough
        starts = whole.offsets_P[::2] - len(box(b"mdat", b""))
        num = 2 * int((starts <= int(len(data) * share)).sum())
    assert rows_of(beginning) == rows_of(whole)[:num]


@pytest.mark.parametrize(
    ("form", "delay"),
    [("plain", 1024), ("no edit", 2112), ("no edit", 1), ("no edit", 5011), ("version 2", 1024)],
)
def test_what_apple_notes_of_the_delay_is_believed(form: str, delay: int) -> None:
    data = noted_by_itunes(FILES[form], itunes_note(delay))
    track = read_mp4_aac(data)
    assert track is not None
    assert track.num_priming_samples == delay
    assert rows_of(track) == by_demuxer(data)


def drop(_: bytes) -> bytes:
    return b""


def twice(kind: bytes, data: bytes) -> bytes:
    return changed(data, kind, lambda content: 2 * box(kind, content))


LAST_TRACK = FRAGMENTED.rindex(b"tfhd") + 8
EMPTY_RUN = box(b"trun", struct.pack(">III", 1, 0, 100))
UNUSUAL = {
    "no movie": changed(PLAIN, b"moov", drop),
    "a movie without a header": changed(FRAGMENTED, b"mvhd", drop),
    "a movie without a time scale": patched(PLAIN, b"mvhd", 12, bytes(4)),
    "a time scale beyond all": patched(PLAIN, b"mvhd", 12, b"\xff"),
    "two movies": twice(b"moov", PLAIN),
    "two sounds": twice(b"trak", PLAIN),
    "a track that is no sound": patched(PLAIN, b"hdlr", 8, b"text"),
    "no times": changed(PLAIN, b"stts", drop),
    "composition times": changed(PLAIN, b"sgpd", lambda _: box(b"ctts", bytes(8))),
    "one duration too many": patched(PLAIN, b"stts", 8, struct.pack(">I", 9)),
    "a packet of no time": patched(PLAIN, b"stts", 12, bytes(4)),
    "a packet of hours": patched(PLAIN, b"stts", 20, b"\x80\0\0\0"),
    "a size too few": patched(PLAIN, b"stsz", 8, struct.pack(">I", 4)),
    "a packet of no bytes": patched(PLAIN, b"stsz", 12, bytes(4)),
    "packets without end": patched(PLAIN, b"stsz", 4, b"\0\0\0\1\xff\xff\xff\xff"),
    "a packet too few in its chunk": patched(PLAIN, b"stsc", 12, struct.pack(">I", 4)),
    "a second codec": patched(PLAIN, b"stsc", 16, struct.pack(">I", 2)),
    "chunks out of order": patched(PLAIN, b"stsc", 8, struct.pack(">I", 2)),
    "another file": patched(PLAIN, b"dref", 16, bytes(4)),
    "a table that is cut": changed(PLAIN, b"stco", lambda content: box(b"stco", content[:-1])),
    "a second edit": twice(b"elst", PLAIN),
    "an edit of silence": patched(PLAIN, b"elst", 12, b"\xff\xff\xff\xff"),
    "half the speed": patched(PLAIN, b"elst", 16, b"\0\0\x80\0"),
    "another delay by iTunes": noted_by_itunes(PLAIN, itunes_note(2112)),
    "no delay by iTunes": noted_by_itunes(PLAIN, itunes_note(0)),
    "a note by iTunes where none is looked for": noted_by_itunes(
        PLAIN, itunes_note(1024)
    ).replace(b"ilst", b"tags"),
    "a note by iTunes that is not whole": noted_by_itunes(PLAIN, itunes_note(1024)).replace(
        b"mean", b"free"
    ),
    "a note by iTunes of two tracks": noted_by_itunes(
        aac(noise(NUM), "no edit", video=True), itunes_note(1024)
    ),
    "nonsense by iTunes": noted_by_itunes(PLAIN, " 400 0 0"),
    "a secret": PLAIN.replace(b"mp4a", b"enca"),
    "another codec": by_ffmpeg(noise(NUM), RATE, "mp4", "alac"),
    "a box too long": PLAIN.replace(b"\0\0\0\x24edts", b"\0\0\x24\0edts"),
    "a box too short": PLAIN.replace(b"\0\0\0\x24edts", b"\0\0\0\x07edts"),
    "no fragments": changed(FRAGMENTED, b"moof", drop),
    "packets in two ways": aac(noise(NUM), "plain").replace(b"udta", b"mvex"),
    "durations in two ways": patched(FRAGMENTED, b"stts", 4, b"\0\0\0\1"),
    "sizes in two ways": patched(FRAGMENTED, b"stsz", 8, b"\0\0\0\1"),
    "fragments back in time": patched(FRAGMENTED, b"tfdt", 4, bytes(8)),
    "a fragment without a time": changed(FRAGMENTED, b"tfdt", drop),
    "a run without an offset": patched(FRAGMENTED, b"trun", 3, b"\0"),
    "a run before the file": patched(FRAGMENTED, b"trun", 8, b"\x80\0\0\0"),
    "a run with composition times": patched(FRAGMENTED, b"trun", 2, b"\x0a"),
    "a run without end": changed(
        FRAGMENTED, b"trun", lambda _: box(b"trun", struct.pack(">III", 1, 1 << 31, 100))
    ),
    "runs of no packets": changed(
        FRAGMENTED, b"trun", lambda _: box(b"trun", struct.pack(">III", 1, 0, 100))
    ),
    "an empty fragment": patched(FRAGMENTED, b"tfhd", 1, b"\1"),
    "another description": changed(
        FRAGMENTED,
        b"tfhd",
        lambda content: box(b"tfhd", b"\0\2\0\x3a" + content[4:8] + b"\0\0\0\2" + content[8:]),
    ),
    "another track's fragments": patched(FRAGMENTED, b"tfhd", 4, b"\0\0\0\7"),
    "a fragment of no track": FRAGMENTED[:LAST_TRACK] + b"\0\0\0\7" + FRAGMENTED[LAST_TRACK + 4 :],
    "a run of no packets": changed(
        FRAGMENTED, b"tfdt", lambda content: box(b"tfdt", content) + EMPTY_RUN
    ),
    "defaults twice": changed(FRAGMENTED, b"mvex", lambda content: box(b"mvex", 2 * content)),
    "a key in a fragment": changed(
        FRAGMENTED, b"tfdt", lambda content: box(b"tfdt", content) + box(b"senc", bytes(8))
    ),
    "no bytes": b"",
    "no boxes": b"\0\0\0\1ftyp",
    "boxes without end": box(b"free", b"") * (1 << 17),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSUAL)
def test_what_is_unusual_is_left_to_ffmpeg(case: str) -> None:
    assert read_mp4_aac(UNUSUAL[case]) is None


@settings(max_examples=300, deadline=None)
@given(
    form=st.sampled_from(["plain", "index first", "fragments with an edit", "youtube"]),
    flips=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=4),
    end=st.integers(0),
)
def test_damage_gives_a_table_that_is_sound_or_none(
    form: str, flips: list[tuple[int, int]], end: int
) -> None:
    data = bytearray(changed(FILES[form], b"mdat", lambda _: box(b"mdat", bytes(8))))
    for place, value in flips:
        data[place % len(data)] = value
    track = read_mp4_aac(bytes(data[: len(data) - end % 64]))
    if track is None:
        return
    assert 0 < len(track.sizes_P) <= MAX_PACKETS
    assert len(track.sizes_P) == len(track.offsets_P) == len(track.ends_P)
    assert track.sizes_P.min() > 0
    assert track.offsets_P.min() >= 0
    assert track.time_scale_hz >= (track.num_priming_samples or 0)
