"""The Dockerfile and the scripts, checked by the linters of their languages, and run."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from shardwriter.manifest import load_manifest
from shardwriter.storage import open_store
from tests.docker.manifests import DOCKER
from tests.jobs.builders import make_tones, real_source
from tests.s3.weed import free_ports

SCRIPTS = [*sorted((DOCKER / "slurm").glob("*.sbatch")), DOCKER / "image.sh"]


def linter(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def test_the_dockerfile_is_clean_by_hadolint() -> None:
    done = subprocess.run(
        [linter("hadolint"), str(DOCKER / "Dockerfile")],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_clean_by_shellcheck(script: Path) -> None:
    done = subprocess.run(
        [linter("shellcheck"), "--shell", "bash" if script.suffix else "sh", str(script)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


def slurm(folder: Path, *commands: str) -> dict[str, str]:
    """An environment in which Slurm's commands exist: `srun` runs what it is given."""
    for name, script in {
        "srun": 'while [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n',
        **dict.fromkeys(
            commands, f'echo "$(basename "$0") $*" >> "{folder}/calls"\necho 127.0.0.1\n'
        ),
    }.items():
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(0o755)
    return os.environ | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize("name", ["ingest.sbatch", "train.sbatch"])
def test_steps_get_the_cores_of_the_job_since_slurm_no_longer_passes_them_on(name: str) -> None:
    script = (DOCKER / "slurm" / name).read_text()
    steps = [line for line in script.splitlines() if re.match(r"(exec )?srun ", line)]
    assert len(steps) == 1
    assert '--cpus-per-task="$SLURM_CPUS_PER_TASK"' in steps[0]


def test_an_array_of_three_tasks_makes_one_dataset(tmp_path: Path) -> None:
    source = real_source(tmp_path / "source", clips_per_fold=2)
    environment = slurm(tmp_path) | {
        "MELSTREAM": f"{sys.executable} -m jobs.cli",
        "SLURM_ARRAY_TASK_MAX": "3",
        "SLURM_CPUS_PER_TASK": "1",
    }
    for task in ("3", "1", "2"):
        done = subprocess.run(
            ["bash", str(DOCKER / "slurm" / "ingest.sbatch"), "esc50", "--subset", "esc10",
             "--source", str(source), "--out", str(tmp_path / "out")],
            check=False, capture_output=True, text=True, timeout=120,
            env=environment | {"SLURM_ARRAY_TASK_ID": task},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    manifest = load_manifest(open_store(str(tmp_path / "out")))
    assert sum(shard.num_samples for shard in manifest.shards) == 10
    assert len({shard.tar.split("-")[1] for shard in manifest.shards}) == 3  # a lane for each part


def _end_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_training_that_is_preempted_requeues_itself_and_goes_on(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = make_tones(tmp_path / "tones")
    out = tmp_path / "run"
    flags = ["--folds", "1,2", "--eval-fold", "3", "--batch-size", "8", "--crop-seconds", "0.7"]
    environment = slurm(tmp_path, "scontrol") | {
        "TORCHRUN": f"{sys.executable} -m torch.distributed.run --local-addr 127.0.0.1",
        "OUT": str(out),
        "SLURM_NNODES": "1",
        "SLURM_GPUS_ON_NODE": "2",
        "SLURM_CPUS_PER_TASK": "2",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "node0",
    }

    def start(*more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["bash", str(DOCKER / "slurm" / "train.sbatch"), url, *flags, *more],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment | {"MASTER_PORT": str(free_ports(1)[0]), "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )  # fmt: skip
        request.addfinalizer(partial(_end_group, process))
        return process

    process = start("--epochs", "100000", "--checkpoint-steps", "5")
    deadline = time.monotonic() + 120
    while not (out / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "preempted, back into the queue" in printed, printed
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "scontrol requeue 7"

    environment["SLURM_RESTART_COUNT"] = "1"
    again = start("--epochs", "100000", "--checkpoint-steps", "5")
    time.sleep(0.1)
    while (out / "preempted").exists():
        assert again.poll() is None, again.communicate()[0]
        assert time.monotonic() < deadline + 120
        time.sleep(0.05)
    again.send_signal(signal.SIGTERM)
    printed, _ = again.communicate(timeout=120)
    assert "going on after step" in printed, printed
