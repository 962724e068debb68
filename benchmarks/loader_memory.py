"""What our loader takes before the first clip is read: `python -m benchmarks.loader_memory`."""

import json
import subprocess
import sys
from pathlib import Path


def measure_memory() -> dict[str, float]:
    """Return the resident megabytes of a new process, step by step, by what it has imported."""
    command = [sys.executable, "-m", "benchmarks.loader_memory"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    megabytes: dict[str, float] = json.loads(result.stdout)
    return megabytes


def memory_line(megabytes: dict[str, float]) -> str:
    """Say what of a loader's peak is there before any batch."""
    torch, loader, decoder = (megabytes[name] for name in ("torch", "loader", "decoder"))
    return (
        f"- Memory before the first clip: importing PyTorch alone takes {torch:.0f} MB, which no "
        f"loader of tensors goes below; ours adds {loader - torch:.0f} MB with its own imports "
        f"(mostly pyarrow) and {decoder - loader:.0f} MB with its compiled decoder (numba and "
        f"LLVM), {decoder:.0f} MB in all. Beyond that are batches and the clips being decoded."
    )


def main() -> None:
    """Import, and print what it took as JSON."""
    megabytes = {}
    import torch  # noqa: F401

    megabytes["torch"] = _resident_megabytes()
    import loader  # noqa: F401
    from loader.flac_decoder import wait_until_ready

    megabytes["loader"] = _resident_megabytes()
    wait_until_ready()
    megabytes["decoder"] = _resident_megabytes()
    print(json.dumps(megabytes))


def _resident_megabytes() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmRSS")


if __name__ == "__main__":
    main()
