"""Features, augmentation and the way from shards to a training step, on any CUDA card.

    python -m benchmarks.gpu                  on the card; writes benchmarks/results/gpu-CARD.md
    python -m benchmarks.gpu --device cpu     small, in a minute: shows that all of it runs

What is wrong on the device is not timed, and makes the exit status 1. Without CUDA the run on a CPU
is what there is; it gives no GPU figures and writes none.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from benchmarks.gpu_augment import time_augmentation
from benchmarks.gpu_features import check_presets, log_mel_presets, time_features
from benchmarks.gpu_pipeline import Size, time_pipeline
from benchmarks.gpu_report import Section, Workload, facts, report_text, write_report
from benchmarks.machine import RESULTS

_SECTIONS = ("features", "augmentation", "pipeline")


def main(words: Sequence[str] | None = None) -> int:
    """Check, measure, print the report and write it where it is of a card."""
    words = list(sys.argv[1:] if words is None else words)
    arguments = _parser().parse_args(words)
    device = _device(arguments.device)
    if device.type != "cuda":
        print("No CUDA device is used: what follows are no GPU figures.", flush=True)
        torch.set_num_threads(1)  # batches this small gain nothing from more
    sections = _measured(arguments, device)
    about, command = facts(device), " ".join(["python -m benchmarks.gpu", *words])
    print(report_text(sections, about, command))
    folder = arguments.out or (RESULTS if device.type == "cuda" else None)
    if folder is not None:
        print(f"Written to {write_report(folder, sections, about, command)}")
    return 1 if any(section.problems for section in sections) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: cuda if it is there")
    parser.add_argument("--batch-size", type=int, help="clips; default: 256, on a CPU 2")
    parser.add_argument("--seconds", type=float, help="a clip's length; default: 10, on a CPU 1")
    parser.add_argument("--rounds", type=int, help="timed calls; default: 50, on a CPU 2")
    parser.add_argument("--only", choices=_SECTIONS, nargs="+", default=_SECTIONS)
    parser.add_argument(
        "--out", type=Path, help="folder for the report; default: benchmarks/results, on a CPU none"
    )
    return parser


def _device(name: str | None) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: torch sees no CUDA device here; leave it out, or use cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    # With its number, as tensors have it.
    return torch.device("cuda", torch.cuda.current_device())


def _measured(arguments: argparse.Namespace, device: torch.device) -> list[Section]:
    on_cuda = device.type == "cuda"
    workload = Workload(
        device=device,
        batch_size=arguments.batch_size or (256 if on_cuda else 2),
        seconds=arguments.seconds or (10.0 if on_cuda else 1.0),
        rounds=arguments.rounds or (50 if on_cuda else 2),
    )
    size = (
        Size(num_clips=400, batch_size=64, num_measured=16000)
        if on_cuda
        else Size(num_clips=16, batch_size=4, num_measured=16)
    )
    parts: Mapping[str, Callable[[], list[Section]]] = {
        "features": lambda: _features(workload),
        "augmentation": lambda: [time_augmentation(workload)],
        "pipeline": lambda: [time_pipeline(workload, size)],
    }
    sections = []
    for name in _SECTIONS:
        if name in arguments.only:
            print(f"Measuring {name} on {device} ...", file=sys.stderr, flush=True)
            sections += parts[name]()
    return sections


def _features(workload: Workload) -> list[Section]:
    """Return the comparison, and the times if all presets are right."""
    checked = check_presets(workload.device, log_mel_presets(workload.device))
    return [checked] if checked.problems else [checked, time_features(workload)]


if __name__ == "__main__":
    sys.exit(main())
