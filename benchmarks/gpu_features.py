"""Features on the device: right first, then how fast and how near to the memory's floor.

Right means: what the same module gives on a CPU, where it computes in float64, within 0.01 dB. For
peers it means the same features within 0.2 dB: on Ampere and later their convolutions round to TF32
unless told not to, and how far each is off stands in the table.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_floor import floor_bytes, unfused_bytes
from benchmarks.gpu_report import NO_FIGURE, Section, Workload, failure_text, mebibytes
from benchmarks.gpu_timing import copy_bytes_per_second, measure, with_peak_bytes
from benchmarks.gpu_ways import FRONT_ENDS, Way, ways
from loader.augment import units_per_db
from loader.features import LogMel, LogMelConfig, presets
from loader.features.fused import FusedLogMel

TOLERANCE_DB = 0.01
PEER_TOLERANCE_DB = 0.2
NUM_COMPARED = 4
_HEADER = (
    "front end", "input", "way", "ms a batch, median", "10 % to 90 %", "clips/s", "x floor",
    "peak MiB", "off by, dB",
)  # fmt: skip


def check_presets(device: torch.device, names: Sequence[str]) -> Section:
    """Compare log-mel presets on the device with themselves on a CPU, TF32 allowed."""
    rows, off_by, problems = [], {}, []
    for name, module in _modules(device, names).items():
        wave_BT, num_samples_B = uneven_batch(module.config)
        expected_BMF = module(wave_BT, num_samples_B)
        with _tf32_allowed():
            mel_BMF = module.to(device)(wave_BT.to(device), num_samples_B.to(device)).cpu()
        off_by[name] = difference_db(mel_BMF, expected_BMF, module.config)
        if not off_by[name] <= TOLERANCE_DB:
            problems.append(
                f"preset {name} on {device} is {off_by[name]:.3g} dB from its values on a CPU; "
                f"up to {TOLERANCE_DB} dB are right"
            )
        rows.append((name, f"{off_by[name]:.1g}"))
    return Section(
        title="Presets on the device and on a CPU",
        header=("preset", "largest difference, dB"),
        rows=rows,
        notes=[
            "A loud tone in noise at -40 dBFS: a clip whole, one half as long, one empty. "
            "`torch.set_float32_matmul_precision('medium')` was set, which must change nothing."
        ],
        data={"off_by_db": off_by},
        problems=problems,
    )


def _modules(device: torch.device, names: Sequence[str]) -> dict[str, LogMel]:
    """Return the presets' front ends and, on CUDA, the fused ones of those that have one."""
    modules = {}
    for name in names:
        modules[name] = LogMel.preset(name)
        if device.type == "cuda":
            with suppress(ValueError):
                modules[f"{name}, fused kernel"] = FusedLogMel.preset(name)
    return modules


def log_mel_presets(device: torch.device) -> list[str]:
    """Return the presets to compare: all of them on CUDA, elsewhere one of each family."""
    if device.type != "cuda":
        return ["panns", "ast", "passt", "ecapa", "nemo"]
    return [name for name, made in presets().items() if isinstance(made.config, LogMelConfig)]


def time_features(workload: Workload) -> Section:
    """Time every way of PANNs and AST, those that are right."""
    bytes_per_second = copy_bytes_per_second(workload.device, rounds=workload.rounds)
    rows, figures, problems = [], {}, []
    for case in _cases(workload):
        for way in ways(case.front_end, workload.device):
            if case.input == "int16" and not way.is_ours:
                continue  # peers take floating point only
            measured = _measured(way, case, workload)
            rows.append(_row(way, case, measured, bytes_per_second, workload))
            figures[f"{case.name}, {way.name}"] = measured
            if way.is_ours and "failure" in measured:
                problems.append(f"{case.name}, {way.name}: {measured['failure']}")
    return Section(
        title="Log-mels",
        header=_HEADER,
        rows=rows,
        notes=_notes(workload, bytes_per_second),
        data={
            "copy_bytes_per_second": bytes_per_second,
            "floor_bytes": {case.name: case.floor_bytes for case in _cases(workload)},
            "unfused_bytes": {case.name: case.unfused_bytes for case in _cases(workload)},
            "ways": figures,
        },
        problems=problems,
    )


def _notes(workload: Workload, bytes_per_second: float) -> list[str]:
    floors, unfused = [], []
    for case in _cases(workload):
        floor, least = sum(case.floor_bytes.values()), sum(case.unfused_bytes.values())
        floors.append(f"{case.name} {floor / 1e6:.1f} MB, {floor / bytes_per_second * 1e3:.3f} ms")
        unfused.append(f"{case.name} {least / bytes_per_second * 1e3:.3f} ms")
    return [
        f"{workload.batch_size} clips of {workload.seconds:g} s of noise, {workload.rounds} calls, "
        "the caches flushed before each. Preparing and compiling are not counted.",
        f"A copy reaches {bytes_per_second / 1e9:.0f} GB/s here, read and written. The floor is "
        "the time in which it would move the waves once in and the log-mels once out: "
        f"{'; '.join(floors)}. With the FFT as a call of its own, whose input and output lie in "
        f"memory, the least is: {'; '.join(unfused)}.",
        "Peak MiB is what a call takes beyond its input, its result counted in; for a graph, what "
        "capturing takes and keeps.",
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A front end and what it is given: "float32" or "int16"."""

    front_end: str
    input: str
    config: LogMelConfig
    num_samples: int
    floor_bytes: dict[str, int]
    unfused_bytes: dict[str, int]

    @property
    def name(self) -> str:
        return f"{self.front_end}, {self.input}"

    def wave_BT(self, batch_size: int) -> Tensor:
        wave_BT = noise(batch_size, self.num_samples)
        return as_int16(wave_BT) if self.input == "int16" else wave_BT


def _cases(workload: Workload) -> list[_Case]:
    cases = []
    for front_end in FRONT_ENDS:
        config = LogMel.preset(front_end).config
        num_samples = round(workload.seconds * config.sample_rate_hz)
        for name, sample_bytes in (("float32", 4), ("int16", 2)):
            shape = {
                "batch_size": workload.batch_size,
                "num_samples": num_samples,
                "sample_bytes": sample_bytes,
            }
            cases.append(
                _Case(
                    front_end=front_end,
                    input=name,
                    config=config,
                    num_samples=num_samples,
                    floor_bytes=floor_bytes(config, **shape),
                    unfused_bytes=unfused_bytes(config, **shape),
                )
            )
    return cases


def _measured(way: Way, case: _Case, workload: Workload) -> dict[str, Any]:
    """Return the figures of a way, or the failure that kept it from being timed."""
    wave_BT = case.wave_BT(workload.batch_size)
    expected_BMF = LogMel(case.config)(wave_BT[:NUM_COMPARED])
    tolerance_db = TOLERANCE_DB if way.is_ours else PEER_TOLERANCE_DB
    sent_BT = wave_BT.to(workload.device)
    torch.compiler.reset()
    try:
        with torch.inference_mode():
            call, made_bytes = with_peak_bytes(lambda: way.prepare(sent_BT), workload.device)
            off_by_db = difference_db(call()[:NUM_COMPARED].cpu(), expected_BMF, case.config)
            if not off_by_db <= tolerance_db:
                return {"failure": f"not timed: {off_by_db:.3g} dB off", "off_by_db": off_by_db}
            _, called_bytes = with_peak_bytes(call, workload.device)
            times = measure(call, workload.device, rounds=workload.rounds)
    except Exception as err:  # noqa: BLE001 - a way that a card can't do is a row of the table
        return {"failure": failure_text(err)}
    return {
        "ms": times.ms,
        "median_ms": times.median_ms,
        "range": times.range_text,
        "peak_bytes": made_bytes if way.keeps_memory else called_bytes,
        "off_by_db": off_by_db,
    }


def _row(
    way: Way,
    case: _Case,
    measured: dict[str, Any],
    bytes_per_second: float,
    workload: Workload,
) -> tuple[str, ...]:
    if "failure" in measured:
        return (case.front_end, case.input, way.name, measured["failure"], *[NO_FIGURE] * 5)
    seconds = measured["median_ms"] / 1000
    floor_seconds = sum(case.floor_bytes.values()) / bytes_per_second
    return (
        case.front_end,
        case.input,
        way.name,
        f"{measured['median_ms']:.3f}",
        measured["range"],
        f"{workload.batch_size / seconds:.0f}",
        f"{seconds / floor_seconds:.1f}",
        mebibytes(measured["peak_bytes"]),
        f"{measured['off_by_db']:.1g}",
    )


def uneven_batch(config: LogMelConfig) -> tuple[Tensor, Tensor]:
    """Return a tone in noise at -40 dBFS, int16: a clip whole, one half as long, one empty."""
    num_samples = 2 * config.sample_rate_hz
    time_T = torch.arange(num_samples, dtype=torch.float64) / config.sample_rate_hz
    tone_T = 0.5 * torch.sin(2 * torch.pi * 440 * time_T)
    wave_BT = tone_T + 0.1 * noise(3, num_samples).double()
    return as_int16(wave_BT), torch.tensor([num_samples, num_samples // 2 + 11, 0])


def noise(num_clips: int, num_samples: int) -> Tensor:
    """Return noise at -20 dBFS: every band of every frame is heard."""
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(num_clips, num_samples, generator=generator)


def as_int16(wave_BT: Tensor) -> Tensor:
    """Return waves as 16-bit samples."""
    return (wave_BT * 32768).round().clamp(-32768, 32767).to(torch.int16)


def difference_db(mel_BMF: Tensor, expected_BMF: Tensor, config: LogMelConfig) -> float:
    """Return the largest difference in dB; infinite for other shapes, NaN for values that are."""
    if mel_BMF.shape != expected_BMF.shape:
        return float("inf")
    units = units_per_db(
        log_factor=config.log_factor, std=config.std, of_magnitude=config.magnitude
    )
    return float((mel_BMF.double() - expected_BMF.double()).abs().max()) / units


@contextmanager
def _tf32_allowed() -> Iterator[None]:
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
