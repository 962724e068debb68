"""SIGTERM and SIGUSR1 to a real `torchrun` of two processes that stream and train."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs import cli
from jobs.checkpoint import load_checkpoint
from jobs.preemption import EXIT_PREEMPTED, MARKER_NAME, stop_requests
from jobs.results import load_result

TIMEOUT_SECONDS = 120
STEPS_PER_EPOCH = 3  # 22 clips, 8 a step, the rest dropped
FOREVER = 100_000


def arguments_for(url: str, out: Path, *more: str) -> list[str]:
    options = ["--folds", "1,2", "--eval-fold", "3", "--batch-size", "8", "--crop-seconds", "0.7"]
    return ["train", url, *options, "--out", str(out), "--resume-if-there", *more]


def command(url: str, out: Path, *more: str, launcher: tuple[str, ...] = ()) -> list[str]:
    started_by = [sys.executable, "-m", *(launcher or ("jobs.cli",))]
    return [*started_by, *arguments_for(url, out, *more)]


def torchrun(num_processes: int, *more: str) -> tuple[str, ...]:
    options = ("--standalone", "--local-addr", "127.0.0.1", *more)
    return (
        *("torch.distributed.run", *options, "--nproc-per-node", str(num_processes)),
        *("-m", "jobs.cli"),
    )


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.05)


def stop(process: subprocess.Popen[str], number: signal.Signals) -> str:
    process.send_signal(number)
    output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    return output


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGUSR1]
)
def test_two_processes_that_are_told_to_stop_leave_a_checkpoint_and_one_goes_on(
    tones_url: str, tmp_path: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    handled = "--signals-to-handle=SIGTERM,SIGINT,SIGUSR1"
    endless = ["--epochs", str(FOREVER), "--checkpoint-steps", "2"]
    launcher = torchrun(2, handled)
    process = start(command(tones_url, tmp_path, *endless, launcher=launcher))
    try:
        wait_for(tmp_path / "checkpoint.pt", process)
        output = stop(process, number)
    finally:
        process.kill()
    assert process.returncode != 0
    marker = json.loads((tmp_path / MARKER_NAME).read_text())
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt")
    step = marker["step"]
    assert 2 < step == checkpoint.step < marker["num_steps"] == FOREVER * STEPS_PER_EPOCH
    assert len(checkpoint.history["losses"]) == step
    position = STEPS_PER_EPOCH * checkpoint.loader["epoch"] + checkpoint.loader["cursor"] // 8
    assert position == step
    assert f"stopped behind step {step} of {FOREVER * STEPS_PER_EPOCH}" in output

    # One process goes on from there to the end of the epoch, and the marker is gone.
    epochs = step // STEPS_PER_EPOCH + 1
    assert cli.main(arguments_for(tones_url, tmp_path, "--epochs", str(epochs))) == 0
    assert f"going on after step {step}" in capsys.readouterr().out
    assert not (tmp_path / MARKER_NAME).exists()
    losses = load_result(tmp_path).losses
    assert len(losses) == epochs * STEPS_PER_EPOCH
    assert list(losses[:step]) == checkpoint.history["losses"]


def test_process_of_its_own_that_is_told_to_stop_ends_with_its_own_status(
    tones_url: str, tmp_path: Path
) -> None:
    process = start(
        command(tones_url, tmp_path, "--epochs", str(FOREVER), "--checkpoint-steps", "2")
    )
    try:
        wait_for(tmp_path / "checkpoint.pt", process)
        output = stop(process, signal.SIGTERM)
    finally:
        process.kill()
    assert process.returncode == EXIT_PREEMPTED == 85, output
    assert "(SIGTERM)" in output
    assert (tmp_path / MARKER_NAME).exists()


def test_signals_are_caught_inside_only() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with stop_requests() as stop:
        assert not stop.is_set
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0)
        assert stop.is_set
        assert stop.signal_name == "SIGUSR1"
    assert signal.getsignal(signal.SIGUSR1) is before
