"""Augmentation on CUDA never asks the device for a value; followed without a card."""

from collections.abc import Iterator
from dataclasses import fields, replace

import pytest
import torch

from loader.augment import Augmenter, AugmentRecipe, Banks
from loader.augment.noise import make_white_noise
from loader.augment.recipe_mix import Mix
from loader.augment.recipe_wave import Speed
from loader.batch import AudioBatch
from tests.loader.augment.makers import (
    EVERYTHING,
    KINDS,
    RATE_HZ,
    make_bank,
    make_batch,
    noise_clips,
    response_clips,
)
from tests.loader.fake_cuda import DEVICE, fake_cuda, no_waiting_copies, on_cuda

NUM_SAMPLES, MELS, FRAMES = 8000, 40, 51


@pytest.fixture(autouse=True)
def _no_fake_stays() -> Iterator[None]:
    """White noise that was made as a fake would be what other tests of the process get."""
    make_white_noise.cache_clear()
    yield
    make_white_noise.cache_clear()


@pytest.mark.parametrize(
    "made",
    [
        EVERYTHING,
        replace(EVERYTHING, mix=Mix(), speed=None, remove_mean=False),
        replace(EVERYTHING, mix=Mix(domain="mel"), speed=Speed(new_classes=True)),
        replace(EVERYTHING, noise=replace(EVERYTHING.noise, formula="speechbrain")),
    ],
    ids=["all", "mixup", "mel mixup, new classes", "speechbrain"],
)
def test_no_operation_waits_for_the_device(made: AugmentRecipe) -> None:
    batch = make_batch(12, NUM_SAMPLES)
    drawn = _augmenter(made).draw(batch.keys, epoch=0)
    with fake_cuda():
        augmenter = _augmenter(made)
        there = _on_cuda(batch)
        parameters = drawn.unpacked(on_cuda(drawn.packed_BP()))
        augmenter.wave(there, parameters)  # once for banks and white noise, which stay there
        with no_waiting_copies():
            wave_BT, num_samples_B = augmenter.wave(there, parameters)
            mel_BMF = augmenter.mel(
                on_cuda(torch.zeros(12, MELS, FRAMES)),
                parameters,
                num_frames_B=num_samples_B // 160,
            )
            target_BK = augmenter.targets(there.target_BK, parameters)
    assert wave_BT.shape == batch.wave_BT.shape
    assert mel_BMF.shape == (12, MELS, FRAMES)
    assert {wave_BT.device, num_samples_B.device, mel_BMF.device, target_BK.device} == {DEVICE}


def _augmenter(made: AugmentRecipe) -> Augmenter:
    banks = Banks(
        noise=make_bank(noise_clips(15, 20000), KINDS, device=str(DEVICE)),
        device=make_bank(response_clips(3, 100), device=str(DEVICE)),
        room=make_bank(response_clips(5, 2000), device=str(DEVICE)),
    )
    return Augmenter(made, sample_rate_hz=RATE_HZ, seed=7, banks=banks, num_mels=MELS)


def _on_cuda(batch: AudioBatch) -> AudioBatch:
    held = {field.name: getattr(batch, field.name) for field in fields(batch)}
    tensors = {name: value for name, value in held.items() if isinstance(value, torch.Tensor)}
    return replace(batch, **{name: on_cuda(values) for name, values in tensors.items()})
