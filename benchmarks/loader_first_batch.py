"""Seconds from nothing to the first batch: `python -m benchmarks.loader_first_batch FOLDER`."""

import json
import subprocess
import sys
import time
from pathlib import Path


def measure_first_batch(dataset: Path, *, num_rounds: int) -> list[dict[str, float]]:
    """Return, for each of some new processes, the seconds of imports, opening and first batch."""
    command = [sys.executable, "-m", "benchmarks.loader_first_batch", str(dataset)]
    return [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(num_rounds)
    ]


def main() -> None:
    """Load one batch in this process and print the times as JSON."""
    begin = time.perf_counter()
    from loader import LoaderConfig, ShardLoader, World

    imported = time.perf_counter()
    config = LoaderConfig(url=sys.argv[1], split="train", batch_size=64, crop_seconds=None)
    loader = ShardLoader(config, world=World())
    opened = time.perf_counter()
    next(iter(loader))
    done = time.perf_counter()
    seconds = {"import": imported - begin, "open": opened - imported, "batch": done - opened}
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
