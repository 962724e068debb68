"""What `decode_aac` makes of packets, beside FFmpeg's decoder."""

import collections
import functools
import io
import itertools
from collections.abc import Callable
from pathlib import Path

import av
import numba
import numpy as np
import pytest
import soundfile

from shardwriter import aac_kernel as kernel
from shardwriter.aac import SAMPLE_RATES_HZ, AacConfig, decode_aac, read_aac_config
from tests.shardwriter import aac_bits, media
from tests.shardwriter.aac_bits import MONO_CONFIG, Channel, Packets, ended, in_one_array, single

CLIPS = sorted((Path(__file__).parents[2] / "jobs/sample/esc10/audio").iterdir())[::40]
TOLERANCE = 2e-6
"""Both decoders calculate in float32, in other orders; 4e-7 is the most that was seen."""
TOOLS: list[dict[str, str]] = [
    {},
    {"aac_coder": "fast"},
    {"aac_pns": "0", "aac_tns": "0", "aac_is": "0", "aac_ms": "0"},
    {"aac_pns": "0", "aac_tns": "1", "aac_is": "0", "aac_ms": "1"},
    {"aac_pns": "1", "aac_tns": "0", "aac_is": "1", "aac_ms": "0"},
]


def encoded(pcm_TC: np.ndarray, rate: int, kbits: int, **options: str) -> Packets:
    """Return the packets that FFmpeg's encoder makes."""
    data = media.by_ffmpeg(pcm_TC, rate, "mp4", "aac", b=f"{kbits}k", **options)
    with av.open(io.BytesIO(data)) as opened:
        config = bytes(opened.streams.audio[0].codec_context.extradata)
        packets = [bytes(packet) for packet in opened.demux(audio=0) if packet.size]
    return Packets(packets=packets, config=config)


def signal(num_samples: int, num_channels: int, *, seed: int = 0) -> np.ndarray:
    """Tones that glide, noise that differs between the channels, clicks, and a silence."""
    rng = np.random.default_rng(seed)
    time = np.arange(num_samples) / num_samples
    noise = rng.normal(size=(num_samples, num_channels))
    tone = np.sin(2 * np.pi * num_samples * (0.01 + 0.02 * time) * time)
    wave = 0.3 * tone[:, None] + 0.05 * noise * np.linspace(0, 1, num_channels + 1)[1:]
    for at in range(3000, num_samples - 400, 7000):
        wave[at : at + 400] += 4 * noise[at : at + 400] * np.exp(-np.arange(400) / 50)[:, None]
    wave[num_samples // 2 : num_samples // 2 + 5000] = 0
    return np.clip(wave * 20_000, -32_000, 32_000).astype(np.int16)


def check_equals_ffmpeg(coded: Packets) -> None:
    """Compare the mean and each channel."""
    config = read_aac_config(coded.config)
    assert config is not None
    wave_CT = aac_bits.by_ffmpeg(coded.packets, coded.config)
    assert wave_CT.shape == (config.num_channels, 1024 * len(coded.packets))
    for channel in (None, *range(config.num_channels)):
        wave_T = decode_aac(*in_one_array(coded.packets), config, channel=channel)
        expected_T = wave_CT.mean(axis=0) if channel is None else wave_CT[channel]
        assert wave_T is not None
        np.testing.assert_allclose(wave_T, expected_T, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("rate", SAMPLE_RATES_HZ)
def test_all_rates_equal_ffmpeg(rate: int) -> None:
    for num_channels in (1, 2):
        most = min(6 * rate // 1000, 256) * num_channels
        check_equals_ffmpeg(encoded(signal(20_000, num_channels), rate, most))
        check_equals_ffmpeg(encoded(signal(20_000, num_channels, seed=1), rate, most // 4))


@pytest.mark.parametrize("options", TOOLS, ids=str)
def test_all_tools_of_the_encoder_equal_ffmpeg(options: dict[str, str]) -> None:
    for num_channels, kbits in ((1, 32), (2, 48), (2, 128), (2, 256)):
        check_equals_ffmpeg(encoded(signal(60_000, num_channels), 44_100, kbits, **options))


@functools.cache
def real_packets() -> list[Packets]:
    """Encode some sample clips, as stereo whose channels are two clips, mixed differently."""
    coded = []
    for first, second in itertools.pairwise(CLIPS):
        (a, rate), (b, _) = soundfile.read(first), soundfile.read(second)
        num = min(len(a), len(b), 50_000)
        stereo = np.stack([a[:num] + 0.2 * b[:num], 0.5 * a[:num] - 0.2 * b[:num]], 1)
        pcm_TC = np.clip(stereo * 32_768, -32_000, 32_000).astype(np.int16)
        coded.append(encoded(pcm_TC, rate, 128))
    return coded


def test_real_clips_equal_ffmpeg() -> None:
    for coded in real_packets():
        check_equals_ffmpeg(coded)


def test_sixteen_bit_samples_rarely_differ_from_ffmpegs() -> None:
    num_samples, num_other = 0, 0
    for coded in real_packets()[:4]:
        config = read_aac_config(coded.config)
        wave_T = decode_aac(*in_one_array(coded.packets), config, channel=0)
        theirs_T = aac_bits.by_ffmpeg(coded.packets, coded.config)[0]
        off = np.abs(np.rint(wave_T * 32_768.0) - np.rint(theirs_T * 32_768.0))
        assert off.max() <= 1
        num_samples, num_other = num_samples + len(off), num_other + int(off.sum())
    assert num_other < num_samples / 500


@functools.cache
def _parser() -> Callable[..., int]:
    """The kernel's own parser, which only compiled code can call."""
    return numba.njit(lambda *arguments: kernel._read_packet(*arguments))


def tools_used(coded: Packets) -> collections.Counter[str]:
    """Count codebooks, windows and tools by packet and channel, read by the kernel's own parser."""
    used: collections.Counter[str] = collections.Counter()
    bits = np.zeros(kernel._MAX_PACKET_BYTES + 1 + kernel._PADDING_BYTES, np.uint8)
    info, books = np.zeros((2, kernel._FIELDS), np.int64), np.zeros((2, 128), np.int64)
    scales, sides = np.zeros((2, 128), np.float32), np.zeros(128, np.int64)
    coefficients = np.zeros((2, kernel._MAX_FILTERS + 1, 12), np.float32)
    state, spectra = np.zeros(kernel.STATE_FIELDS, np.int64), np.zeros((2, 1024), np.float32)
    for packet in coded.packets:
        bits[:] = 0
        bits[: len(packet)] = np.frombuffer(packet, np.uint8)
        end = 8 * len(packet)
        assert _parser()(
            bits, end, aac_bits.RATE_44100, 2, info, books, scales, coefficients, state, spectra,
            sides,
        ) == 0  # fmt: skip
        used["sides"] += bool(sides.any())
        used["other windows"] += int(info[0, kernel._SEQUENCE] != info[1, kernel._SEQUENCE])
        for channel in range(2):
            num = info[channel, kernel._NUM_GROUPS] * info[channel, kernel._NUM_BANDS]
            used.update(f"book {book}" for book in set(books[channel, :num].tolist()))
            used[f"sequence {info[channel, kernel._SEQUENCE]}"] += 1
            used[f"shape {info[channel, kernel._SHAPE]}"] += 1
            used["filters"] += int(info[channel, kernel._NUM_FILTERS] > 0)
            used["groups"] += int(1 < info[channel, kernel._NUM_GROUPS] < 8)
            used["escapes"] += int(np.abs(spectra[channel]).max() > 16 ** (4 / 3))
    return used


def test_the_real_clips_use_every_tool_that_ffmpegs_encoder_has() -> None:
    used = sum((tools_used(coded) for coded in real_packets()), collections.Counter())
    wanted = [f"book {book}" for book in range(1, 16) if book != 12]
    wanted += [f"sequence {sequence}" for sequence in range(4)] + ["shape 0", "shape 1"]
    wanted += ["sides", "filters", "groups", "escapes", "other windows"]
    assert {name: used[name] for name in wanted if not used[name]} == {}


@pytest.mark.parametrize(
    "channel",
    [
        Channel(pulses=[(0, 3)]),
        Channel(
            pulses=[(1, 1), (3, 15), (2, 9), (0, 2)],
            book=11,
            gain=100,
            values=[40, -900, 8191, 0] * 3,
        ),
        Channel(pulses=[(2, 5), (6, 7)], pulse_band=1, values=[1, 0, -1, 0] * 6, book=1),
        Channel(filters=[(49, 0, [5, -3, 2])], values=[5, -3, 12, 1] * 8),
        Channel(filters=[(49, 1, [-8, 7, 0, 1, -2])], values=[5, -3, 12, 1] * 8),
        Channel(filters=[(43, 1, [3]), (3, 0, [1] * 12), (2, 0, [])], values=[5, 0, -12, 1] * 8),
        *(Channel(values=[1, 0, 2, 1] * 8, book=book) for book in (3, 8, 10, 11)),
        *(Channel(values=[-1, 0, 1, 1] * 8, book=book) for book in (1, 5)),
        Channel(book=0),
    ],
    ids=repr,
)
def test_written_packets_equal_ffmpeg(channel: Channel) -> None:
    packets = [ended(single(channel)), ended(single()), ended(single(channel))]
    check_equals_ffmpeg(Packets(packets=packets, config=MONO_CONFIG))


def test_data_and_fill_are_skipped() -> None:
    data = aac_bits.Bits().put(aac_bits.DATA, 3).put(0, 4).put(1, 1).put(3, 8)
    data.put(0, -len(data.text) % 8).put(0xABCDEF, 24)
    for payload in (b"", b"\x00" * 3, b"\x10" + b"\xa5" * 14, b"\x00" * 200):
        packet = aac_bits.fill(aac_bits.Bits(data.text + single().text), payload)
        check_equals_ffmpeg(Packets(packets=[ended(packet)] * 3, config=MONO_CONFIG))


def test_packets_before_the_first_wanted_one_only_prepare_it() -> None:
    coded = encoded(signal(40_000, 2), 44_100, 64)
    config = read_aac_config(coded.config)
    assert config is not None
    whole_T = decode_aac(*in_one_array(coded.packets), config, channel=None)
    for first_frame in (0, 1, 2, 17, len(coded.packets) - 1, len(coded.packets)):
        wave_T = decode_aac(
            *in_one_array(coded.packets), config, channel=None, first_frame=first_frame
        )
        np.testing.assert_array_equal(wave_T, whole_T[1024 * first_frame :])


@pytest.mark.parametrize("first_frame", [0, 1, 5, 6, 7, 20])
def test_calls_of_the_kernel_join_without_a_seam(
    monkeypatch: pytest.MonkeyPatch, first_frame: int
) -> None:
    coded = encoded(signal(40_000, 2), 44_100, 64)
    config = read_aac_config(coded.config)
    arguments = (*in_one_array(coded.packets), config)
    whole_T = decode_aac(*arguments, channel=None, first_frame=first_frame)
    monkeypatch.setattr("shardwriter.aac._PACKETS_AT_ONCE", 6)
    wave_T = decode_aac(*arguments, channel=None, first_frame=first_frame)
    np.testing.assert_array_equal(wave_T, whole_T)


def test_packets_may_lie_anywhere_in_read_only_bytes() -> None:
    first, second = ended(single()), ended(single(Channel(gain=170)))
    data = np.frombuffer(b"junk" + second + b"more junk" + first, np.uint8)
    offsets = np.array([4 + len(second) + 9, 4], np.int64)
    sizes = np.array([len(first), len(second)], np.int64)
    config = AacConfig(sample_rate_hz=44_100, num_channels=1)
    wave_T = decode_aac(data, offsets, sizes, config, channel=None)
    np.testing.assert_array_equal(
        wave_T, decode_aac(*in_one_array([first, second]), config, channel=0)
    )


def test_no_packets_are_no_samples() -> None:
    config = AacConfig(sample_rate_hz=8_000, num_channels=2)
    wave_T = decode_aac(*in_one_array([]), config, channel=None)
    assert wave_T is not None
    assert len(wave_T) == 0
