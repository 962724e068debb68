from types import SimpleNamespace

import pytest
import torch

from jobs import step_report
from jobs.step_report import StepReport
from loader import World
from tests.loader.fake_cuda import DEVICE, fake_cuda, no_waiting_copies, on_cuda


def test_report_holds_the_loss_and_whether_to_stop() -> None:
    for is_told in (False, True):
        report = StepReport(torch.tensor(2.5), is_told=is_told, world=World())
        assert report.read() == (2.5, is_told)


class FakeEvent:
    """Remembers what was asked of it."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    def record(self, stream: str) -> None:
        self.calls.append(f"record on {stream}")

    def synchronize(self) -> None:
        self.calls.append("wait")


def test_on_cuda_nothing_waits_until_the_report_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(step_report, "_cuda", SimpleNamespace(Event=lambda: FakeEvent(calls)))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    with fake_cuda():
        loss = on_cuda(torch.zeros(()))
        with no_waiting_copies():
            report = StepReport(loss, is_told=True, world=World())
    assert report._values.device.type == "cpu"
    # Behind the copy: reading waits for what was queued before it, not for the steps after it.
    assert calls == [f"record on stream of {DEVICE}"]
    report._values = torch.tensor([0.5, 1.0])
    assert report.read() == (0.5, True)
    assert calls[1:] == ["wait"]


@pytest.mark.gpu
def test_a_report_on_cuda_can_be_read_while_the_next_step_runs() -> None:
    big = torch.randn(8192, 8192, device="cuda")
    report = StepReport(big.new_full((), 1.5), is_told=False, world=World())
    for _ in range(50):
        big = (big @ big).clamp(-1, 1)
    done = torch.cuda.Event()
    done.record()
    assert report.read() == (1.5, False)
    assert not done.query()
