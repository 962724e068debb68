"""Augmentation on the device: right first, then each operation and the whole chain.

Right means: the same batch with the same parameters gives what it gives on a CPU. Peers do the
nearest thing that they have, by parameters of their own, so there is nothing to hold theirs
against.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from benchmarks.augment import CHAIN, MEL_OPERATIONS, WAVE_OPERATIONS, make_banks, make_batch
from benchmarks.gpu_report import NO_FIGURE, Section, Workload, failure_text, mebibytes
from benchmarks.gpu_timing import graphed, measure, with_peak_bytes
from loader import AudioBatch
from loader.augment import Augmenter, AugmentParameters, AugmentRecipe, Banks
from loader.features import LogMel

FRONT_END = "panns"
NUM_COMPARED = 8
# Both compute in float32, with FFTs that round differently. Waves have full scale 1.
WAVE_TOLERANCE = 1e-3
TOLERANCE_DB = 0.01
_HEADER = (
    "operation", "ms a batch, median", "10 % to 90 %", "clips/s", "peak MiB", "off by",
)  # fmt: skip

_TORCH_AUDIOMENTATIONS = (
    "Gain", "PolarityInversion", "Shift", "BandPassFilter", "AddColoredNoise",
)  # fmt: skip

Call = Callable[[], tuple[Tensor, ...]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bench:
    """A batch, log-mels, banks and a front end, all on one device."""

    batch: AudioBatch
    mel_BMF: Tensor
    banks: Banks
    log_mel: LogMel

    def augmenter(self, recipe: AugmentRecipe) -> Augmenter:
        """Return what applies a recipe to the batch."""
        config = self.log_mel.config
        return Augmenter(
            recipe,
            sample_rate_hz=config.sample_rate_hz,
            banks=self.banks,
            num_mels=config.num_mels,
        )

    def drawn(self, recipe: AugmentRecipe) -> AugmentParameters:
        """Return the batch's parameters, on the device."""
        parameters = self.augmenter(recipe).draw(self.batch.keys, epoch=0)
        return parameters.to(self.batch.wave_BT.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to time: `make` returns its call, which a graph may replay."""

    name: str
    make: Callable[[Bench], Call]
    tolerance: float
    is_graph: bool = False

    def prepare(self, bench: Bench) -> Call:
        """Return the call for a batch on its device."""
        is_captured = self.is_graph and bench.batch.wave_BT.is_cuda
        return graphed(self.make(bench)) if is_captured else self.make(bench)


def time_augmentation(workload: Workload) -> Section:
    """Compare every operation and the chain with a CPU, and time those that are right."""
    bench = make_bench(workload.batch_size, workload.seconds, workload.device)
    few = min(NUM_COMPARED, workload.batch_size)
    on_device = make_bench(few, workload.seconds, workload.device)
    on_cpu = make_bench(few, workload.seconds, torch.device("cpu"))
    figures: dict[str, dict[str, Any]] = {}
    problems = []
    for step in steps(workload.device):
        measured = _checked(step, bench, on_device, on_cpu, workload)
        if "failure" in measured:
            problems.append(f"{step.name} on {workload.device}: {measured['failure']}")
        figures[step.name] = measured
    for name, prepare in _peers().items():
        figures[name] = _measured(prepare, bench, workload)
    draw = bench.augmenter(CHAIN).draw
    figures["drawing the chain's parameters, on the host"] = _measured(
        lambda _: lambda: draw(bench.batch.keys, epoch=0),
        bench,
        workload,
        device=torch.device("cpu"),
    )
    parameters = draw(bench.batch.keys, epoch=0)
    figures["moving the chain's parameters to the device"] = _measured(
        lambda _: lambda: parameters.to(workload.device), bench, workload
    )
    rows = [_row(name, measured, workload) for name, measured in figures.items()]
    return Section(
        title="Augmentation",
        header=_HEADER,
        rows=rows,
        notes=[
            f"{workload.batch_size} clips of {workload.seconds:g} s at 32 kHz, 64 mels; caches "
            "flushed before each call. Waves begin as int16 and each of their operations counts "
            "the conversion. The chain is roll, polarity, gain, band-pass, room, noise, mixup, "
            "Freq-MixStyle, FilterAugment and SpecAugment, its parameters already on the device.",
            "Off by: largest difference from a CPU, of full scale 1 or in dB. A peer's operation "
            "is the nearest it has; its samples come by its own random numbers.",
        ],
        data={"operations": figures},
        problems=problems,
    )


def make_bench(batch_size: int, seconds: float, device: torch.device) -> Bench:
    """Return the same on any device, for the same size."""
    log_mel = LogMel.preset(FRONT_END).to(device)
    config = log_mel.config
    num_samples = round(seconds * config.sample_rate_hz)
    shape = (batch_size, config.num_mels, config.num_frames(num_samples))
    mel_BMF = 10 * torch.randn(shape, generator=torch.Generator().manual_seed(2)) - 40
    noise_seconds = 2 * seconds
    return Bench(
        batch=make_batch(batch_size, num_samples, device=device),
        mel_BMF=mel_BMF.to(device),
        banks=make_banks(config.sample_rate_hz, device=device, noise_seconds=noise_seconds),
        log_mel=log_mel,
    )


def steps(device: torch.device) -> list[Step]:
    """Return what is timed: each operation, and the chain alone and with the log-mels in it."""
    waves = {f"wave: {name}": recipe for name, recipe in WAVE_OPERATIONS.items()}
    mels = {f"mel: {name}": recipe for name, recipe in MEL_OPERATIONS.items()}
    made = [
        *(_wave_step(name, recipe) for name, recipe in waves.items()),
        *(_mel_step(name, recipe) for name, recipe in mels.items()),
        _wave_step("the chain's waves", CHAIN),
        _mel_step("the chain's spectrograms", CHAIN),
        Step(name="the whole chain", make=_chain, tolerance=TOLERANCE_DB),
        Step(name="the whole chain and log-mels", make=_chain_and_features, tolerance=TOLERANCE_DB),
    ]
    if device.type == "cuda":
        made += [
            Step(name=f"{name}, CUDA graph", make=make, tolerance=TOLERANCE_DB, is_graph=True)
            for name, make in (
                ("the whole chain", _chain),
                ("the whole chain and log-mels", _chain_and_features),
            )
        ]
    return made


def _wave_step(name: str, recipe: AugmentRecipe) -> Step:
    def make(bench: Bench) -> Call:
        augmenter, parameters = bench.augmenter(recipe), bench.drawn(recipe)
        return lambda: augmenter.wave(bench.batch, parameters)[:1]

    return Step(name=name, make=make, tolerance=WAVE_TOLERANCE)


def _mel_step(name: str, recipe: AugmentRecipe) -> Step:
    def make(bench: Bench) -> Call:
        augmenter, parameters = bench.augmenter(recipe), bench.drawn(recipe)
        return lambda: (augmenter.mel(bench.mel_BMF, parameters),)

    return Step(name=name, make=make, tolerance=TOLERANCE_DB)


def _chain(bench: Bench) -> Call:
    augmenter, parameters = bench.augmenter(CHAIN), bench.drawn(CHAIN)

    def call() -> tuple[Tensor, ...]:
        wave_BT, _ = augmenter.wave(bench.batch, parameters)
        mel_BMF = augmenter.mel(bench.mel_BMF, parameters)
        return wave_BT, mel_BMF, augmenter.targets(bench.batch.target_BK, parameters)

    return call


def _chain_and_features(bench: Bench) -> Call:
    augmenter, parameters = bench.augmenter(CHAIN), bench.drawn(CHAIN)

    def call() -> tuple[Tensor, ...]:
        mel_BMF = bench.log_mel(*augmenter.wave(bench.batch, parameters))
        mel_BMF = augmenter.mel(mel_BMF, parameters)
        return mel_BMF, augmenter.targets(bench.batch.target_BK, parameters)

    return call


def _checked(
    step: Step, bench: Bench, on_device: Bench, on_cpu: Bench, workload: Workload
) -> dict[str, Any]:
    expected = step.make(on_cpu)()
    try:
        results = step.prepare(on_device)()
    except RuntimeError as err:  # out of memory, or what a graph can't hold
        return {"failure": failure_text(err)}
    off_by = max(
        float((result.cpu() - wanted).abs().max())
        for result, wanted in zip(results, expected, strict=True)
    )
    if not off_by <= step.tolerance:
        return {"failure": f"not timed: {off_by:.3g} off, {step.tolerance} is right"}
    return _measured(step.prepare, bench, workload) | {"off_by": off_by}


def _measured(
    prepare: Callable[[Bench], Callable[[], object]],
    bench: Bench,
    workload: Workload,
    *,
    device: torch.device | None = None,
) -> dict[str, Any]:
    device = device or workload.device
    try:
        with torch.inference_mode():
            # A graph takes its memory when it is captured, other calls when they run.
            call, captured_bytes = with_peak_bytes(lambda: prepare(bench), device)
            call()
            _, called_bytes = with_peak_bytes(call, device)
            times = measure(call, device, rounds=workload.rounds)
    except Exception as err:  # noqa: BLE001 - what a card or a peer can't do is a row of the table
        return {"failure": failure_text(err)}
    return {
        "ms": times.ms,
        "median_ms": times.median_ms,
        "range": times.range_text,
        "peak_bytes": max((captured_bytes, called_bytes), key=lambda taken: taken or 0),
    }


def _row(name: str, measured: Mapping[str, Any], workload: Workload) -> tuple[str, ...]:
    if "failure" in measured:
        return (name, measured["failure"], *[NO_FIGURE] * 4)
    return (
        name,
        f"{measured['median_ms']:.3f}",
        measured["range"],
        f"{workload.batch_size / measured['median_ms'] * 1000:.0f}",
        mebibytes(measured["peak_bytes"]),
        f"{measured['off_by']:.1g}" if "off_by" in measured else NO_FIGURE,
    )


def _peers() -> dict[str, Callable[[Bench], Callable[[], Tensor]]]:
    """Return what the peers that are installed have for the same purposes, to be prepared."""
    peers = {}
    if find_spec("torch_audiomentations") is not None:
        for operation in (
            "Gain",
            "PolarityInversion",
            "Shift",
            "BandPassFilter",
            "AddColoredNoise",
        ):
            name = f"torch-audiomentations: {operation}, p 0.5"
            peers[name] = partial(_torch_audiomentations, operation)
    if find_spec("torchaudio") is not None:
        peers["torchaudio: 2 x FrequencyMasking, 2 x TimeMasking"] = _torchaudio_masks
    return peers


def _torch_audiomentations(operation: str, bench: Bench) -> Callable[[], Tensor]:
    import torch_audiomentations

    transform = getattr(torch_audiomentations, operation)(p=0.5, output_type="tensor")
    wave_BCT = bench.batch.wave_BT.float()[:, None] / 32768
    return partial(transform, wave_BCT, sample_rate=bench.log_mel.config.sample_rate_hz)


def _torchaudio_masks(bench: Bench) -> Callable[[], Tensor]:
    from torchaudio.transforms import FrequencyMasking, TimeMasking

    bands, times = FrequencyMasking(48, iid_masks=True), TimeMasking(192, iid_masks=True)
    mel_BCMF = bench.mel_BMF[:, None]
    return lambda: times(times(bands(bands(mel_BCMF))))
