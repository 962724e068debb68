"""The Dockerfile and the scripts, checked by the linters of their languages, and run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shardwriter.manifest import load_manifest
from shardwriter.storage import open_store
from tests.docker.manifests import DOCKER
from tests.jobs.builders import real_source

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
        **dict.fromkeys(commands, f'echo "$(basename "$0") $*" >> "{folder}/calls"\necho node0\n'),
    }.items():
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(0o755)
    return os.environ | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


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
