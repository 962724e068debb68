"""How fast clips become shards, per core, beside what others do: `python -m benchmarks.ingest`.

5 s clips from the embedded ESC-10 sample, as 44.1 kHz WAV and as stereo M4A, to 32 kHz mono FLAC
in tar shards. Every way is a process of its own, pinned to one core; a round is one pass over the
clips by each way in turn, so that what else the machine does hits all alike. Reported is the
median over the rounds of the CPU time a clip, with the quartiles. Ways that need packages which
don't belong beside ours run in an environment that the script makes (`--peers FOLDER` keeps it).
"""

import argparse
import contextlib
import io
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from benchmarks.ingest_floor import Stage, measure_stages
from benchmarks.ingest_report import Report, machine, write_report
from benchmarks.ingest_ways import WAYS
from shardwriter.mixdown import Pcm

SAMPLE = Path("jobs/sample/esc10/audio")
SOURCE_RATE_HZ = 44_100
CLIP_SAMPLES = 5 * SOURCE_RATE_HZ
OURS = "melstream"
PEER = "soundfile + soxr + webdataset"
"""The one whose steps are most like ours."""
PEER_PACKAGES = (
    "av", "librosa", "lhotse", "soundfile", "soxr", "torch==2.11.*", "torchaudio==2.11.*",
    "torchcodec", "webdataset",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """CPU milliseconds a clip of one way, over the rounds."""

    way: str
    median_ms: float
    low_ms: float
    high_ms: float
    wall_ms: float

    @property
    def clips_per_second(self) -> float:
        """Clips that one core does in a second."""
        return 1000.0 / self.median_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Wall seconds of a pass by one process, and by each of two at once."""

    way: str
    one_core_seconds: float
    two_cores_seconds: float


class Way:
    """A process that makes passes over the clips when told."""

    def __init__(self, name: str, python: str, clips: Path, out: Path, *, core: int) -> None:
        self.name = name
        self._folder = f"{clips}/"
        self.rounds: list[dict[str, float]] = []
        # A file: librosa warns at each M4A, and would wait for a pipe that nobody reads.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in `close`
        self._process = subprocess.Popen(
            [python, "benchmarks/ingest_ways.py", name, str(clips), str(out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | {"PYTHONPATH": ".", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )
        os.sched_setaffinity(self._process.pid, {core})
        self.problem = "" if self._answer() else self._last_words()

    def run(self) -> None:
        """Make one pass."""
        if self._process.stdin is None:
            raise RuntimeError("the process has no standard input")
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        answer = self._answer()
        if answer is None:
            raise RuntimeError(f"{self.name} ended in the middle: {self._last_words()}")
        self.rounds.append(answer)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._errors.close()

    def timing(self, num_clips: int) -> Timing:
        """Sum the rounds up."""
        cpu_ms = sorted(1000 * answer["cpu"] / num_clips for answer in self.rounds)
        wall_ms = [1000 * answer["wall"] / num_clips for answer in self.rounds]
        low, median, high = statistics.quantiles(cpu_ms, n=4, method="inclusive")
        return Timing(
            way=self.name,
            median_ms=median,
            low_ms=low,
            high_ms=high,
            wall_ms=statistics.median(wall_ms),
        )

    def _answer(self) -> dict[str, float] | None:
        line = self._process.stdout.readline() if self._process.stdout else ""
        return json.loads(line) if line else None

    def _last_words(self) -> str:
        self._process.communicate()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return lines[-1].replace(self._folder, "")[:160] if lines else "ended without a word"


def make_clips(num_clips: int, folder: Path) -> None:
    """Write the first clips of the sample as 44.1 kHz mono WAV and as stereo M4A of 128 kbit/s."""
    (folder / "wav").mkdir()
    (folder / "m4a").mkdir()
    paths = sorted(SAMPLE.iterdir())
    for path in paths[:: max(len(paths) // num_clips, 1)][:num_clips]:
        wave_T, rate = soundfile.read(path, dtype="float32")
        wave_T = soxr.resample(wave_T, rate, SOURCE_RATE_HZ) if rate != SOURCE_RATE_HZ else wave_T
        pcm_T = np.zeros(CLIP_SAMPLES, np.int16)
        fitted_T = np.clip(wave_T[:CLIP_SAMPLES] * 32768, -32768, 32767).astype(np.int16)
        pcm_T[: len(fitted_T)] = fitted_T
        soundfile.write(folder / "wav" / f"{path.stem}.wav", pcm_T, SOURCE_RATE_HZ)
        (folder / "m4a" / f"{path.stem}.m4a").write_bytes(_m4a(pcm_T))


def _m4a(pcm_T: Pcm) -> bytes:
    stereo_CT = np.stack([pcm_T, np.roll(pcm_T, 11)])
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(stereo_CT.T).reshape(1, -1), format="s16", layout="stereo"
    )
    frame.sample_rate, frame.pts = SOURCE_RATE_HZ, 0
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=SOURCE_RATE_HZ, layout="stereo", bit_rate=128_000)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return sink.getvalue()


@contextlib.contextmanager
def peer_python(folder: Path | None) -> Iterator[str | None]:
    """Yield the Python of an environment with the peers' packages; None if it can't be made."""
    with tempfile.TemporaryDirectory() as temporary:
        target = folder or Path(temporary) / "peers"
        python = target / "bin" / "python"
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if not python.exists():
            if uv is None:
                print("no peers but the installed ones: uv is not there")
                yield None
                return
            print(f"making an environment for {', '.join(PEER_PACKAGES)}", flush=True)
            make = [uv, "venv", "--quiet", "--python", sys.executable, str(target)]
            install = [uv, "pip", "install", "--quiet", "--python", str(python), *PEER_PACKAGES]
            done = [subprocess.run(command, check=False).returncode for command in (make, install)]
            if any(done):
                print("no peers but the installed ones: their packages don't install")
                yield None
                return
        yield str(python)


def compare(
    clips: Path, out: Path, *, python: str | None, num_rounds: int, core: int
) -> tuple[list[Timing], dict[str, str]]:
    """Time every way on one kind of file; return the timings and why some are left out."""
    num_clips = len(list(clips.iterdir()))
    ways, left_out = [], {}
    for number, name in enumerate(WAYS):
        if name.startswith("ffmpeg") and shutil.which("ffmpeg") is None:
            left_out[name] = "no ffmpeg program"
            continue
        interpreter = sys.executable if name == OURS else python or sys.executable
        way = Way(name, interpreter, clips, out / f"{clips.name}-{number}", core=core)
        if way.problem:
            left_out[name] = way.problem
        else:
            ways.append(way)
    for number in range(num_rounds):
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            way.run()
    for way in ways:
        way.close()
    return [way.timing(num_clips) for way in ways], left_out


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument(
        "--peers", type=Path, help="folder of the peers' environment, made if absent"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    timings: dict[str, list[Timing]] = {}
    stages: dict[str, list[Stage]] = {}
    left_out: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder, peer_python(arguments.peers) as python:
        root = Path(folder)
        make_clips(arguments.clips, root)
        for kind in ("wav", "m4a"):
            timings[kind], left_out[kind] = compare(
                root / kind, root, python=python, num_rounds=arguments.rounds, core=arguments.core
            )
            os.sched_setaffinity(0, {arguments.core})
            stages[kind] = measure_stages(sorted((root / kind).iterdir()), arguments.rounds)
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        scaling = measure_scaling(root / "wav", root, python=python, num_rounds=arguments.rounds)
    report = Report(
        machine=machine(),
        command="python -m benchmarks.ingest "
        f"--clips {arguments.clips} --rounds {arguments.rounds}",
        load=os.getloadavg()[1],
        timings={kind: [asdict(row) for row in rows] for kind, rows in timings.items()},
        left_out=left_out,
        stages={kind: [asdict(row) for row in rows] for kind, rows in stages.items()},
        scaling=[asdict(row) for row in scaling],
    )
    write_report(report, arguments.out)


def measure_scaling(
    clips: Path, out: Path, *, python: str | None, num_rounds: int
) -> list[Scaling]:
    """Time a pass of one process alone, and of two at once on two cores.

    Of ours, and of a peer in the same rounds: two processes share nothing but the machine, so what
    the peer's two lack of twice the clips is the machine's doing.
    """
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        return []
    pairs = {
        name: [
            Way(name, interpreter, clips, out / f"scale-{name[:9]}-{core}", core=core)
            for core in cores
        ]
        for name, interpreter in ((OURS, sys.executable), (PEER, python or sys.executable))
    }
    pairs = {name: pair for name, pair in pairs.items() if not any(way.problem for way in pair)}
    alone: dict[str, list[float]] = {name: [] for name in pairs}
    together: dict[str, list[float]] = {name: [] for name in pairs}
    for _ in range(num_rounds):
        for name, pair in pairs.items():
            alone[name] += [_wall(pair[:1]), _wall(pair[1:])]
            together[name].append(_wall(pair))
    for way in itertools.chain.from_iterable(pairs.values()):
        way.close()
    return [
        Scaling(
            way=name,
            one_core_seconds=statistics.median(alone[name]),
            two_cores_seconds=statistics.median(together[name]),
        )
        for name in pairs
    ]


def _wall(ways: Sequence[Way]) -> float:
    started = time.perf_counter()
    threads = [threading.Thread(target=way.run) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
