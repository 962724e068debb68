"""The FLAC encoder against other decoders, on signals that reach each of its branches."""

import hashlib
import io
import platform
from importlib import resources
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from loader.encoded_clips import ClipWindow, EncodedClips
from loader.flac_decoder import decode_flac
from shardwriter import flac_encoder_kernel
from shardwriter.audio import clean_audio
from shardwriter.flac import ENCODER_VERSION, encode_flac
from tests.audio import decoded, noise
from tests.bounds_checked import run_bounds_checked
from tests.other_processor import run_as_processor
from tests.shardwriter.properties import bounded

FRAMES = [16, 17, 160, 192, 256, 1000, 1152, 4096, 4608, 65_535]


def signal(kind: str, num_samples: int, seed: int = 0) -> np.ndarray:
    """A made clip; each kind drives the encoder to other choices."""
    rng = np.random.default_rng(seed)
    time_T = np.arange(num_samples)
    wave = {
        "white noise at full scale": rng.integers(-32768, 32768, num_samples),
        "quiet noise": rng.integers(-3, 4, num_samples),
        "random walk": np.cumsum(rng.integers(-40, 41, num_samples)),
        "twice summed": np.cumsum(np.cumsum(rng.integers(-2, 3, num_samples))) // 8,
        "resonances": np.convolve(
            rng.normal(0, 900, num_samples), np.sin(np.arange(64) / 3) * 0.96 ** np.arange(64)
        )[:num_samples],
        "chirp": 30_000 * np.sin(2e-5 * time_T**2),
        "steps": 32_767 * np.sign(np.sin(time_T / 37)),
        "clicks": np.where(time_T % 211 == 0, 32_767, 0),
        "noise, then silence": np.where(
            time_T < num_samples // 2, rng.normal(0, 4000, num_samples), 0
        ),
        "loud after quiet": rng.normal(0, 1, num_samples) * np.where(time_T % 700 < 80, 9000, 3),
        "offset": 32_760 + time_T % 5,
    }[kind]
    return np.clip(np.rint(wave), -32768, 32767).astype(np.int16)


KINDS = [
    *("white noise at full scale", "quiet noise", "random walk", "twice summed", "resonances"),
    *("chirp", "steps", "clicks", "noise, then silence", "loud after quiet", "offset"),
]


def by_ffmpeg(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data)) as container:
        blocks = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(blocks)


def by_our_decoder(data: bytes, num_samples: int) -> np.ndarray:
    wave_BT = np.zeros((1, num_samples), np.int16)
    window = ClipWindow(
        data=data,
        row=0,
        start=0,
        num_samples=num_samples,
        clip_num_samples=num_samples,
        where="a test",
    )
    decode_flac(EncodedClips.of([window]), wave_BT, sample_rate_hz=32_000, verify_checksums=True)
    return wave_BT[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_decoder_gives_the_samples_back(kind: str) -> None:
    pcm_T = signal(kind, 9000)
    for frame_num_samples in FRAMES:
        data = encode_flac(pcm_T, sample_rate_hz=32_000, frame_num_samples=frame_num_samples).data
        np.testing.assert_array_equal(decoded(data)[0], pcm_T)
        np.testing.assert_array_equal(by_ffmpeg(data), pcm_T)
        np.testing.assert_array_equal(by_our_decoder(data, len(pcm_T)), pcm_T)


def test_frame_numbers_of_two_and_three_bytes_are_read_by_every_decoder() -> None:
    pcm_T = signal("random walk", 16 * 70_000)
    data = encode_flac(pcm_T, sample_rate_hz=32_000, frame_num_samples=16).data
    np.testing.assert_array_equal(decoded(data)[0], pcm_T)
    np.testing.assert_array_equal(by_ffmpeg(data), pcm_T)


@bounded(max_examples=60)
@given(
    pieces=st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(1, 700), st.integers(0, 9)), min_size=1
    ),
    frame_num_samples=st.sampled_from(FRAMES),
)
def test_any_mixture_of_signals_survives(
    pieces: list[tuple[str, int, int]], frame_num_samples: int
) -> None:
    pcm_T = np.concatenate([signal(kind, length, seed) for kind, length, seed in pieces])
    data = encode_flac(pcm_T, sample_rate_hz=32_000, frame_num_samples=frame_num_samples).data
    np.testing.assert_array_equal(decoded(data)[0], pcm_T)
    np.testing.assert_array_equal(by_our_decoder(data, len(pcm_T)), pcm_T)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_takes_no_more_than_its_samples_and_a_little(kind: str) -> None:
    for num_samples in (1, 17, 1151, 9000):
        pcm_T = signal(kind, num_samples)
        stream = encode_flac(pcm_T, sample_rate_hz=32_000, frame_num_samples=1152)
        assert len(stream.data) <= 42 + 2 * num_samples + 12 * len(stream.frame_offsets)


def test_real_clips_are_as_small_as_libflac_makes_them() -> None:
    ours = reference = 0
    clips = sorted((resources.files("jobs.sample") / "esc10" / "audio").iterdir(), key=str)[:20]
    for clip in clips:
        cleaned = clean_audio(
            clip.read_bytes(), file=clip.name, sample_rate_hz=32_000, max_seconds=60
        )
        sink = io.BytesIO()
        soundfile.write(sink, cleaned.pcm_T, 32_000, format="FLAC", subtype="PCM_16")
        reference += len(sink.getvalue())
        ours += len(encode_flac(cleaned.pcm_T, sample_rate_hz=32_000, frame_num_samples=4096).data)
    assert ours <= 1.005 * reference


def test_stream_info_bounds_the_sizes_of_frames_as_they_are() -> None:
    stream = encode_flac(
        signal("noise, then silence", 9000), sample_rate_hz=32_000, frame_num_samples=1152
    )
    sizes = np.diff([*stream.frame_offsets, len(stream.data)])
    assert int.from_bytes(stream.data[8:10], "big") == 1152
    assert int.from_bytes(stream.data[12:15], "big") == sizes.min()
    assert int.from_bytes(stream.data[15:18], "big") == sizes.max()


def golden_sha256() -> str:
    raw_T = (np.random.Philox(key=1).random_raw(20_000) >> np.uint64(40)).astype(np.int64)
    walk_T = np.cumsum(raw_T % 81 - 40)
    smooth_T = np.convolve(walk_T, [1, 3, 6, 7, 6, 3, 1])[: len(walk_T)] // 27
    clips = [raw_T % 65_536 - 32_768, walk_T, smooth_T, raw_T % 7, np.repeat(walk_T[::50], 50)]
    data = b"".join(
        encode_flac(
            np.clip(clip_T, -32_768, 32_767).astype(np.int16),
            sample_rate_hz=32_000,
            frame_num_samples=1152,
        ).data
        for clip_T in clips
    )
    return hashlib.sha256(data).hexdigest()


GOLDEN_SHA256 = "deeb564a5454c88d110b3c33d4c862cc408cf5db04900f0973d92a49ac301d3d"


def test_the_bytes_are_those_of_this_encoder_version_on_any_machine() -> None:
    """A change of these bytes is a new ENCODER_VERSION: re-running an ingest must agree with it."""
    assert (ENCODER_VERSION, golden_sha256()) == (1, GOLDEN_SHA256)


@pytest.mark.slow
@pytest.mark.timeout(600)  # it is compiled from scratch
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of that kind")
@pytest.mark.parametrize("processor", ["x86-64", "x86-64-v3", "skylake-avx512"])
def test_code_for_other_processors_writes_the_same_bytes(processor: str, tmp_path: Path) -> None:
    flags = Path("/proc/cpuinfo").read_text()
    if ("avx512" in processor and "avx512vl" not in flags) or "avx2" not in flags:
        pytest.skip(f"this machine can't run code for {processor}")
    program = "from tests.shardwriter import test_flac_encoder as t\nprint(t.golden_sha256())"
    printed = run_as_processor(program, processor, cache=tmp_path)
    assert printed.strip() == GOLDEN_SHA256


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"frame_num_samples": 15}, "frame_num_samples must be in 16..65535, got 15"),
        ({"frame_num_samples": 65_536}, "frame_num_samples must be in 16..65535, got 65536"),
        ({"sample_rate_hz": 0}, "sample_rate_hz must be in 1..1048575, got 0"),
        ({"sample_rate_hz": 1_048_576}, "sample_rate_hz must be in 1..1048575, got 1048576"),
    ],
)
def test_sizes_and_rates_that_flac_lacks_are_refused(choice: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_flac(noise(100), **({"sample_rate_hz": 8000, "frame_num_samples": 64} | choice))


def check_many_signals() -> None:
    """Encode what reaches every branch; run by the test below in a process of its own."""
    for kind in KINDS:
        for num_samples in (1, 9, 16, 17, 100, 1151, 1152, 2500):
            for frame_num_samples in (16, 33, 1152):
                pcm_T = signal(kind, num_samples, seed=num_samples)
                data = encode_flac(
                    pcm_T, sample_rate_hz=44_100, frame_num_samples=frame_num_samples
                ).data
                np.testing.assert_array_equal(decoded(data)[0], pcm_T)


@pytest.mark.slow
def test_nothing_is_read_or_written_out_of_bounds(tmp_path: Path) -> None:
    program = "from tests.shardwriter import test_flac_encoder as t\nt.check_many_signals()"
    run_bounds_checked(program, kernel="flac_encoder_kernel", cache=tmp_path)


@bounded(max_examples=60)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=40), st.integers(1, 100))
def test_sizes_are_summed_exactly_however_large(sizes: list[int], repeats: int) -> None:
    residual = np.array(sizes * repeats, np.int32)
    assert flac_encoder_kernel._sum_sizes(residual) == np.abs(residual.astype(np.int64)).sum()
    small = residual >> 11
    assert flac_encoder_kernel._sum_sizes(small) == np.abs(small.astype(np.int64)).sum()
