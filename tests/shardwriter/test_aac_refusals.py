"""What `decode_aac` leaves to FFmpeg, and that it is safe on any bytes."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwriter.aac import AacConfig, decode_aac, read_aac_config
from tests.bounds_checked import run_bounds_checked
from tests.shardwriter import aac_bits
from tests.shardwriter.aac_bits import Bits, Channel, ended, fill, in_one_array, single
from tests.shardwriter.properties import bounded
from tests.shardwriter.test_aac import encoded, signal

MONO = AacConfig(sample_rate_hz=44_100, num_channels=1)
STEREO = AacConfig(sample_rate_hz=44_100, num_channels=2)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("1210", STEREO),
        ("1208", MONO),
        ("121056e500", STEREO),  # as FFmpeg's encoder ends it: there is no SBR
        ("12100000", STEREO),
        ("1588", AacConfig(sample_rate_hz=8_000, num_channels=1)),
        ("", None),
        ("12", None),
        ("121056e580", None),  # SBR
        ("2b0a0800", None),  # SBR as the object type
        ("eb098800", None),  # parametric stereo
        ("0a10", None),  # Main
        ("2210", None),  # LTP
        ("1214", None),  # 960 samples
        ("1212", None),  # core coder
        ("1211", None),  # an extension
        ("1200", None),  # a program config element
        ("1230", None),  # 5.1
        ("1790ac4400", None),  # a rate that isn't listed
        ("16900000", None),  # a reserved rate
        ("121012", None),
    ],
)
def test_only_plain_configurations_are_read(config: str, expected: AacConfig | None) -> None:
    assert read_aac_config(bytes.fromhex(config)) == expected


REFUSED = {
    "nothing": b"",
    "no element": ended(Bits()),
    "no end": single().packed(),
    "two channels": ended(Bits(single().text + single().text)),
    "a pair": ended(single(element=aac_bits.PAIR)),
    "low frequencies": ended(single(element=aac_bits.LFE)),
    "coupling": ended(single(element=aac_bits.COUPLING)),
    "a program": ended(single(element=aac_bits.PROGRAM)),
    "another tag": ended(single(tag=1)),
    "bytes behind the end": ended(single()) + b"\0\0\1",
    "SBR": ended(fill(single(), b"\xd0" + bytes(20))),
    "SBR with a checksum": ended(fill(single(), b"\xe0" + bytes(20))),
    "dynamic range": ended(fill(single(), b"\xb0" + bytes(20))),
    "faac's name": ended(
        fill(single(), (int.from_bytes(b"libfaac 1.28", "big") << 7).to_bytes(15, "big"))
    ),
    "fill without an end": Bits(single().text).put(aac_bits.FILL, 3).put(14, 4).packed(),
    "prediction": ended(single(Channel(prediction=1))),
    "a reserved bit": ended(single(Channel(reserved=1))),
    "gain control": ended(single(Channel(gain_control=1))),
    "a reserved codebook": ended(single(Channel(book=12))),
    "intensity in one channel": ended(single(Channel(book=15))),
    "too many bands": ended(single(Channel(num_bands=50, section_lengths=[31, 19, 0]))),
    "a section beyond the bands": ended(single(Channel(section_lengths=[3]))),
    "a long escape": ended(single(Channel(book=11, values=[16, 0, 0, 0], escape_ones=9))),
    "a scalefactor below 0": ended(single(Channel(gain=3, first_difference=-10))),
    "a scalefactor above 255": ended(single(Channel(gain=250, first_difference=10))),
    "a filter of a high order": ended(single(Channel(filters=[(49, 0, [1] * 13)]))),
    "pulses beyond the bands": ended(single(Channel(pulses=[(9, 1)]))),
    "pulses in a band without values": ended(single(Channel(pulses=[(0, 1)], book=0))),
    "too many bytes": ended(single()) + bytes(8192),
}


@pytest.mark.parametrize("packet", REFUSED.values(), ids=REFUSED)
def test_what_is_not_plain_is_refused(packet: bytes) -> None:
    good = ended(single())
    assert decode_aac(*in_one_array([good, good]), MONO, channel=None) is not None
    assert decode_aac(*in_one_array([good, packet]), MONO, channel=None) is None
    assert decode_aac(*in_one_array([packet, good]), MONO, channel=None, first_frame=1) is None


@pytest.mark.parametrize(
    ("sequences", "is_plain"),
    [([3], True), ([1, 3, 0], True), ([0, 1], True), ([0, 3], False), ([1, 0], False)],
)
def test_windows_that_do_not_follow_each_other_are_refused(
    sequences: list[int], is_plain: bool
) -> None:
    packets = [ended(single(Channel(sequence=sequence))) for sequence in sequences]
    wave_T = decode_aac(*in_one_array(packets), MONO, channel=None)
    assert (wave_T is not None) == is_plain


def test_every_cut_of_a_packet_is_refused() -> None:
    packets = encoded(signal(6_000, 2), 44_100, 64).packets[:4]
    whole = packets[-1].rstrip(b"\0")
    for size in range(len(whole)):
        cut = [*packets[:-1], whole[:size]]
        assert decode_aac(*in_one_array(cut), STEREO, channel=None) is None


@pytest.mark.parametrize(
    ("offset", "size"),
    [(-1, 5), (0, -1), (1, 2**62), (2**62, 2**62), (-(2**63), 8), (2**63 - 1, 2**63 - 1), (60, 9)],
)
def test_packets_outside_of_the_bytes_are_refused(offset: int, size: int) -> None:
    offsets, sizes = np.array([offset], np.int64), np.array([size], np.int64)
    assert decode_aac(np.zeros(64, np.uint8), offsets, sizes, MONO, channel=None) is None


def test_wrong_arguments_are_errors() -> None:
    packets = in_one_array([ended(single())])
    with pytest.raises(ValueError, match="channel 1 of 1"):
        decode_aac(*packets, MONO, channel=1)
    with pytest.raises(ValueError, match="first frame 2"):
        decode_aac(*packets, MONO, channel=None, first_frame=2)
    with pytest.raises(ValueError, match="1 offsets, 0 sizes"):
        decode_aac(packets[0], packets[1], packets[2][:0], MONO, channel=None)


def fuzz(num_rounds: int, *, seed: int) -> int:
    """Decode packets with flipped bits, cuts, and bytes made up; return how many gave a wave."""
    rng = random.Random(seed)
    sources = [
        (STEREO, encoded(signal(12_000, 2), 44_100, 96).packets),
        (MONO, encoded(signal(12_000, 1, seed=1), 44_100, 48).packets),
        (
            MONO,
            [ended(single(Channel(pulses=[(1, 9), (2, 3)], filters=[(40, 1, [3, -7, 2])])))] * 4,
        ),
    ]
    num_waves = 0
    for _ in range(num_rounds):
        config, packets = rng.choice(sources)
        packets = list(packets)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(packets))
            packets[at] = mutated(packets[at], rng)
        wave_T = decode_aac(
            *in_one_array(packets), config, channel=rng.choice([None, 0]),
            first_frame=rng.randrange(len(packets)),
        )  # fmt: skip
        num_waves += wave_T is not None
    return num_waves


def mutated(packet: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return packet[: rng.randrange(len(packet) + 1)]
    if kind == 1:
        return rng.randbytes(rng.randrange(1, 400))
    changed = bytearray(packet)
    for _ in range(rng.randint(1, 4) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def test_mutated_packets_never_crash() -> None:
    assert fuzz(3_000, seed=1) > 100


@bounded(max_examples=200)
@given(st.lists(st.binary(max_size=300), max_size=4), st.booleans())
def test_any_bytes_give_a_wave_or_none(packets: list[bytes], is_stereo: bool) -> None:
    config = STEREO if is_stereo else MONO
    wave_T = decode_aac(*in_one_array(packets), config, channel=None)
    assert wave_T is None or len(wave_T) == 1024 * len(packets)


def test_a_wave_depends_on_nothing_but_the_bytes() -> None:
    packets = encoded(signal(12_000, 2), 44_100, 96).packets
    first_T = decode_aac(*in_one_array(packets), STEREO, channel=None)
    fuzz(50, seed=2)
    np.testing.assert_array_equal(decode_aac(*in_one_array(packets), STEREO, channel=None), first_T)


@pytest.mark.slow
def test_no_access_is_out_of_bounds_when_the_compiled_code_checks_them(tmp_path: Path) -> None:
    program = "from tests.shardwriter import test_aac_refusals as t\nprint(t.fuzz(3000, seed=4))"
    assert int(run_bounds_checked(program, kernel="aac_kernel", cache=tmp_path)) > 100
