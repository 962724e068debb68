"""Damaged bytes, and such as break the format: an error or the right samples, within bounds."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from loader.encoded_clips import EncodedClips
from loader.flac_decoder import decode_flac
from shardwriter.errors import ShardFormatError
from shardwriter.flac import encode_flac
from tests.bounds_checked import run_bounds_checked
from tests.loader import flac_bits as bits
from tests.loader.flac_decoding import GUARD, RATE_HZ, by_libsndfile, decode, signals, window


def test_damage_to_a_frame_is_refused_where_checksums_are_verified() -> None:
    pcm_T = np.array(bits.noise(640), dtype=np.int16)
    data = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=64)
    for frame in data.frame_offsets:
        broken = bytearray(data.data)
        broken[frame + 40] ^= 1
        with pytest.raises(
            ShardFormatError, match=f"^clip k: can't decode .* at byte {frame} of it"
        ):
            decode(bytes(broken), 640)


def test_damage_outside_of_the_window_goes_unread() -> None:
    pcm_T = np.array(bits.noise(640), dtype=np.int16)
    data = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=64)
    broken = bytearray(data.data)
    broken[data.frame_offsets[1] + 40] ^= 1
    got_T = decode(bytes(broken), 640, start=400, num=200)
    assert np.array_equal(got_T, pcm_T[400:600])


def test_bytes_that_imitate_a_frame_don_t_lead_the_search_astray() -> None:
    imitation = bits.frame(bits.constant(7), 64, 2)
    held = bits.Bits().put(int.from_bytes(imitation, "big"), 8 * len(imitation))
    fill = 64 * 16 - 8 * len(imitation)
    noise = bits.noise(64)
    # In frame 1 there are all bytes of a frame 2, checksums too; then all but the CRC-16.
    for spoilt in (0, 1):
        value = int(held.to_bytes().hex(), 16) ^ spoilt
        inner = bits.head(1).put(value, 8 * len(imitation)).put(0, fill)
        frames = [bits.frame(bits.verbatim(noise), 64, 0), bits.frame(inner, 64, 1)]
        frames += [bits.frame(bits.verbatim(noise), 64, number) for number in range(2, 6)]
        data = bits.stream(frames, 6 * 64, block=(64, 64))
        got_T = decode(data, 6 * 64, start=128, num=200)
        assert np.array_equal(got_T, by_libsndfile(data)[128:328])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bits.stream([], 64, rate=16_000), "64 samples at 8000 Hz .* 64 samples at 16000 Hz"),
        (bits.stream([], 64, channels=2), r"in 1 channel\(s\), got .* in 2"),
        (bits.stream([], 65), "got 65 samples"),
        (bits.stream([], 64).replace(b"\x80", b"\x00", 1), "metadata is damaged"),
        (bits.stream([], 64), "no frame header"),
        (bits.stream([b"\xff\xf8" * 9], 64), "no frame header"),
        (bits.stream([bits.frame(bits.head(5), 64, 0)], 64), "reserved kind"),
        (bits.stream([bits.frame(bits.constant(1), 64, 1)], 64), "number of another"),
        (bits.stream([bits.frame(bits.constant(1), 63, 0)], 64), "no frame header"),
        (bits.stream([bits.frame(bits.fixed([9] * 64, 0), 64, 0)[:-9]], 64), "cut"),
        (bits.stream([bits.frame(bits.head(8).put(2, 2), 64, 0)], 64), "residual partitions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_bytes_that_break_the_format_are_an_error_that_says_how(data: bytes, message: str) -> None:
    with pytest.raises(ShardFormatError, match=f"^clip k: .*{message}"):
        decode(data, 64)


def test_samples_beyond_16_bits_are_refused() -> None:
    values = [32767] * 8 + [32768] + [32767] * 55
    frame = bits.frame(bits.fixed(values, 0), 64, 0)
    with pytest.raises(ShardFormatError, match="don't fit 16 bits"):
        decode(bits.stream([frame], 64), 64)


def test_window_that_does_not_fit_its_row_is_refused_before_anything_is_written() -> None:
    wave_BT = np.full((3, 5), GUARD, dtype=np.int16)
    for start, num, clip in ((0, 6, 9), (5, 5, 9), (-1, 3, 9), (0, 0, 9)):
        with pytest.raises(ValueError, match="don't fit row 1"):
            decode_flac(
                EncodedClips.of([window(b"", clip, start=start, num=num)]),
                wave_BT,
                sample_rate_hz=1,
                verify_checksums=True,
            )
    assert (wave_BT == GUARD).all()


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    # STREAMINFO stays whole mostly, or nothing behind it would ever be tried.
    first = 42 if rng.random() < 0.9 else 4
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(first, len(damaged)))
        match rng.integers(5):
            case 0 | 1:
                damaged[at] ^= 1 << int(rng.integers(8))
            case 2:
                damaged[at : at + 30] = bytes(len(damaged[at : at + 30]))
            case 3:
                damaged[at : at + 9] = rng.bytes(len(damaged[at : at + 9]))
            case _:
                del damaged[max(at, 60) :]
    return bytes(damaged)


def fuzz(num_streams: int, seed: int) -> int:
    """Decode damaged streams; return how many were decoded, each to the right samples."""
    rng = np.random.default_rng(seed)
    rough = bits.noise(64)
    kinds = [bits.fixed(rough, 2, parameter=None), bits.linear(rough, [9] * 32, method=1),
             bits.verbatim(rough), bits.constant(3), bits.fixed(rough, 1, parameter=0)]  # fmt: skip
    made = bits.stream([bits.frame(kinds[n % 5], 64, n) for n in range(10)], 640, block=(64, 64))
    sources = [
        made,
        encode_flac(signals()["mixed"].astype(np.int16)[2700:3340], sample_rate_hz=RATE_HZ,
                    frame_num_samples=64).data,
        encode_flac(np.array(bits.noise(640), np.int16), sample_rate_hz=RATE_HZ,
                    frame_num_samples=576).data,
    ]  # fmt: skip
    wholes = [by_libsndfile(data) for data in sources]
    num_decoded = 0
    for _ in range(num_streams):
        which = int(rng.integers(len(sources)))
        start = int(rng.integers(0, 600))
        num = int(rng.integers(1, 640 - start + 1))
        data = mutate(sources[which], rng)
        try:
            # Without the CRC-16 far more damaged bits reach the inner parts; then any samples do.
            decode(data, 640, start=start, num=num, verify=False)
            got_T = decode(data, 640, start=start, num=num)
        except ShardFormatError:
            continue
        num_decoded += 1
        assert np.array_equal(got_T, wholes[which][start : start + num])
    return num_decoded


def test_damaged_streams_give_an_error_or_the_right_samples() -> None:
    decode(bits.stream([bits.frame(bits.constant(1), 64, 0)], 64), 64)  # compiled from here on
    started = time.process_time()  # the machine may be busy with other things
    num_decoded = fuzz(2000, seed=3)
    assert 100 < num_decoded < 1900
    assert time.process_time() - started < 60


def test_no_read_goes_behind_the_padding() -> None:
    # The bytes are read from addresses, and vectors too, without the checks of the test below.
    program = (
        "import ctypes, mmap, numpy\n"
        "from loader import flac_decoder\n"
        "def joined(datas):\n"
        "    data = b''.join(datas)\n"
        "    size = -(-len(data) // mmap.PAGESIZE) * mmap.PAGESIZE\n"
        "    memory = mmap.mmap(-1, size + mmap.PAGESIZE)\n"
        "    whole = numpy.frombuffer(memory, numpy.uint8)\n"
        "    guard = ctypes.c_void_p(whole.ctypes.data + size)\n"
        "    assert ctypes.CDLL(None).mprotect(guard, mmap.PAGESIZE, 0) == 0\n"
        "    whole[size - len(data) : size] = numpy.frombuffer(data, numpy.uint8)\n"
        "    return whole[size - len(data) : size]\n"
        "flac_decoder._joined = joined\n"
        "from tests.loader import test_flac_damage as t, test_flac_rare_frames as r\n"
        "from tests.loader import test_flac_some_frames as s\n"
        "print(t.fuzz(1000, seed=5), s.fuzz(1000, seed=5))\n"
        "r.test_frames_of_varying_length_are_bit_exact()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True,
        cwd=Path(__file__).parents[2], timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert min(map(int, done.stdout.split())) > 50


@pytest.mark.slow
def test_no_access_is_out_of_bounds_when_the_compiled_code_checks_them(tmp_path: Path) -> None:
    prepared = (
        "from tests.loader import test_flac_damage as t, test_flac_decoder as d\n"
        "from tests.loader import test_flac_rare_frames as r, test_flac_some_frames as s\n"
        "t.encode_flac(t.signals()['mixed'].astype('int16'), sample_rate_hz=8000,\n"
        "              frame_num_samples=64)\n"
    )
    program = (
        "print(t.fuzz(2000, seed=4), s.fuzz(2000, seed=4))\n"
        "d.test_made_signals_are_bit_exact('mixed')\n"
        "r.test_frames_of_varying_length_are_bit_exact()\n"
        "s.test_lanes_share_what_there_is_of_a_clip(192)\n"
    )
    printed = run_bounds_checked(program, kernel="flac_kernel", cache=tmp_path, prepared=prepared)
    assert min(map(int, printed.split())) > 100
