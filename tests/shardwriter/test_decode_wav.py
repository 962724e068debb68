"""The plain WAV reader gives what libsndfile gives, or leaves the file to it."""

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from shardwriter.audio import clean_audio
from shardwriter.decode_libsndfile import decode_with_libsndfile
from shardwriter.decode_wav import decode_plain_wav
from shardwriter.errors import AudioError
from shardwriter.mixdown import Cut, DecodeRules
from shardwriter.sniff import WAV
from tests.shardwriter.properties import bounded

RATE_HZ = 8000
RULES = DecodeRules(max_seconds=10)
PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)


def form(num_channels: int = 1, *, tag: int = 1, bits: int = 16, tail: bytes = b"") -> bytes:
    align = num_channels * bits // 8
    head = struct.pack("<HHIIHH", tag, num_channels, RATE_HZ, RATE_HZ * align, align, bits)
    return chunk(b"fmt ", head + tail)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def samples(num: int, num_channels: int = 1) -> bytes:
    rng = np.random.default_rng(num)
    return rng.integers(-32768, 32768, (num, num_channels), dtype=np.int16).tobytes()


def written(container: str, subtype: str) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, np.zeros(30, np.int16), RATE_HZ, format=container, subtype=subtype)
    return sink.getvalue()


EXTENSIBLE = struct.pack("<HHI", 22, 16, 0) + PCM_GUID
NOTES = st.sampled_from([b"LIST", b"fact", b"bext", b"JUNK", b"id3 "]).flatmap(
    lambda name: st.sampled_from([b"1234", bytes(8), bytes(range(30))]).map(
        lambda body: chunk(name, body)
    )
)


@bounded(max_examples=80)
@given(
    num_channels=st.integers(1, 8),
    num_samples=st.integers(1, 400),
    is_extensible=st.booleans(),
    before=st.lists(NOTES, max_size=2),
    behind=st.lists(NOTES, max_size=2),
    cut=st.none() | st.tuples(st.integers(0, 300), st.integers(1, 300)),
    takes_last=st.booleans(),
)
def test_it_gives_what_libsndfile_gives(
    num_channels: int,
    num_samples: int,
    is_extensible: bool,
    before: list[bytes],
    behind: list[bytes],
    cut: tuple[int, int] | None,
    takes_last: bool,
) -> None:
    head = form(num_channels, tag=0xFFFE, tail=EXTENSIBLE) if is_extensible else form(num_channels)
    body = chunk(b"data", samples(num_samples, num_channels))
    data = riff(head, *before, body, *behind)
    rules = DecodeRules(
        max_seconds=10,
        cut=cut and Cut(start_seconds=cut[0] / RATE_HZ, stop_seconds=sum(cut) / RATE_HZ),
        channel=num_channels - 1 if takes_last else None,
    )
    ours = decode_plain_wav(data, file="a.wav", rules=rules)
    theirs = decode_with_libsndfile(data, WAV, file="a.wav", rules=rules)
    assert ours is not None
    assert ours.wave_T.dtype == theirs.wave_T.dtype
    np.testing.assert_array_equal(ours.wave_T, theirs.wave_T)
    for name in ("sample_rate_hz", "num_channels", "start_sample", "codec", "num_priming_samples"):
        assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize("num_channels", [1, 2])
def test_cleaned_samples_may_be_written_into(num_channels: int) -> None:
    data = riff(form(num_channels), chunk(b"data", samples(9, num_channels)))
    cleaned = clean_audio(data, file="a.wav", sample_rate_hz=RATE_HZ, max_seconds=1)
    cleaned.pcm_T[0] = 5
    assert data == riff(form(num_channels), chunk(b"data", samples(9, num_channels)))


WHOLE = chunk(b"data", samples(20))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        riff(form()),
        riff(WHOLE),
        riff(WHOLE, form()),
        riff(form(), form(), WHOLE),
        riff(form(), chunk(b"abcd", b"1234"), WHOLE),
        riff(form(), chunk(b"LIST", b"12345"), WHOLE),
        riff(form(), chunk(b"data", b"")),
        riff(form(2), chunk(b"data", samples(3))),
        riff(form(), WHOLE)[:-1],
        riff(form(bits=24), WHOLE),
        riff(form(bits=8), WHOLE),
        riff(form(tag=3, bits=32), WHOLE),
        riff(form(0), WHOLE),
        riff(form(tag=0xFFFE), WHOLE),
        riff(form(tag=0xFFFE, tail=EXTENSIBLE[:-1] + b"x"), WHOLE),
        riff(chunk(b"fmt ", b"\1\0"), WHOLE),
        written("RF64", "PCM_16"),
        written("WAV", "ULAW"),
        written("FLAC", "PCM_16"),
    ],
)
def test_all_else_is_left_to_libsndfile(data: bytes) -> None:
    assert decode_plain_wav(data, file="a.wav", rules=RULES) is None


def test_the_bound_on_duration_holds() -> None:
    data = riff(form(), chunk(b"data", bytes(2 * 8001)))
    with pytest.raises(AudioError, match="lasts over 1 s"):
        decode_plain_wav(data, file="a.wav", rules=DecodeRules(max_seconds=1))


@bounded(max_examples=200)
@given(places=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 255)), max_size=4))
def test_a_damaged_header_is_read_as_libsndfile_reads_it_or_left(
    places: list[tuple[int, int]],
) -> None:
    data = bytearray(riff(form(2), chunk(b"LIST", b"note"), chunk(b"data", samples(30, 2))))
    for place, value in places:
        data[place] = value
    try:
        ours = decode_plain_wav(bytes(data), file="a", rules=RULES)
    except AudioError:
        return  # a rate or length out of bounds
    if ours is None:
        return
    theirs = decode_with_libsndfile(bytes(data), WAV, file="a", rules=RULES)
    np.testing.assert_array_equal(ours.wave_T, theirs.wave_T)
    assert ours.sample_rate_hz == theirs.sample_rate_hz
