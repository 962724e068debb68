"""AAC-LC in MP4 comes out as FFmpeg's decoder gives it; what is not plain is left to FFmpeg."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwriter.audio import provenance
from shardwriter.decode import decode_wave
from shardwriter.decode_aac import DECODER, decode_mp4_aac
from shardwriter.decode_ffmpeg import decode_with_ffmpeg
from shardwriter.decoded import Decoded
from shardwriter.errors import AudioError
from shardwriter.mixdown import Cut, DecodeRules
from shardwriter.mp4 import read_mp4_aac
from shardwriter.schema import RejectionReason
from shardwriter.sniff import MP4
from tests.shardwriter.media import by_ffmpeg, noise, remuxed
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
from tests.shardwriter.properties import bounded

NUM = 30_011
TOLERANCE = 2e-6
"""A sixteenth of a step of 16 bits."""
STEREO = noise(NUM, num_channels=2)
FILES = {form: aac(STEREO, form) for form in FORMS}


def rules(**other: object) -> DecodeRules:
    return DecodeRules(**({"max_seconds": 60.0} | other))


def by_kernel(data: bytes, **other: object) -> Decoded:
    decoded = decode_mp4_aac(data, file="clip", rules=rules(**other))
    assert decoded is not None
    return decoded


def by_ffmpeg_only(data: bytes, **other: object) -> Decoded:
    return decode_with_ffmpeg(data, MP4, file="clip", rules=rules(**other))


def assert_alike(got: Decoded, expected: Decoded) -> None:
    assert len(got.wave_T) == len(expected.wave_T)
    assert got.wave_T.dtype == expected.wave_T.dtype
    assert np.abs(got.wave_T - expected.wave_T).max() < TOLERANCE
    for field in ("sample_rate_hz", "num_channels", "start_sample", "codec", "num_priming_samples"):
        assert getattr(got, field) == getattr(expected, field)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("channel", [None, 0, 1])
def test_every_form_of_mp4_comes_out_as_from_ffmpeg(form: str, channel: int | None) -> None:
    whole = by_kernel(FILES[form], channel=channel)
    assert_alike(whole, by_ffmpeg_only(FILES[form], channel=channel))
    assert whole.decoder == DECODER
    assert DECODER in provenance()["decoder"]


@pytest.mark.parametrize(("form", "delay"), [("plain", 1024), ("no edit", 2112), ("no edit", 9)])
def test_a_delay_that_apple_notes_is_left_out_as_by_ffmpeg(form: str, delay: int) -> None:
    data = noted_by_itunes(FILES[form], itunes_note(delay))
    assert_alike(by_kernel(data), by_ffmpeg_only(data))


@pytest.mark.parametrize("rate", [8_000, 16_000, 32_000, 48_000, 96_000])
@pytest.mark.parametrize("num", [1023, 1024, 2_049, 9_999])
def test_every_rate_and_length_comes_out_as_from_ffmpeg(rate: int, num: int) -> None:
    data = aac(STEREO[:num, :1], rate=rate)
    assert_alike(by_kernel(data), by_ffmpeg_only(data))


@pytest.mark.parametrize("form", ["plain", "no edit", "fragments with an edit", "youtube"])
@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (0, 1024), (1, 1025), (1023, 1024), (7_000, 20_000), (29_990, 60_000), (5, None)],
)
def test_a_cut_is_the_same_samples_as_of_the_whole(form: str, start: int, stop: int | None) -> None:
    cut = Cut(start_seconds=start / RATE, stop_seconds=None if stop is None else stop / RATE)
    part = by_kernel(FILES[form], cut=cut)
    assert np.array_equal(part.wave_T, by_kernel(FILES[form]).wave_T[start:stop])
    assert_alike(part, by_ffmpeg_only(FILES[form], cut=cut))


def test_packets_behind_a_cut_are_not_looked_at() -> None:
    data = FILES["index first"]
    track = read_mp4_aac(data)
    assert track is not None
    cut = Cut(stop_seconds=4 * 1024 / RATE)
    expected_T = by_kernel(data, cut=cut).wave_T
    num_needed = 5  # one of them is hidden
    beginning = data[: track.offsets_P[num_needed]]
    assert np.array_equal(by_kernel(beginning, cut=cut).wave_T, expected_T)
    assert decode_mp4_aac(beginning[:-1], file="clip", rules=rules(cut=cut)) is None
    assert decode_mp4_aac(beginning, file="clip", rules=rules()) is None


def test_a_file_that_is_too_long_is_refused_before_a_packet_is_looked_at() -> None:
    data = FILES["index first"]
    with pytest.raises(AudioError, match=r"clip lasts over 0.3 s") as caught:
        decode_mp4_aac(data[:2000], file="clip", rules=rules(max_seconds=0.3))
    assert caught.value.reason is RejectionReason.TOO_LONG


LEFT_TO_FFMPEG = {
    "six channels": aac(noise(9_000, num_channels=6)),
    "another rate in its header": patched(FILES["plain"], b"mdhd", 12, b"\0\0\x56\x22"),
    "another container": remuxed(FILES["plain"], "matroska"),
    "no container": by_ffmpeg(noise(9_000), RATE, "adts", "aac"),
    "another codec": by_ffmpeg(noise(9_000), RATE, "mp4", "alac"),
}


@pytest.mark.parametrize("case", LEFT_TO_FFMPEG)
def test_what_is_not_plain_is_decoded_by_ffmpeg(case: str) -> None:
    _, decoded = decode_wave(LEFT_TO_FFMPEG[case], file="clip", rules=rules())
    assert decoded.decoder.startswith("FFmpeg ")
    assert len(decoded.wave_T) >= 9_000


def test_a_damaged_packet_is_for_ffmpeg_to_judge() -> None:
    track = read_mp4_aac(FILES["plain"])
    assert track is not None
    data = bytearray(FILES["plain"])
    start = int(track.offsets_P[9])
    data[start : start + int(track.sizes_P[9])] = b"\xff" * int(track.sizes_P[9])
    assert decode_mp4_aac(bytes(data), file="clip", rules=rules()) is None
    with pytest.raises(AudioError, match="FFmpeg says after 10 packets") as caught:
        decode_wave(bytes(data), file="clip", rules=rules())
    assert caught.value.reason is RejectionReason.CORRUPT
    before = Cut(stop_seconds=7 * 1024 / RATE)
    assert len(by_kernel(bytes(data), cut=before).wave_T) == 7 * 1024


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"channel": 2}, RejectionReason.UNSUPPORTED),
        ({"cut": Cut(start_seconds=9.0)}, RejectionReason.EMPTY),
    ],
)
def test_what_a_file_does_not_have_is_refused(
    other: dict[str, object], reason: RejectionReason
) -> None:
    with pytest.raises(AudioError) as caught:
        decode_wave(FILES["plain"], file="clip", rules=rules(**other))
    assert caught.value.reason is reason


@pytest.mark.parametrize("duration", [300, 960, 1023, 1024, 1025])
@pytest.mark.parametrize("start", [0, 512, 1023, 1024, 2112, 5000])
def test_packets_that_last_shorter_than_their_samples_are_hidden_as_by_ffmpeg(
    duration: int, start: int
) -> None:
    data = patched(FILES["plain"], b"stts", 12, struct.pack(">I", duration))
    data = patched(data, b"elst", 8, struct.pack(">II", 60_000, start))
    got = decode_mp4_aac(data, file="clip", rules=rules())
    if got is None:
        assert 1024 * (start // duration) > start  # FFmpeg drops more than the edit says
        return
    assert_alike(got, by_ffmpeg_only(data))


TABLES = (
    *(b"mvhd", b"tkhd", b"elst", b"mdhd", b"hdlr", b"stsd", b"stts", b"stsc", b"stsz", b"stco"),
    *(b"tfhd", b"tfdt", b"trun"),
)
NUMBERS = st.sampled_from(
    [*range(8), *range(1020, 1028), 100, 2048, 2112, 44_100, 1 << 16, (1 << 31) - 1, 1 << 31]
)


@bounded(max_examples=500)
@given(
    form=st.sampled_from(list(FORMS)),
    kind=st.sampled_from(TABLES),
    place=st.integers(0, 8),
    number=NUMBERS,
)
def test_a_number_that_is_changed_is_read_as_by_ffmpeg_or_left_to_it(
    form: str, kind: bytes, place: int, number: int
) -> None:
    data = changed(
        FILES[form],
        kind,
        lambda content: box(
            kind, content[: 4 * place] + struct.pack(">I", number) + content[4 * place + 4 :]
        ),
    )
    got = decode_mp4_aac(data, file="clip", rules=rules())
    if got is None:
        return
    try:
        expected = by_ffmpeg_only(data)
    except AudioError:  # of what says nothing about the sound
        expected = by_kernel(FILES[form])
    assert_alike(got, expected)
