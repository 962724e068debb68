"""The examples run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.builders import make_tones

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tones(tmp_path_factory.mktemp("examples") / "dataset")


def run(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain_ddp_loop_takes_the_same_steps_on_both_ranks(url: str, tmp_path: Path) -> None:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    script = str(EXAMPLES / "ddp.py")
    printed = run(*launcher, "--nproc-per-node", "2", script, url, folder=tmp_path)
    lines = re.findall(r"rank (\d): epoch (\d), 4 steps, loss \d", printed)
    assert sorted(lines) == [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]


def test_trainer_of_hugging_face_takes_its_steps_with_ast(url: str, tmp_path: Path) -> None:
    printed = run(str(EXAMPLES / "hf_trainer.py"), url, folder=tmp_path)
    loss = re.search(r"^4 steps, loss (\d\.\d+)$", printed, re.M)
    assert loss is not None, printed
    assert 0.5 < float(loss[1]) < 2.5
