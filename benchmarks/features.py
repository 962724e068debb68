"""Log-mels on one CPU thread, beside what a user would write with torchaudio.

A batch of 32 clips of 10 s. Rounds are interleaved, one call of each a round, and figures are
medians; a ratio is the median of the rounds' ratios. Each way's peak memory is taken in a
process of its own, above what stood there before the call: the input, the modules and the libraries
after a call on two clips. The outputs are compared first, with each other only: which of them is
nearer to float64 is for the tests to say (tests/loader/features/test_library_parity.py).
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torchaudio
from torch import Tensor

from benchmarks.machine import write_results
from loader.features import LogMel, LogMelConfig

NUM_CLIPS = 32
SECONDS = 10
OURS = "melstream"

FrontEnd = Callable[[Tensor], Tensor]


def main() -> int:
    """Compare, measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, data, largest = [], {}, 0.0
    for name in WORKLOADS:
        ways, sample_rate_hz = make(name)
        wave_BT = waves(sample_rate_hz)
        off_by = _largest_difference(ways, wave_BT)
        seconds = _measure(ways, wave_BT, arguments.rounds)
        peak_bytes = {way: _peak_of(name, way) for way in ways}
        for way, values in seconds.items():
            middle = statistics.median(values)
            ratios = [slow / ours for slow, ours in zip(values, seconds[OURS], strict=True)]
            rows.append(
                (
                    name,
                    way,
                    f"{middle * 1e3 / NUM_CLIPS:.2f}",
                    f"{min(values) * 1e3 / NUM_CLIPS:.2f} to {max(values) * 1e3 / NUM_CLIPS:.2f}",
                    f"{statistics.median(ratios):.2f} x",
                    f"{peak_bytes[way] / 2**20:.0f}",
                )
            )
        data[name] = {"seconds": seconds, "peak_bytes": peak_bytes, "difference": off_by}
        largest = max(largest, off_by)
    write_results(
        "features",
        title="Log-mels on one CPU thread",
        header=("front end", "way", "ms a clip, median", "range", "melstream is", "peak MiB"),
        rows=rows,
        notes=[
            f"Batches of {NUM_CLIPS} clips of {SECONDS} s, float32; {arguments.rounds} interleaved "
            "rounds. Peak memory is what a call takes beyond its input, its result counted in.",
            f"Largest difference between two ways: {largest:.1g} (dB; AST in its units).",
        ],
        data=data,
        command="python -m benchmarks.features",
    )
    return 0


def waves(sample_rate_hz: int, num_clips: int = NUM_CLIPS) -> Tensor:
    """Return noise at -20 dBFS: every band of every frame is heard."""
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(num_clips, SECONDS * sample_rate_hz, generator=generator)


def make(name: str) -> tuple[Mapping[str, FrontEnd], int]:
    """Return the ways of computing one front end, and its sample rate."""
    return WORKLOADS[name]()


def _panns() -> tuple[Mapping[str, FrontEnd], int]:
    return _with_torchaudio(LogMelConfig(), norm="slaney", mel_scale="slaney")


def _torchaudio_128() -> tuple[Mapping[str, FrontEnd], int]:
    config = LogMelConfig(mel_bank="torchaudio", num_mels=128, min_hz=0.0, max_hz=16000.0)
    return _with_torchaudio(config, norm=None, mel_scale="htk")


def _with_torchaudio(
    config: LogMelConfig, *, norm: str | None, mel_scale: str
) -> tuple[Mapping[str, FrontEnd], int]:
    theirs = torch.nn.Sequential(
        torchaudio.transforms.MelSpectrogram(
            sample_rate=config.sample_rate_hz,
            n_fft=config.n_fft,
            hop_length=config.hop_samples,
            f_min=config.min_hz,
            f_max=config.max_hz,
            n_mels=config.num_mels,
            norm=norm,
            mel_scale=mel_scale,
        ),
        torchaudio.transforms.AmplitudeToDB(top_db=None),
    )
    ways = {OURS: LogMel(config), "torchaudio MelSpectrogram + AmplitudeToDB": theirs}
    return ways, config.sample_rate_hz


def _ast() -> tuple[Mapping[str, FrontEnd], int]:
    def theirs(wave_BT: Tensor) -> Tensor:
        clips = [
            torchaudio.compliance.kaldi.fbank(
                (wave_T - wave_T.mean())[None], window_type="hanning", num_mel_bins=128
            )
            for wave_T in wave_BT
        ]
        fbank_BFM = torch.nn.functional.pad(torch.stack(clips), (0, 0, 0, 1024 - clips[0].shape[0]))
        return ((fbank_BFM + 4.2677393) / (2 * 4.5689974)).transpose(1, 2)

    return {OURS: LogMel.preset("ast"), "torchaudio kaldi.fbank, clip by clip": theirs}, 16000


WORKLOADS: dict[str, Callable[[], tuple[Mapping[str, FrontEnd], int]]] = {
    "panns, 64 mels, 32 kHz": _panns,
    "torchaudio, 128 mels, 32 kHz": _torchaudio_128,
    "ast, 128 mels, 16 kHz": _ast,
}


def _largest_difference(ways: Mapping[str, FrontEnd], wave_BT: Tensor) -> float:
    with torch.inference_mode():
        ours, *others = (way(wave_BT[:4]) for way in ways.values())
    return max((other - ours).abs().max().item() for other in others)


def _measure(ways: Mapping[str, FrontEnd], wave_BT: Tensor, rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    with torch.inference_mode():
        for number in range(rounds + 1):
            for way, compute in ways.items():
                started = time.perf_counter()
                compute(wave_BT)
                if number:  # the first round warms up
                    seconds[way].append(time.perf_counter() - started)
    return seconds


def _peak_of(name: str, way: str) -> int:
    """Return the bytes that one call takes, from a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak_here, (name, way))


def _peak_here(name: str, way: str) -> int:
    torch.set_num_threads(1)
    ways, sample_rate_hz = make(name)
    wave_BT = waves(sample_rate_hz)
    with torch.inference_mode():
        ways[way](wave_BT[:2])
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before = _status_bytes("VmRSS")
        ways[way](wave_BT)
    return _status_bytes("VmHWM") - before


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


if __name__ == "__main__":
    sys.exit(main())
