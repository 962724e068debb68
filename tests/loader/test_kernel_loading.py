"""When the compiled decoder is loaded: not before the first batch, and only for who has FLAC."""

import functools
import threading

import numpy as np
import pytest

from loader import flac_decoder
from loader.decode import decode_windows
from loader.encoded_clips import ClipWindow, EncodedClips
from shardwriter.flac import encode_flac
from shardwriter.wav import encode_wav
from tests.loader.builders import make_loader

RATE_HZ = 8000
PCM = np.arange(500, dtype=np.int16)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is started in a process that has not loaded anything yet."""
    made: list[str] = []

    def start() -> threading.Thread:
        made.append("loading")
        return threading.Thread()

    monkeypatch.setattr(flac_decoder, "_start_loading", functools.cache(start))
    monkeypatch.setattr(flac_decoder, "_is_wanted", threading.Event())
    return made


def decode(data: bytes) -> None:
    clip = ClipWindow(
        data=data, row=0, start=0, num_samples=500, clip_num_samples=500, where="clip"
    )
    wave_BT = np.zeros((1, 500), np.int16)
    decode_windows(EncodedClips.of([clip]), wave_BT, sample_rate_hz=RATE_HZ, verify_checksums=True)
    assert np.array_equal(wave_BT[0], PCM)


def test_a_clip_is_decoded_before_anything_is_loaded(started: list[str]) -> None:
    decode(encode_flac(PCM, sample_rate_hz=RATE_HZ, frame_num_samples=64).data)
    assert started == []
    flac_decoder.begin_loading()
    flac_decoder.begin_loading()
    assert started == ["loading"]


def test_other_codecs_load_nothing(started: list[str]) -> None:
    decode(encode_wav(PCM, sample_rate_hz=RATE_HZ))
    flac_decoder.begin_loading()
    assert started == []


def test_loading_begins_when_the_training_loop_has_its_first_batch(
    started: list[str], dataset_url: str
) -> None:
    batches = iter(make_loader(dataset_url, batch_size=4))
    first = next(batches)
    assert len(first) == 4
    assert started == ["loading"]
    assert len(list(batches)) > 0
    assert started == ["loading"]
