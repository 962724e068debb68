"""A loader in a process of its own: its environment, its commands, what it answers."""

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.loader_peers import Peer

_PATIENCE_SECONDS = 300


class PeerError(Exception):
    """A loader can't be installed or run; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Batches that were taken one after the other."""

    num_clips: int
    cpu_seconds: float
    """Of the process and all below it."""
    wall_seconds: float
    peak_megabytes: float
    """Largest resident sets so far, of the process and all below it."""


class LoaderProcess:
    """Runs `benchmarks.loader_peers.run` and talks to it; ends it on leaving."""

    def __init__(self, module: str, python: str, clips: Path, folder: Path, *, cores: str) -> None:
        self._log = folder.with_suffix(".log").open("a+")
        self._process = subprocess.Popen(
            [
                python, "-m", "benchmarks.loader_peers.run",
                module, str(clips), str(folder), cores,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=os.environ | {
                "PYTHONPATH": ".", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
                "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1",
            },
        )  # fmt: skip
        self.tunings: list[str] = self._answer()["tunings"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self) -> None:
        """Have the clips written in the loader's form."""
        self._ask({"do": "prepare"})

    def open(self, tuning: str, num_samples: int | None) -> None:
        """Begin to load, crops of `num_samples` or whole clips."""
        self._ask({"do": "open", "tuning": tuning, "num_samples": num_samples})

    def check(self, num_batches: int) -> None:
        """Compare some batches with the source."""
        problem = self._ask({"do": "check", "batches": num_batches})["problem"]
        if problem:
            raise PeerError(problem)

    def run(self, *, skip: int, num_batches: int) -> Pass:
        """Time some batches behind `skip` others."""
        answer = self._ask({"do": "run", "skip": skip, "batches": num_batches})
        return Pass(
            num_clips=answer["clips"],
            cpu_seconds=answer["cpu"],
            wall_seconds=answer["wall"],
            peak_megabytes=answer["peak_mb"],
        )

    def close(self) -> None:
        """End the process and what it started."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        if self._process.stdin is None:
            raise RuntimeError("the process has no standard input")
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise PeerError(self._last_words()) from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        stdout = self._process.stdout
        if stdout is not None and not select.select([stdout], [], [], _PATIENCE_SECONDS)[0]:
            self._process.kill()
            raise PeerError(f"no answer in {_PATIENCE_SECONDS} s")
        line = stdout.readline() if stdout is not None else ""
        if not line:
            raise PeerError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        self.close()
        lines = Path(self._log.name).read_text(errors="replace").splitlines()
        errors = [line for line in lines if "Error" in line and not line.startswith(" ")]
        return (errors or [line for line in lines if line.strip()] or ["ended silently"])[-1][:300]


def make_environment(peer: Peer, folder: Path) -> str:
    """Return the Python of an environment with the peer's packages, made if absent.

    Raises:
        PeerError: uv is not there, or the packages don't install.
    """
    if not peer.packages:
        return sys.executable
    target = folder / peer.module
    python = target / "bin" / "python"
    done = target / "complete"
    if done.exists():
        return str(python)
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is None:
        raise PeerError("uv is not there to make its environment")
    print(f"{peer.name}: making an environment of {', '.join(peer.packages)}", flush=True)
    _call([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(target)])
    _call([uv, "pip", "install", "--quiet", "--python", str(python), *peer.packages])
    done.touch()
    return str(python)


def _call(command: Sequence[str]) -> None:
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        raise PeerError("its packages don't install: " + " ".join(lines)[:250])
