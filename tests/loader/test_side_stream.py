"""The order of work on streams, followed without a card: a fake one that notes what it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from loader import side_stream
from loader.feature_batch import FeatureBatch
from loader.side_stream import SideStream

DEVICE = torch.device("cuda:0")


class FakeCard:
    """Takes the place of `torch.cuda`; streams and events know what was done on them, in order."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []
        self.current = FakeStream(self, "current")

    def Stream(self, device: torch.device) -> "FakeStream":  # noqa: N802 - named as torch's
        assert device == DEVICE
        return FakeStream(self, "side")

    def Event(self, *, enable_timing: bool) -> "FakeEvent":  # noqa: N802 - named as torch's
        assert enable_timing
        return FakeEvent(self)

    def current_stream(self, device: torch.device) -> "FakeStream":
        assert device == DEVICE
        return self.current

    @contextmanager
    def stream(self, stream: "FakeStream") -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before


class FakeStream:
    def __init__(self, card: FakeCard, name: str) -> None:
        self.card, self.name = card, name

    def wait_stream(self, other: "FakeStream") -> None:
        self.card.done.append((self.name, "waits for", other.name))

    def wait_event(self, event: "FakeEvent") -> None:
        self.card.done.append((self.name, "waits for", event.place))


class FakeEvent:
    """Features take 4 ms, of which the step waits for 1 ms."""

    def __init__(self, card: FakeCard) -> None:
        self.card, self.place = card, ""

    def record(self, stream: FakeStream) -> None:
        self.place = f"{stream.name} {len(self.card.done)}"
        self.card.done.append((stream.name, "event"))

    def query(self) -> bool:
        return True

    def elapsed_time(self, other: "FakeEvent") -> float:
        return 4.0 if self.place.startswith("side") else 1.0


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> FakeCard:
    card = FakeCard()
    monkeypatch.setattr(side_stream, "_cuda", card)
    return card


def features_made_on(card: FakeCard) -> FeatureBatch:
    card.done.append((card.current.name, "features"))
    rows = torch.zeros(2, dtype=torch.int64)
    return FeatureBatch(
        keys=("a", "b"),
        target_BK=torch.zeros(2, 1),
        copy_B=rows,
        is_padding_B=rows > 0,
        mel_BMF=torch.zeros(2, 1, 1),
        num_frames_B=rows,
    )


@pytest.fixture
def kept_for(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The streams that tensors were kept for; on a CPU there is no `record_stream`."""
    streams: list[Any] = []
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda _, stream: streams.append(stream))
    return streams


def test_features_are_made_beside_the_steps_stream_which_waits_for_them(
    card: FakeCard, kept_for: list[Any]
) -> None:
    side = SideStream(DEVICE)
    begun = side.begin(lambda: features_made_on(card))
    side.hand_over(begun)
    assert card.done == [
        ("side", "event"),
        ("side", "features"),
        ("side", "event"),
        ("current", "event"),
        ("current", "waits for", "side 2"),
    ]
    assert [stream.name for stream in kept_for] == ["current"] * len(begun.features.tensors())


def test_the_side_stream_begins_behind_what_the_current_one_was_told(card: FakeCard) -> None:
    SideStream(DEVICE).follow()
    assert card.done == [("side", "waits for", "current")]


def test_events_are_let_go_of_though_nobody_asks_for_stats(
    card: FakeCard, kept_for: list[Any]
) -> None:
    side = SideStream(DEVICE)
    for _ in range(100):
        side.hand_over(side.begin(lambda: features_made_on(card)))
    assert len(side._timings) <= 1
    stats = side.stats()
    assert stats.num_batches == 100
    assert stats.side_seconds == pytest.approx(0.4)
    assert stats.overlap == pytest.approx(0.75)
