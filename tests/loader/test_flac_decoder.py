import io
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyflac
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.sample import sample_folder
from loader.flac_decoder import ClipWindow, decode_flac_windows
from shardwriter.errors import ShardFormatError
from shardwriter.flac import encode_flac
from tests.loader import flac_bits as bits

RATE_HZ = 8000
GUARD = 12345


def window(data: bytes, clip: int, *, start: int = 0, num: int | None = None) -> ClipWindow:
    num = clip - start if num is None else num
    return ClipWindow(
        data=data, row=1, start=start, num_samples=num, clip_num_samples=clip, where="clip k"
    )


def decode(
    data: bytes,
    clip: int,
    *,
    start: int = 0,
    num: int | None = None,
    rate: int = RATE_HZ,
    verify: bool = True,
) -> np.ndarray:
    """Decode into the middle one of three rows, and see that the others are left alone."""
    asked = window(data, clip, start=start, num=num)
    wave_BT = np.full((3, asked.num_samples + 3), GUARD, dtype=np.int16)
    try:
        decode_flac_windows([asked], wave_BT, sample_rate_hz=rate, verify_checksums=verify)
    finally:
        assert (wave_BT[[0, 2]] == GUARD).all()
    assert not wave_BT[1, asked.num_samples :].any()
    return wave_BT[1, : asked.num_samples]


def by_libsndfile(data: bytes) -> np.ndarray:
    pcm_T, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    return pcm_T


def encode_at_level(pcm_T: np.ndarray, *, level: int, block: int) -> bytes:
    sink = bytearray()
    encoder = pyflac.StreamEncoder(
        sample_rate=RATE_HZ,
        write_callback=lambda data, *_: sink.extend(data),
        compression_level=level,
        blocksize=block,
        streamable_subset=False,
    )
    encoder.process(pcm_T)
    encoder.finish()
    sink[22:26] = len(pcm_T).to_bytes(4, "big")  # pyFLAC leaves it out where it can't go back
    return bytes(sink)


def recordings() -> list[np.ndarray]:
    paths = sorted(
        path
        for path in Path(str(sample_folder())).rglob("*")
        if path.suffix in (".flac", ".opus", ".wav", ".ogg")
    )[::60]
    assert len(paths) >= 4
    return [soundfile.read(path, dtype="int16", always_2d=True)[0][:, 0] for path in paths]


@pytest.mark.parametrize("frame_num_samples", [1152, 4096])
def test_recordings_are_bit_exact(frame_num_samples: int) -> None:
    for pcm_T in recordings():
        data = encode_flac(pcm_T, sample_rate_hz=32_000, frame_num_samples=frame_num_samples).data
        assert np.array_equal(by_libsndfile(data), pcm_T)
        assert np.array_equal(decode(data, len(pcm_T), rate=32_000), pcm_T)
        for start in range(0, len(pcm_T) - 9000, 7919):
            got_T = decode(data, len(pcm_T), start=start, num=9000, rate=32_000)
            assert np.array_equal(got_T, pcm_T[start : start + 9000])


@pytest.mark.parametrize("level", range(9))
def test_every_compression_level_is_bit_exact(level: int) -> None:
    pcm_T = np.ascontiguousarray(recordings()[0][:40_000])
    for block in (1152, 4096):
        data = encode_at_level(pcm_T, level=level, block=block)
        assert np.array_equal(decode(data, len(pcm_T)), pcm_T)
        assert np.array_equal(decode(data, len(pcm_T), start=30_001, num=99), pcm_T[30_001:30_100])


def signals() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    t = np.arange(9001)
    return {
        "noise": rng.integers(-32768, 32768, 9001),
        "silence": np.zeros(9001),
        "square": np.where(t // 50 % 2, 32767, -32768),
        "alternating": np.where(t % 2, 32767, -32768),
        "sine": 32767 * np.sin(t * 0.05),
        "few bits": rng.integers(-100, 100, 9001) * 64,
        "mixed": np.concatenate(
            [np.zeros(3000), rng.integers(-3, 3, 3000), 9000 * np.sin(t[:3001])]
        ),
    }


@pytest.mark.parametrize("name", list(signals()))
def test_made_signals_are_bit_exact(name: str) -> None:
    pcm_T = signals()[name].astype(np.int16)
    for block in (16, 17, 192, 576, 1000, 1152, 4608, 9001, 65535):
        data = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=block).data
        assert np.array_equal(decode(data, len(pcm_T)), pcm_T)
        assert np.array_equal(decode(data, len(pcm_T), start=4321, num=777), pcm_T[4321:5098])


def test_clips_of_few_samples_are_bit_exact() -> None:
    for num_samples in range(1, 21):
        pcm_T = np.arange(num_samples, dtype=np.int16) * 1000
        data = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=16).data
        assert np.array_equal(decode(data, num_samples), pcm_T)


@pytest.mark.parametrize(
    "rate",
    [8000, 11025, 12345, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000],
)  # fmt: skip
def test_every_rate_is_bit_exact(rate: int) -> None:
    pcm_T = np.array(bits.noise(700), dtype=np.int16)
    data = encode_flac(pcm_T, sample_rate_hz=rate, frame_num_samples=64).data
    assert np.array_equal(decode(data, 700, rate=rate), pcm_T)


@settings(max_examples=60, deadline=None)
@given(
    runs=st.lists(
        st.tuples(st.integers(1, 400), st.integers(-32768, 32767), st.integers(0, 16)), min_size=1
    ),
    block=st.integers(16, 700),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_any_signal_and_any_window_is_bit_exact(
    runs: list[tuple[int, int, int]], block: int, cut: tuple[float, float]
) -> None:
    rng = np.random.default_rng(0)
    parts = [level + rng.integers(0, 1 << width, num) for num, level, width in runs]
    pcm_T = np.clip(np.concatenate(parts), -32768, 32767).astype(np.int16)
    data = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=block).data
    start = int(cut[0] * (len(pcm_T) - 1))
    num = 1 + int(cut[1] * (len(pcm_T) - start - 1))
    assert np.array_equal(
        decode(data, len(pcm_T), start=start, num=num), pcm_T[start : start + num]
    )


def test_every_window_over_frame_borders_is_bit_exact() -> None:
    pcm_T = np.array(bits.noise(500), dtype=np.int16)
    data = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=32).data
    for num in (1, 31, 32, 33, 300):
        for start in range(500 - num + 1):
            got_T = decode(data, 500, start=start, num=num)
            assert np.array_equal(got_T, pcm_T[start : start + num])


def hand_made() -> dict[str, tuple[bits.Bits, list[int]]]:
    """Subframes of 64 samples by name, beside the samples that are in them."""
    values = bits.noise(64)
    even = [4 * value for value in values]
    rng = np.random.default_rng(2)
    made = {
        "constant": (bits.constant(-32768), [-32768] * 64),
        "constant, wasted bits": (bits.constant(-5, wasted=3), [-40] * 64),
        "verbatim": (bits.verbatim(values), values),
        "verbatim, wasted bits": (bits.verbatim(even, wasted=2), even),
        "15 wasted bits": (bits.verbatim([0, -32768] * 32, wasted=15), [0, -32768] * 32),
        "fixed, wasted bits": (bits.fixed(even, 3, wasted=2), even),
        "long unary runs": (bits.fixed(values, 2, parameter=0), values),
        "escape of no bits": (bits.fixed([7] * 64, 1, parameter=None), [7] * 64),
        "most partitions": (bits.fixed(values, 0, splits=6), values),
        "first partition empty": (bits.fixed(values, 4, splits=4), values),
    }
    for order in range(5):
        for parameter in (3, 9, None):
            for method in (0, 1):
                name = f"fixed {order}, parameter {parameter}, method {method}"
                coded = bits.fixed(values, order, splits=2, method=method, parameter=parameter)
                made[name] = (coded, values)
    for order in range(1, 33):
        for size, shift in ((1 << 14, 12), (40, 5), (3, 0)):
            c = rng.integers(-size, size, order).tolist()
            coded = bits.linear(values, c, shift=shift, method=1, parameter=18)
            made[f"linear {order}, coefficients to {size}"] = (coded, values)
    return made


@pytest.mark.parametrize("name", list(hand_made()))
def test_subframes_that_encoders_rarely_write_are_bit_exact(name: str) -> None:
    subframe, values = hand_made()[name]
    # The second frame differs, so that lanes of one group hold different kinds.
    other = bits.fixed(values, 2)
    frames = [bits.frame(sub, 64, number) for number, sub in enumerate([subframe, other, subframe])]
    data = bits.stream(frames, 192, block=(64, 64))
    expected = np.array(values * 3, dtype=np.int16)
    assert np.array_equal(by_libsndfile(data), expected)
    assert np.array_equal(decode(data, 192), expected)
    assert np.array_equal(decode(data, 192, start=130, num=50), expected[130:180])


def test_frames_of_varying_length_are_bit_exact() -> None:
    sizes = [16, 300, 17, 64, 4096, 1, 65535, 5, 70] * 3
    values = bits.noise(sum(sizes), peak=30)
    frames, at = [], 0
    for size in sizes:
        frames.append(
            bits.frame(bits.fixed(values[at : at + size], min(size, 1)), size, at, varies=True)
        )
        at += size
    data = bits.stream(frames, at)
    expected = np.array(values, dtype=np.int16)
    assert np.array_equal(decode(data, at), expected)
    for start in range(0, at - 700, 4099):
        assert np.array_equal(decode(data, at, start=start, num=700), expected[start : start + 700])


SIZES = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608, 6: 200, 7: 777} | {
    code: 1 << code for code in range(8, 16)
}


@pytest.mark.parametrize("code", SIZES)
def test_every_code_of_block_size_and_rate_is_read(code: int) -> None:
    size = SIZES[code]
    for rate_code in range(15):
        field = b"\x08" if rate_code == 12 else b"\x1f\x40" if rate_code > 12 else b""
        frames = [
            bits.frame(bits.constant(number + 1), size, number, block_code=code,
                       rate_code=rate_code, rate_field=field)
            for number in range(3)
        ]  # fmt: skip
        got_T = decode(bits.stream(frames, 3 * size), 3 * size)
        assert np.array_equal(got_T, np.repeat([1, 2, 3], size))


def test_frame_numbers_of_every_width_are_read() -> None:
    step = 65535
    frames = [bits.frame(bits.constant(n % 99), step, n) for n in range(2100)]
    total = step * len(frames)
    data = bits.stream(frames, total)
    start = 2070 * step - 10
    got_T = decode(data, total, start=start, num=30)
    assert np.array_equal(got_T, np.repeat([2069 % 99, 2070 % 99], [10, 20]))
    sample = 0x7_0000_0000
    assert bits.coded_number(sample) == bytes([0xFE, 0x9C, *[0x80] * 5])


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
            decode_flac_windows(
                [window(b"", clip, start=start, num=num)], wave_BT, sample_rate_hz=1,
                verify_checksums=True,
            )  # fmt: skip
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
        "from tests.loader import test_flac_decoder as t, test_flac_some_frames as s\n"
        "print(t.fuzz(1000, seed=5), s.fuzz(1000, seed=5))\n"
        "t.test_frames_of_varying_length_are_bit_exact()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True,
        cwd=Path(__file__).parents[2], timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert min(map(int, done.stdout.split())) > 50


@pytest.mark.slow
def test_no_access_is_out_of_bounds_when_the_compiled_code_checks_them(tmp_path: Path) -> None:
    # Only the decoder is compiled anew, not what makes its input: that would double the time.
    program = (
        "import sys, numba, numpy\n"
        "from tests.loader import test_flac_decoder as t, test_flac_some_frames as s\n"
        "t.encode_flac(t.signals()['mixed'].astype('int16'), sample_rate_hz=8000,\n"
        "              frame_num_samples=64)\n"
        "numba.config.BOUNDSCHECK, numba.config.CACHE_DIR = 1, sys.argv[1]\n"
        "from loader import flac_kernel\n"
        "try:\n"
        "    flac_kernel._load(numpy.zeros(4, numpy.uint8), 0), exit('nothing is checked')\n"
        "except IndexError:\n"
        "    pass\n"
        "print(t.fuzz(2000, seed=4), s.fuzz(2000, seed=4))\n"
        "t.test_made_signals_are_bit_exact('mixed')\n"
        "t.test_frames_of_varying_length_are_bit_exact()\n"
        "s.test_lanes_share_what_there_is_of_a_clip(192)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True,
        cwd=Path(__file__).parents[2], timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert min(map(int, done.stdout.split())) > 100
