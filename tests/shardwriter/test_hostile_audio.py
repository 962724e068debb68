"""Damaged and lying files: a typed refusal or audio, never anything else, never much memory."""

import resource
import struct
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shardwriter.audio import clean_audio
from shardwriter.errors import AudioError
from shardwriter.schema import RejectionReason
from tests.shardwriter.media import by_ffmpeg, by_soundfile, noise
from tests.shardwriter.mp4_files import aac, box, changed

NUM = 4_001
PCM = noise(NUM)
STEREO = noise(NUM, num_channels=2)
FILES = {
    "wav": by_soundfile(PCM, 44_100, "WAV", "PCM_16"),
    "wav24": by_soundfile(STEREO, 44_100, "WAVEX", "PCM_24"),
    "wav-adpcm": by_soundfile(PCM, 44_100, "WAV", "IMA_ADPCM"),
    "w64": by_soundfile(PCM, 44_100, "W64", "PCM_16"),
    "rf64": by_soundfile(PCM, 44_100, "RF64", "PCM_16"),
    "aiff": by_soundfile(PCM, 44_100, "AIFF", "PCM_16"),
    "au": by_soundfile(PCM, 44_100, "AU", "FLOAT"),
    "caf": by_soundfile(PCM, 44_100, "CAF", "PCM_16"),
    "flac": by_soundfile(STEREO, 44_100, "FLAC", "PCM_16"),
    "ogg": by_soundfile(PCM, 44_100, "OGG", "VORBIS"),
    "opus": by_ffmpeg(PCM, 48_000, "ogg", "libopus"),
    "oggflac": by_ffmpeg(PCM, 44_100, "ogg", "flac"),
    "mp3": by_ffmpeg(PCM, 44_100, "mp3", "libmp3lame"),
    "m4a": by_ffmpeg(STEREO, 44_100, "mp4", "aac"),
    "dash": aac(STEREO, "youtube"),
    "alac": by_ffmpeg(PCM, 44_100, "ipod", "alac"),
    "webm": by_ffmpeg(PCM, 48_000, "webm", "libopus"),
    "mka": by_ffmpeg(PCM, 44_100, "matroska", "pcm_s16le"),
    "wma": by_ffmpeg(PCM, 44_100, "asf", "wmav2", b="128k"),
    "aac": by_ffmpeg(PCM, 44_100, "adts", "aac"),
    "ac3": by_ffmpeg(PCM, 44_100, "ac3", "ac3", b="128k"),
    "amr": by_ffmpeg(PCM, 8_000, "amr", "libopencore_amrnb"),
    "wv": by_ffmpeg(PCM, 44_100, "wv", "wavpack"),
    "tta": by_ffmpeg(PCM, 44_100, "tta", "tta"),
    "avi": by_ffmpeg(PCM, 44_100, "avi", "pcm_s16le"),
    "flv": by_ffmpeg(PCM, 44_100, "flv", "aac"),
}
MAX_SECONDS = 20.0
MAX_CPU_SECONDS = 10.0


def outcome(data: bytes, name: str) -> str:
    """Clean the bytes; anything but audio in bounds or an AudioError fails the test."""
    started = time.process_time()  # the machine may be busy with other things
    try:
        audio = clean_audio(
            data, file=f"clip.{name}", sample_rate_hz=16_000, max_seconds=MAX_SECONDS
        )
    except AudioError as err:
        result = RejectionReason(err.reason).value
    else:
        assert audio.pcm_T.dtype == np.int16
        assert 0 < len(audio.pcm_T) <= MAX_SECONDS * 16_000 + 1
        result = "audio"
    assert time.process_time() - started < MAX_CPU_SECONDS
    return result


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_sound_before_they_are_damaged(name: str) -> None:
    assert outcome(FILES[name], name) == "audio"


@dataclass(frozen=True)
class Damage:
    """One change to a file; small, so that a failing example can be read."""

    kind: str
    place: float
    """Where, as a part of the length."""
    length: int
    value: int
    other: str

    def apply(self, data: bytearray) -> None:
        at = int(self.place * len(data))
        end = at + self.length
        if self.kind == "flip":
            data[at : at + 1] = bytes([data[at] ^ 1 << self.value % 8]) if data else b""
        elif self.kind == "number":
            data[at : at + 4] = self.value.to_bytes(4, "little" if self.length % 2 else "big")
        elif self.kind == "cut":
            del data[at:]
        elif self.kind == "drop":
            del data[at:end]
        elif self.kind == "zero":
            data[at:end] = bytes(len(data[at:end]))
        elif self.kind == "repeat":
            data[at:at] = data[at:end]
        else:
            data[:at] = FILES[self.other][:at]


def damaged(name: str, damages: list[Damage]) -> bytes:
    data = bytearray(FILES[name])
    for damage in damages:
        damage.apply(data)
    return bytes(data)


# Headers are where the numbers lie that a decoder believes, so half of the damage is done there.
PLACES = st.one_of(st.floats(0, 0.02), st.floats(0, 1, exclude_max=True))
DAMAGE = st.builds(
    Damage,
    kind=st.sampled_from(["flip", "number", "cut", "drop", "zero", "repeat", "head"]),
    place=PLACES,
    length=st.integers(1, 300),
    value=st.sampled_from([0, 1, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFF00, 0x10000]),
    other=st.sampled_from(sorted(FILES)),
)
CASES = {
    "name": st.sampled_from(sorted(FILES)),
    "damages": st.lists(DAMAGE, min_size=1, max_size=3),
}
FUZZ = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@settings(FUZZ, max_examples=1000)
@given(**CASES)
def test_a_damaged_file_is_audio_or_a_typed_refusal(name: str, damages: list[Damage]) -> None:
    outcome(damaged(name, damages), name)


@pytest.mark.slow
@settings(FUZZ, max_examples=10_000)
@given(**CASES)
def test_ten_thousand_damaged_files(name: str, damages: list[Damage]) -> None:
    outcome(damaged(name, damages), name)


@settings(FUZZ, max_examples=100)
@given(st.binary(max_size=400), st.sampled_from(sorted(FILES)), st.integers(0, 64))
def test_noise_behind_a_true_beginning(tail: bytes, name: str, keep: int) -> None:
    outcome(FILES[name][:keep] + tail, name)


def lying_files() -> dict[str, bytes]:
    """Headers that claim 2^32 and more samples, 65,535 channels, or hours of silence."""
    flac = bytearray(FILES["flac"])
    flac[21] |= 0x0F  # 36 bits of total samples
    flac[22:26] = b"\xff" * 4
    w64 = bytearray(FILES["w64"])
    at = w64.index(b"data\xf3\xac\xd3\x11") + 16
    w64[at : at + 8] = struct.pack("<Q", 1 << 41)
    channels = bytearray(FILES["wav"])
    struct.pack_into("<H", channels, 22, 65_535)
    thousand = bytearray(FILES["wav"])
    struct.pack_into("<HIIH", thousand, 22, 1024, 44_100, 44_100 * 2048, 2048)
    rate = bytearray(FILES["wav"])
    struct.pack_into("<I", rate, 24, 0x7FFFFFFF)
    caf = bytearray(FILES["caf"])
    at = caf.index(b"data") + 4
    caf[at : at + 8] = struct.pack(">Q", 1 << 41)
    return {
        "flac with 2^36 samples": bytes(flac),
        "w64 with 2^40 samples": bytes(w64),
        "caf with 2^40 samples": bytes(caf),
        "65535 channels": bytes(channels),
        "1024 channels": bytes(thousand),
        "2^31 Hz": bytes(rate),
    }


def test_headers_that_lie_take_little_memory() -> None:
    """In a process that may take 300 MB of address space beyond what its libraries have."""
    child = textwrap.dedent(
        """
        import resource, sys
        from tests.shardwriter.test_hostile_audio import lying_files, outcome
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), -1))
        for name, data in lying_files().items():
            print(name, outcome(data, "x"), sep=": ")
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        sys.exit(grown > 200 << 10)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", child], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = dict(line.split(": ") for line in done.stdout.splitlines())
    assert len(results) == len(lying_files())
    # The FLAC's samples are those of its MD5; all others are refused.
    assert results.pop("flac with 2^36 samples") == "truncated"
    assert "audio" not in results.values()


def table_of_packets(num: int) -> bytes:
    """Return an MP4 of 2 kB that claims so many packets, of a byte each."""
    data = aac(PCM)
    contents = {
        b"stsz": struct.pack(">III", 0, 1, num),
        b"stts": struct.pack(">IIII", 0, 1, num, 1024),
        b"stsc": struct.pack(">IIIII", 0, 1, 1, num, 1),
        b"stco": struct.pack(">III", 0, 1, 48),
    }
    for kind, content in contents.items():
        data = changed(data, kind, lambda _, kind=kind, content=content: box(kind, content))
    return data


def peak_mb() -> int:
    """Most memory that this process ever had; `ru_maxrss` counts what its parent had, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


def test_packets_that_are_only_claimed_take_little_memory() -> None:
    """FFmpeg's libraries would take 36 bytes for each: 1.2 GB."""
    child = (
        "from tests.shardwriter.test_hostile_audio import outcome, peak_mb, table_of_packets\n"
        "print(outcome(table_of_packets(1 << 25), 'm4a'), peak_mb())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", child], capture_output=True, text=True, timeout=120, check=True
    )
    result, peak = done.stdout.split()
    assert result == "truncated"
    assert int(peak) < 800


def test_a_long_file_is_refused_at_the_bound() -> None:
    """Ten minutes in 60 kB of FLAC: a block beyond the bound is the most that is decoded."""
    rate = 32_000
    data = by_soundfile(np.zeros((rate * 600, 1), np.int16), rate, "FLAC", "PCM_16")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AudioError, match="lasts over 20 s") as caught:
        clean_audio(data, file="long.flac", sample_rate_hz=rate, max_seconds=20)
    assert caught.value.reason == RejectionReason.TOO_LONG
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10 << 10


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_sound_are_refused(value: float) -> None:
    wave_T = np.zeros(1000, np.float32)
    wave_T[500] = value
    for container in ("WAV", "AU"):
        data = by_soundfile(wave_T, 16_000, container, "FLOAT")
        assert outcome(data, "x") == "not_finite"
