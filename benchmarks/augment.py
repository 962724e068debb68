"""How long augmentation takes: the whole chain and each operation, on the CPU and on CUDA.

Noises and responses are made here. Every operation is on for every sample that its recipe's p says;
times are medians of some rounds after one that warms up.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.machine import write_results
from loader import AudioBatch
from loader.augment import Augmenter, AugmentRecipe, Banks, ClipBank
from loader.augment.clip_bank import Generation
from loader.augment.recipe_mel import FilterAugment, FreqMixStyle, SpecAugment
from loader.augment.recipe_mix import Mix
from loader.augment.recipe_wave import (
    BandPass,
    Equalizer,
    Gain,
    Noise,
    NoiseKind,
    Polarity,
    Response,
    Roll,
    Speed,
    WhiteNoise,
)

NUM_MELS = 128
FRAMES_PER_SECOND = 100
NUM_CLASSES = 527
NOISE_SECONDS = 20
KINDS = {"noise": (0, 40), "music": (40, 20), "speech": (60, 40)}
BABBLE = NoiseKind(min_snr_db=13, max_snr_db=20, min_voices=3, max_voices=7)
NOISE = Noise(
    p=0.5,
    kinds=(
        ("noise", NoiseKind(min_snr_db=0, max_snr_db=15)),
        ("music", NoiseKind(min_snr_db=5, max_snr_db=15)),
    ),
)
WAVE_OPERATIONS: dict[str, AugmentRecipe] = {
    "int16 to float32 only": AugmentRecipe(),
    "speed 0.9, 1, 1.1": AugmentRecipe(speed=Speed()),
    "roll": AugmentRecipe(roll=Roll()),
    "gain and polarity": AugmentRecipe(gain=Gain(min_db=-6, max_db=6), polarity=Polarity()),
    "equaliser and band-pass, p 0.5": AugmentRecipe(equalizer=Equalizer(), band_pass=BandPass()),
    "room of 1 s, p 0.5": AugmentRecipe(room=Response()),
    "noise at SNR, p 0.5": AugmentRecipe(noise=NOISE),
    "babble of 3 to 7, p 0.5": AugmentRecipe(noise=Noise(p=0.5, kinds=(("speech", BABBLE),))),
    "white noise": AugmentRecipe(white_noise=WhiteNoise()),
    "mixup, p 0.5": AugmentRecipe(mix=Mix()),
    "energy-aware mixing, p 0.5": AugmentRecipe(mix=Mix(mode="energy")),
}
MEL_OPERATIONS: dict[str, AugmentRecipe] = {
    "SpecAugment": AugmentRecipe(
        spec_augment=SpecAugment(
            num_time_masks=2, max_time_frames=192, num_band_masks=2, max_bands=48
        )
    ),
    "FilterAugment": AugmentRecipe(filter_augment=FilterAugment()),
    "Freq-MixStyle": AugmentRecipe(freq_mix_style=FreqMixStyle()),
}
CHAIN = AugmentRecipe(
    roll=Roll(),
    polarity=Polarity(),
    gain=Gain(min_db=-6, max_db=6),
    band_pass=BandPass(),
    room=Response(),
    noise=NOISE,
    mix=Mix(),
    freq_mix_style=FreqMixStyle(),
    filter_augment=FilterAugment(),
    spec_augment=MEL_OPERATIONS["SpecAugment"].spec_augment,
)


def main() -> int:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--sample-rate", type=int, default=32000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="threads of torch on the CPU; default: torch's")
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    times_ms = {device: _measure(device, arguments) for device in devices}
    rows = [
        (name, *(f"{times_ms[device][name]:.2f}" for device in devices)) for name in times_ms["cpu"]
    ]
    notes = [
        f"{arguments.batch_size} clips of {arguments.seconds:g} s at {arguments.sample_rate} Hz, "
        f"{NUM_MELS} mels, medians of {arguments.rounds} rounds, {torch.get_num_threads()} threads "
        "on the CPU. Waves begin as int16, and each of their operations includes the conversion. "
        "The chain is roll, polarity, gain, band-pass, room, noise, mixup, Freq-MixStyle, "
        "FilterAugment and SpecAugment; drawing its parameters is counted apart.",
    ]
    if devices == ["cpu"]:
        notes.append("No CUDA device was there.")
    write_results(
        "augment",
        title="Augmentation, milliseconds a batch",
        header=("operation", *(f"{device} ms" for device in devices)),
        rows=rows,
        notes=notes,
        data={"times_ms": times_ms, "batch_size": arguments.batch_size},
        command=" ".join(["python -m benchmarks.augment", *sys.argv[1:]]),
    )
    return 0


def _measure(device: str, arguments: argparse.Namespace) -> dict[str, float]:
    print(f"Measuring on {device}, minutes on a CPU ...", file=sys.stderr, flush=True)
    rate_hz = arguments.sample_rate
    num_samples = round(arguments.seconds * rate_hz)
    batch = make_batch(arguments.batch_size, num_samples, device=device)
    banks = make_banks(rate_hz, device=device)
    num_frames = round(arguments.seconds * FRAMES_PER_SECOND)
    mel_BMF = torch.randn(len(batch), NUM_MELS, num_frames, device=device)

    def augmenter(recipe: AugmentRecipe) -> Augmenter:
        return Augmenter(
            recipe, sample_rate_hz=arguments.sample_rate, banks=banks, num_mels=NUM_MELS
        )

    times_ms = {}
    for name, recipe in WAVE_OPERATIONS.items():
        made = augmenter(recipe)
        parameters = made.draw(batch.keys, epoch=0).to(device)
        times_ms[name] = _median_ms(
            lambda made=made, parameters=parameters: made.wave(batch, parameters), device, arguments
        )
    for name, recipe in MEL_OPERATIONS.items():
        made = augmenter(recipe)
        parameters = made.draw(batch.keys, epoch=0).to(device)
        times_ms[name] = _median_ms(
            lambda made=made, parameters=parameters: made.mel(mel_BMF, parameters),
            device,
            arguments,
        )
    chain = augmenter(CHAIN)
    times_ms["drawing the chain's parameters"] = _median_ms(
        lambda: chain.draw(batch.keys, epoch=0), "cpu", arguments
    )
    parameters = chain.draw(batch.keys, epoch=0)

    def whole() -> None:
        on_device = parameters.to(device)
        chain.wave(batch, on_device)
        chain.mel(mel_BMF, on_device)
        chain.targets(batch.target_BK, on_device)

    times_ms["the whole chain"] = _median_ms(whole, device, arguments)
    return times_ms


def _median_ms(work: Callable[[], object], device: str, arguments: argparse.Namespace) -> float:
    def once() -> float:
        begin = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - begin) * 1000

    once()
    return statistics.median(once() for _ in range(arguments.rounds))


def make_batch(batch_size: int, num_samples: int, *, device: torch.device | str) -> AudioBatch:
    """Return a batch of noise with targets of AudioSet's size."""
    rng = np.random.default_rng(0)
    return AudioBatch(
        keys=tuple(f"made/{number}" for number in range(batch_size)),
        wave_BT=torch.from_numpy(
            rng.integers(-9000, 9000, (batch_size, num_samples), dtype=np.int16)
        ),
        num_samples_B=torch.full((batch_size,), num_samples),
        target_BK=torch.zeros(batch_size, NUM_CLASSES),
        copy_B=torch.zeros(batch_size, dtype=torch.int64),
        is_padding_B=torch.zeros(batch_size, dtype=torch.bool),
    ).to(device)


def make_banks(
    sample_rate_hz: int, *, device: torch.device | str, noise_seconds: float = NOISE_SECONDS
) -> Banks:
    """Return a bank of 100 noises of three kinds, and one of 30 rooms of 1 s."""
    rng = np.random.default_rng(1)
    num_noises = sum(count for _, count in KINDS.values())
    noises_NS = rng.integers(
        -6000, 6000, (num_noises, round(noise_seconds * sample_rate_hz)), dtype=np.int16
    )
    decay_S = np.exp(-np.arange(sample_rate_hz) / (sample_rate_hz / 10))
    rooms_NS = (rng.normal(size=(30, sample_rate_hz)) * decay_S * 5000).astype(np.int16)

    def bank(clips_NS: np.ndarray, kinds: dict[str, tuple[int, int]]) -> ClipBank:
        keys = ("",) * len(clips_NS)
        clips = torch.from_numpy(clips_NS)
        return ClipBank(
            lambda number, _: Generation(number=number, keys=keys, clips_NS=clips),
            kinds=kinds,
            sample_rate_hz=sample_rate_hz,
            device=device,
            refresh_epochs=None,
        )

    return Banks(noise=bank(noises_NS, KINDS), room=bank(rooms_NS, {"all": (0, len(rooms_NS))}))


if __name__ == "__main__":
    sys.exit(main())
