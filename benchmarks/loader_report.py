"""The tables of `benchmarks.loader`: printed, and kept as JSON and Markdown."""

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.loader_memory import memory_line
from benchmarks.loader_peers import OURS
from benchmarks.loader_process import Pass
from benchmarks.loader_scaling import ScalingRound, scaling_line
from benchmarks.machine import machine

_BASELINE = "webdataset, soundfile"
_WHOLE_BASELINE = "webdataset, soundfile, whole"
_TITLES = {"whole": "Whole clips of 10 s", "crops": "Random crops of 2 s"}


@dataclass(slots=True, kw_only=True)
class Report:
    """All that was measured."""

    passes: dict[str, dict[str, list[Pass]]] = field(default_factory=dict)
    """By mode and loader."""
    tunings: dict[str, dict[str, str]] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    scaling: dict[str, list[ScalingRound]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    """Megabytes of ours before the first clip, step by step."""
    first_batch: list[dict[str, float]] = field(default_factory=list)
    num_shards: int = 0
    load: float = 0.0
    """Load average of the last 15 minutes, of which one or two are the benchmark's own."""

    def add(self, mode: str, name: str, tuning: str, passes: list[Pass]) -> None:
        """Note a loader's rounds."""
        self.passes.setdefault(mode, {})[name] = passes
        self.tunings.setdefault(mode, {})[name] = tuning

    def leave_out(self, name: str, why: str) -> None:
        """Note that a loader could not be measured."""
        self.left_out.append((name, why))


def write_report(report: Report, folder: Path, *, command: str) -> None:
    """Print the tables and write `loader.json` and `loader.md`."""
    facts = machine()
    text = "\n".join(_lines(report, facts, command)) + "\n"
    print(text)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "loader.md").write_text(text)
    row: dict[str, Any] = {"command": command, "machine": facts, "results": asdict(report)}
    (folder / "loader.json").write_text(json.dumps(row, indent=1) + "\n")


def _lines(report: Report, facts: dict[str, str], command: str) -> list[str]:
    lines = [
        "# FLAC clips into batches of 64, per core, beside other loaders",
        "",
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory']}; {facts['date']}; "
        f"torch {facts['torch']}; load average {report.load:.1f} (others worked on the machine).",
        f"`{command}`: 32 kHz mono 16-bit FLAC in frames of 1152 samples. Each loader pinned to "
        "one core,",
        "with the fastest of its settings; clips by CPU time, children included: median and "
        "quartiles of",
        "interleaved rounds. `wall` is by the clock and suffers from the machine's other load.",
    ]
    for mode, passes in report.passes.items():
        lines += ["", f"## {_TITLES[mode]}", "", *_table(passes, report.tunings[mode])]
        lines += ["", *_targets(mode, passes)]
    lines += ["", "## Ours: two cores, first batch, memory", ""]
    lines += [scaling_line(mode, rounds) for mode, rounds in report.scaling.items() if rounds]
    if report.first_batch:
        lines.append(_first_batch_line(report))
    if report.memory:
        lines.append(memory_line(report.memory))
    if report.left_out:
        lines += ["", "## Not measured", ""]
        lines += [f"- {name}: {why}" for name, why in report.left_out]
    return lines


def _speed(one: Pass) -> float:
    return one.num_clips / max(one.cpu_seconds, 1e-9)


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def _ratios(ours: Sequence[Pass], others: Sequence[Pass]) -> tuple[float, float, float]:
    return _quartiles([_speed(a) / _speed(b) for a, b in zip(ours, others, strict=True)])


def _table(passes: dict[str, list[Pass]], tunings: dict[str, str]) -> list[str]:
    ours = passes[OURS.name]
    rows = []
    for name in sorted(passes, key=lambda name: -statistics.median(map(_speed, passes[name]))):
        low, median, high = _quartiles([_speed(one) for one in passes[name]])
        ratio_low, ratio, ratio_high = _ratios(ours, passes[name])
        wall = statistics.median(one.num_clips / one.wall_seconds for one in passes[name])
        peak = max(one.peak_megabytes for one in passes[name])
        rows.append(
            f"| {name} | {tunings[name]} | {median:.0f} ({low:.0f} to {high:.0f}) | {wall:.0f} | "
            f"{ratio:.2f} x ({ratio_low:.2f} to {ratio_high:.2f}) | {peak:.0f} |"
        )
    return [
        "| loader | settings | clips/s a core | wall | ours is faster by | peak MB |",
        "|---|---|---|---|---|---|",
        *rows,
    ]


def _targets(mode: str, passes: dict[str, list[Pass]]) -> list[str]:
    """Say how far the targets are met."""
    others = {name: rows for name, rows in passes.items() if name != OURS.name}
    if not others:
        return []
    ours = passes[OURS.name]
    fastest = max(others, key=lambda name: statistics.median(map(_speed, others[name])))
    goals = [(fastest, 3.0)]
    if mode == "whole" and _BASELINE in others:
        goals.append((_BASELINE, 5.0))
    if mode == "crops" and _WHOLE_BASELINE in others:
        goals.append((_WHOLE_BASELINE, 10.0))
    return [
        f"- {_ratios(ours, others[name])[1]:.2f} x {name} "
        f"({'meets' if _ratios(ours, others[name])[1] >= goal else 'misses'} {goal:g} x)"
        for name, goal in goals
    ]


def _first_batch_line(report: Report) -> str:
    totals = [row["open"] + row["batch"] for row in report.first_batch]
    imports = statistics.median(row["import"] for row in report.first_batch)
    return (
        f"- First batch of 64 whole clips from a dataset of {report.num_shards} shards: "
        f"{statistics.median(totals):.2f} s from opening it in a new process, of "
        f"{os.cpu_count()} cores; imports (mostly PyTorch) take {imports:.2f} s before that."
    )
