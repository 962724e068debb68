"""What a result must say of where it was measured, and how results are written."""

import datetime
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.versions import tool_versions

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, str]:
    """Return CPU, cores, memory, device, versions and date."""
    import torch

    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory_bytes / 2**30:.0f} GiB",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **tool_versions(),
        "torch": torch.__version__,
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown, its columns aligned."""
    widths = [
        max(len(str(row[column])) for row in [header, *rows]) for column in range(len(header))
    ]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(f"{c:<{w}}" for c, w in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def write_results(
    name: str,
    *,
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: Sequence[str],
    data: Mapping[str, Any],
    command: str,
) -> Path:
    """Print a table and write it as `NAME.md` and, with the raw figures, as `NAME.json`."""
    facts = machine()
    text = "\n\n".join(
        [
            f"# {title}",
            table(header, rows),
            *notes,
            f"Measured with `{command}` on {facts['cpu']}, {facts['cores']} cores, "
            f"{facts['memory']}, device {facts['device']}, {facts['date']}.",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text + "\n")
    row = {"title": title, "command": command, "machine": facts, "results": data}
    (RESULTS / f"{name}.json").write_text(json.dumps(row, indent=1) + "\n")
    print(text)
    return RESULTS / f"{name}.md"
