"""The table of `benchmarks.ingest`: printed, and kept as JSON and Markdown."""

import datetime
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.versions import tool_versions

_OURS = "melstream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was measured."""

    machine: str
    command: str
    load: float
    """Load average of the last 5 minutes, of which one is the benchmark's own."""
    timings: dict[str, list[dict[str, Any]]]
    left_out: dict[str, dict[str, str]]
    stages: dict[str, list[dict[str, Any]]]
    scaling: list[dict[str, Any]]


def machine() -> str:
    """Return the processor's model and the number of cores."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores"


def write_report(report: Report, folder: Path) -> None:
    """Print the tables and write `ingest.json` and `ingest.md`."""
    text = "\n".join(_lines(report)) + "\n"
    print(text)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ingest.md").write_text(text)
    row = asdict(report) | {"date": _today(), "versions": tool_versions()}
    (folder / "ingest.json").write_text(json.dumps(row, indent=1, sort_keys=True) + "\n")


def _lines(report: Report) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in tool_versions().items())
    lines = [
        "# 5 s clips to 32 kHz mono FLAC shards, per core",
        "",
        f"{report.machine}; {_today()}; {versions}.",
        f"`{report.command}`. CPU time a clip, median of interleaved rounds on one pinned core;",
        "in brackets the quartiles. Other work ran on the machine: "
        f"load average {report.load:.1f}.",
    ]
    for kind, rows in report.timings.items():
        lines += ["", f"## From {kind}", "", *_timing_table(rows)]
        lines += [f"- not measured: {way} ({why})" for way, why in report.left_out[kind].items()]
    for kind, rows in report.stages.items():
        lines += ["", f"## Where ours goes, {kind}", "", "| stage | ms a clip |", "|---|---|"]
        lines += [f"| {row['stage']} | {row['median_ms']:.2f} |" for row in rows]
        whole = sum(row["median_ms"] for row in rows if not row["stage"].startswith("-"))
        lines += [f"| together, without those that are parts of others | {whole:.2f} |"]
    if report.scaling:
        lines += ["", *_scaling_lines(report.scaling)]
    return lines


def _scaling_lines(rows: list[dict[str, Any]]) -> list[str]:
    ratios = {row["way"]: 2 * row["one_core_seconds"] / row["two_cores_seconds"] for row in rows}
    return [
        "Two processes on two cores against one alone (clips of WAV, by the wall clock, same",
        "rounds). The two share the machine and nothing else: what every way lacks of 2 x is its.",
        "",
        *(f"- {way}: {ratio:.2f} x" for way, ratio in ratios.items()),
    ]


def _timing_table(rows: list[dict[str, Any]]) -> list[str]:
    ours = next(row["median_ms"] for row in rows if row["way"] == _OURS)
    lines = ["| way | ms of CPU a clip | clips/s a core | ours is faster by |", "|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["median_ms"]):
        spread = f"({row['low_ms']:.2f} to {row['high_ms']:.2f})"
        lines.append(
            f"| {row['way']} | {row['median_ms']:.2f} {spread} | {1000 / row['median_ms']:.0f} | "
            f"{row['median_ms'] / ours:.2f} x |"
        )
    return lines


def _today() -> str:
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()
