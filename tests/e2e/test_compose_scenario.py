"""The services of `docker/compose.yaml` as processes: S3 server, ingest into it, training from it.

The training is killed in the middle, all its processes at once, and goes on.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.jobs.builders import real_source
from tests.s3.weed import ACCESS_KEY, SECRET_KEY, running_weed

pytestmark = pytest.mark.slow

BUCKET = "melstream"
TIMEOUT_SECONDS = 240
NUM_STEPS = 24  # 32 clips, 8 a step, 6 epochs


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The flags that lead to an S3 server with one bucket."""
    with running_weed(tmp_path_factory.mktemp("weed")) as port:
        endpoint = f"http://127.0.0.1:{port}"
        boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        ).create_bucket(Bucket=BUCKET)
        yield ["--endpoint-url", endpoint]


def environment() -> dict[str, str]:
    return os.environ | {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "OMP_NUM_THREADS": "1",
    }


def training(url: str, server: list[str], out: Path, *flags: str) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launcher += ["--local-addr", "127.0.0.1", "--nproc-per-node", "2", "-m", "jobs.cli"]
    choices = ["--folds", "1-4", "--eval-fold", "5", "--epochs", "6", "--batch-size", "8"]
    choices += ["--checkpoint-steps", "4", "--out", str(out)]
    return [*launcher, "train", url, *server, *choices, *flags]


def run(command: list[str]) -> None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=TIMEOUT_SECONDS,
        env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def kill_behind_a_checkpoint(command: list[str], checkpoint: Path) -> None:
    """Start a training, and kill all its processes as soon as it has saved one."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(),
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not checkpoint.exists() and time.monotonic() < deadline:
            assert process.poll() is None, "the training ended before it was killed"
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_training_from_s3_that_was_killed_ends_like_one_that_was_not(
    server: list[str], tmp_path: Path
) -> None:
    url = f"s3://{BUCKET}/esc10"
    source = real_source(tmp_path / "source", clips_per_fold=8)
    ingest = ["ingest", "esc50", "--subset", "esc10", "--source", str(source), "--out", url]
    run([sys.executable, "-m", "jobs.cli", *ingest, *server, "--shard-clips", "7"])
    run([sys.executable, "-m", "jobs.cli", "verify", url, *server])

    run(training(url, server, tmp_path / "whole"))
    cut = tmp_path / "cut"
    kill_behind_a_checkpoint(training(url, server, cut), cut / "checkpoint.pt")
    assert not (cut / "result.json").exists()
    run(training(url, server, cut, "--resume-if-there"))

    whole, resumed = (
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "cut")
    )
    assert len(whole["losses"]) == len(resumed["losses"]) == NUM_STEPS
    assert resumed["losses"] == pytest.approx(whole["losses"], rel=1e-4)
    assert [row["key"] for row in resumed["predictions"]] == [
        row["key"] for row in whole["predictions"]
    ]
