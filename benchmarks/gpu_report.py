"""The report of the GPU benchmark: its sections, what they were measured on, where it is kept."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine, table

NO_FIGURE = "-"
# What is measured with, and the peers; none of them but torch has to be there.
_PACKAGES = (
    "torchaudio", "triton", "numba", "torchlibrosa", "nnAudio", "torch-audiomentations",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What every section is measured on.

    Attributes:
        device: Where.
        batch_size: Clips in a batch.
        seconds: Length of a clip.
        rounds: Calls that are timed.
    """

    device: torch.device
    batch_size: int
    seconds: float
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table of the report.

    Attributes:
        title: Its heading.
        header: Heads of its columns.
        rows: Its cells.
        notes: Sentences below it.
        data: The raw figures.
        problems: What was wrong with melstream itself; nothing that is wrong is timed.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[str] = ()


def facts(device: torch.device) -> dict[str, str]:
    """Return the machine's facts, with the device's driver and the versions of peers."""
    of_device = {"device": "cpu"}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        of_device = {
            "device": properties.name,
            "device_memory": f"{properties.total_memory / 2**30:.0f} GiB",
            "driver": driver_version(),
            "cuda": str(torch.version.cuda),
        }
    return {**machine(), **of_device, **{name: _version(name) for name in _PACKAGES}}


def report_text(sections: Sequence[Section], about: Mapping[str, str], command: str) -> str:
    """Return the report as Markdown."""
    parts = [f"# Features, augmentation and the way there on {about['device']}"]
    if about["device"] == "cpu":
        parts.append("**No GPU figures: this run on a CPU only shows that everything runs.**")
    for section in sections:
        parts += [f"## {section.title}", table(section.header, section.rows)]
        parts += [f"**Wrong:** {problem}" for problem in section.problems]
        parts += section.notes
    missing = [name for name in _PACKAGES if about[name] == "not installed"]
    if missing:
        parts.append(f"Not installed here, and so not compared: {', '.join(missing)}.")
    parts.append(f"Measured with `{command}`: " + ", ".join(f"{k} {v}" for k, v in about.items()))
    return "\n\n".join(parts) + "\n"


def write_report(
    folder: Path, sections: Sequence[Section], about: Mapping[str, str], command: str
) -> Path:
    """Write the report as gpu-DEVICE.md and, with the raw figures, as gpu-DEVICE.json."""
    name = "gpu-" + re.sub(r"[^a-z0-9]+", "-", about["device"].lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.md"
    path.write_text(report_text(sections, about, command))
    figures = {section.title: dict(section.data) for section in sections}
    row = {"command": command, "machine": dict(about), "results": figures}
    path.with_suffix(".json").write_text(json.dumps(row, indent=1) + "\n")
    return path


def driver_version() -> str:
    """Return the version of the NVIDIA driver, as nvidia-smi tells it."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.split("\n")[0].strip()


def failure_text(err: Exception) -> str:
    """Return an exception in a few words, for a cell of a table."""
    return f"{type(err).__name__}: {str(err).strip().partition(chr(10))[0]:.80}"


def mebibytes(num_bytes: int | None) -> str:
    """Return bytes as MiB, or a dash."""
    return NO_FIGURE if num_bytes is None else f"{num_bytes / 2**20:.0f}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
