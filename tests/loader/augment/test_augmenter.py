from dataclasses import replace

import pytest
import torch

from loader.augment import Augmenter, AugmentRecipe, Banks, recipe
from loader.augment.recipe_mel import FilterAugment, SpecAugment
from loader.augment.recipe_mix import Mix
from loader.augment.recipe_wave import BandPass, Response, Speed, WhiteNoise
from shardwriter.errors import ConfigError
from tests.loader.augment.makers import (
    EVERYTHING,
    KINDS,
    NOISE,
    RATE_HZ,
    make_bank,
    make_batch,
    noise_clips,
    response_clips,
)

NUM_SAMPLES, MELS, FRAMES = 8000, 40, 51
UNMIXED = replace(EVERYTHING, mix=None, freq_mix_style=None)


def make_augmenter(made: AugmentRecipe, *, device: str = "cpu") -> Augmenter:
    banks = Banks(
        noise=make_bank(noise_clips(15, 20000), KINDS, device=device),
        device=make_bank(response_clips(3, 100), device=device),
        room=make_bank(response_clips(5, 2000), device=device),
    )
    return Augmenter(made, sample_rate_hz=RATE_HZ, seed=7, banks=banks, num_mels=MELS)


def augmented(
    augmenter: Augmenter, *, first: int = 0, num_rows: int = 12, epoch: int = 0, device: str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Waves, lengths and spectrograms (of noise that depends on the sample)."""
    batch = make_batch(num_rows, NUM_SAMPLES, first=first, device=device)
    parameters = augmenter.draw(batch.keys, epoch=epoch)
    wave_BT, num_samples_B = augmenter.wave(batch, parameters)
    mel_BMF = batch.wave_BT[:, : MELS * FRAMES].reshape(num_rows, MELS, FRAMES).float() / 3000
    mel_BMF = augmenter.mel(
        mel_BMF, parameters, num_frames_B=num_samples_B * FRAMES // NUM_SAMPLES, mask_value=0.4
    )
    return wave_BT.cpu(), num_samples_B.cpu(), mel_BMF.cpu()


def test_the_default_dtype_changes_nothing() -> None:
    masks = SpecAugment(num_time_masks=2, max_time_frames=30, max_time_share=0.37)
    augmenter = make_augmenter(replace(EVERYTHING, spec_augment=masks))
    expected = augmented(augmenter)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.bfloat16)
        got = augmented(augmenter)
    finally:
        torch.set_default_dtype(before)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_peaks_are_normalised_where_a_room_or_noise_came_and_nowhere_else() -> None:
    noisy = AugmentRecipe(room=Response(p=0.2), noise=NOISE, room_or_noise=True)
    as_mixed_BT, *_ = augmented(make_augmenter(noisy), num_rows=48)
    scaled_BT, *_ = augmented(make_augmenter(replace(noisy, normalise_peaks=True)), num_rows=48)
    clean_BT = make_batch(48, NUM_SAMPLES).wave_BT / 32768
    is_changed_B = (as_mixed_BT != clean_BT).any(dim=1)
    assert 24 < is_changed_B.sum() < 48
    assert torch.equal(scaled_BT[~is_changed_B], clean_BT[~is_changed_B])
    peak_B = as_mixed_BT.abs().amax(dim=1)
    expected_BT = as_mixed_BT / (peak_B + 1e-4)[:, None]
    torch.testing.assert_close(scaled_BT[is_changed_B], expected_BT[is_changed_B])


@pytest.mark.parametrize("batch_size", [1, 4, 6])
def test_a_sample_is_augmented_alike_in_any_batch(batch_size: int) -> None:
    augmenter = make_augmenter(UNMIXED)
    whole = augmented(augmenter)
    parts = [
        augmented(augmenter, first=first, num_rows=batch_size) for first in range(0, 12, batch_size)
    ]
    for place, value in enumerate(whole):
        joined = torch.cat([part[place] for part in parts])
        torch.testing.assert_close(joined, value, rtol=0, atol=1e-6)


def test_the_same_call_gives_the_same_bits_and_another_epoch_others() -> None:
    augmenter = make_augmenter(EVERYTHING)
    first, again, other = (augmented(augmenter, epoch=epoch) for epoch in (4, 4, 5))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_whatever_is_done_padding_stays_zero_and_values_finite() -> None:
    augmenter = make_augmenter(EVERYTHING)
    for epoch in range(3):
        wave_BT, num_samples_B, mel_BMF = augmented(augmenter, epoch=epoch)
        assert bool(wave_BT.isfinite().all())
        assert bool(mel_BMF.isfinite().all())
        assert wave_BT.dtype == mel_BMF.dtype == torch.float32
        beyond_BT = torch.arange(NUM_SAMPLES) >= num_samples_B[:, None]
        assert int(beyond_BT.sum()) > 0
        assert not wave_BT[beyond_BT].any()


def test_autocast_around_it_changes_nothing() -> None:
    augmenter = make_augmenter(EVERYTHING)
    plain = augmented(augmenter)
    with torch.autocast("cpu", torch.bfloat16):
        within = augmented(augmenter)
    assert all(torch.equal(a, b) for a, b in zip(plain, within, strict=True))


def test_parameters_can_be_applied_again() -> None:
    augmenter = make_augmenter(EVERYTHING)
    batch = make_batch(12, NUM_SAMPLES)
    kept = augmenter.draw(batch.keys, epoch=2)
    first, _ = augmenter.wave(batch, kept)
    augmenter.draw(batch.keys, epoch=3)
    again, _ = augmenter.wave(batch, kept)
    assert torch.equal(first, again)


def test_an_empty_recipe_only_converts_to_float32() -> None:
    batch = make_batch(3, NUM_SAMPLES)
    augmenter = Augmenter(AugmentRecipe(), sample_rate_hz=RATE_HZ)
    parameters = augmenter.draw(batch.keys, epoch=0)
    wave_BT, num_samples_B = augmenter.wave(batch, parameters)
    assert torch.equal(wave_BT, batch.wave_BT.float() / 32768)
    assert torch.equal(num_samples_B, batch.num_samples_B)
    mel_BMF = torch.randn(3, MELS, FRAMES)
    assert torch.equal(augmenter.mel(mel_BMF, parameters), mel_BMF)
    assert torch.equal(augmenter.targets(batch.target_BK, parameters), batch.target_BK)


def test_another_speed_is_another_class_where_the_recipe_says() -> None:
    made = AugmentRecipe(speed=Speed(new_classes=True))
    batch = make_batch(30, NUM_SAMPLES)
    augmenter = Augmenter(made, sample_rate_hz=RATE_HZ)
    parameters = augmenter.draw(batch.keys, epoch=0)
    target_BK = augmenter.targets(batch.target_BK, parameters)
    assert target_BK.shape == (30, 90)
    expected = parameters.wave.speed_index_B.long() * 30 + torch.arange(30)
    assert torch.equal(target_BK.argmax(dim=1), expected)
    assert torch.equal(target_BK.sum(dim=1), torch.ones(30))


def test_spectrograms_are_mixed_where_the_recipe_says() -> None:
    made = AugmentRecipe(mix=Mix(p=1.0, domain="mel"))
    batch = make_batch(4, NUM_SAMPLES)
    augmenter = Augmenter(made, sample_rate_hz=RATE_HZ)
    parameters = augmenter.draw(batch.keys, epoch=0)
    wave_BT, _ = augmenter.wave(batch, parameters)
    assert torch.equal(wave_BT, batch.wave_BT.float() / 32768)
    mel_BMF = torch.randn(4, MELS, FRAMES)
    weight = parameters.mix.weight_B[:, None, None]
    partner = mel_BMF[parameters.mix.partner_B.long()]
    mixed_BMF = augmenter.mel(mel_BMF, parameters)
    torch.testing.assert_close(mixed_BMF, weight * mel_BMF + (1 - weight) * partner)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (AugmentRecipe(noise=NOISE), r"has noise, and there is no bank of it"),
        (AugmentRecipe(room=Response()), r"has room, and there is no bank of it"),
        (AugmentRecipe(filter_augment=FilterAugment()), r"filter_augment needs num_mels"),
        (
            AugmentRecipe(band_pass=BandPass(max_high_hz=8000)),
            r"band_pass: max_high_hz is 8000, and must be below half the sample rate, 8000 Hz",
        ),
        (recipe("voxceleb"), r"has noise, and there is no bank"),
    ],
)
def test_a_recipe_that_lacks_something_is_refused(made: AugmentRecipe, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Augmenter(made, sample_rate_hz=RATE_HZ)


def test_bands_that_do_not_fit_into_the_mels_are_refused() -> None:
    made = AugmentRecipe(filter_augment=FilterAugment())
    with pytest.raises(ConfigError, match="5 bands of at least 6 mels don't fit into 29 mels"):
        Augmenter(made, sample_rate_hz=RATE_HZ, num_mels=29)
    Augmenter(made, sample_rate_hz=RATE_HZ, num_mels=30).draw(("a", "b"), epoch=0)


def test_a_bank_of_another_rate_or_other_kinds_is_refused() -> None:
    banks = Banks(noise=make_bank(noise_clips(15, 9000)))
    with pytest.raises(ConfigError, match=r"noise of kind 'music', the bank has all"):
        Augmenter(AugmentRecipe(noise=NOISE), sample_rate_hz=RATE_HZ, banks=banks)
    with pytest.raises(ConfigError, match=r"the bank for noise has 16000 Hz, the waves have 8000"):
        Augmenter(AugmentRecipe(), sample_rate_hz=8000, banks=banks)


def test_white_noise_needs_no_bank() -> None:
    augmenter = Augmenter(AugmentRecipe(white_noise=WhiteNoise()), sample_rate_hz=RATE_HZ)
    wave_BT, _, _ = augmented(augmenter)
    clean_BT = make_batch(12, NUM_SAMPLES).wave_BT.float() / 32768
    noise_BT = wave_BT - clean_BT
    assert bool(noise_BT.any(dim=1).all())
    assert float(noise_BT.square().mean(dim=1).sqrt().max()) < 10 ** (-45.8 / 20)


def test_white_noise_of_a_clip_is_the_same_in_batches_of_any_length() -> None:
    augmenter = Augmenter(AugmentRecipe(white_noise=WhiteNoise()), sample_rate_hz=RATE_HZ)
    batch = make_batch(4, NUM_SAMPLES)
    parameters = augmenter.draw(batch.keys, epoch=0)
    shorter = replace(
        batch,
        wave_BT=batch.wave_BT[:, :3000],
        num_samples_B=batch.num_samples_B.clamp(max=3000),
    )
    part_BT, _ = augmenter.wave(shorter, parameters)
    whole_BT, _ = augmenter.wave(batch, parameters)
    torch.testing.assert_close(part_BT, whole_BT[:, :3000], rtol=0, atol=0)


@pytest.mark.slow
def test_what_is_done_to_spectrograms_can_be_compiled_whole() -> None:
    augmenter = make_augmenter(EVERYTHING)
    batch = make_batch(4, NUM_SAMPLES)
    parameters = augmenter.draw(batch.keys, epoch=0)
    mel_BMF = torch.randn(4, MELS, FRAMES)
    compiled = torch.compile(augmenter.mel, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(mel_BMF, parameters), augmenter.mel(mel_BMF, parameters))


@pytest.mark.gpu
@pytest.mark.parametrize("made", [EVERYTHING, UNMIXED], ids=["mixed", "unmixed"])
def test_cuda_gives_what_the_cpu_gives(made: AugmentRecipe) -> None:
    on_cpu = augmented(make_augmenter(made))
    on_cuda = augmented(make_augmenter(made, device="cuda"), device="cuda")
    assert torch.equal(on_cpu[1], on_cuda[1])
    torch.testing.assert_close(on_cuda[0], on_cpu[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(on_cuda[2], on_cpu[2], rtol=0, atol=1e-4)


@pytest.mark.gpu
def test_nothing_waits_for_the_device() -> None:
    augmenter = make_augmenter(EVERYTHING, device="cuda")
    batch = make_batch(12, NUM_SAMPLES, device="cuda")
    mel_BMF = torch.randn(12, MELS, FRAMES, device="cuda")
    augmenter.wave(batch, augmenter.draw(batch.keys, epoch=0))  # FFT plans, white noise
    parameters = augmenter.draw(batch.keys, epoch=0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        augmenter.wave(batch, parameters)
        augmenter.mel(mel_BMF, parameters)
        augmenter.targets(batch.target_BK, parameters)
    finally:
        torch.cuda.set_sync_debug_mode("default")
