"""Positions of batches made ahead; a side that works at once stands in for the CUDA stream."""

from collections.abc import Callable
from itertools import islice

import pytest
import torch

from loader import AudioBatch, LoaderConfig, ShardLoader, World, device_pipeline
from loader.device_pipeline import DevicePipeline
from loader.feature_batch import FeatureBatch
from tests.jobs.builders import make_tones

STEPS = 8  # 33 clips, 4 a step


class SideAtOnce:
    """Makes features when it is told to, on the CPU."""

    def __init__(self, device: torch.device) -> None:
        del device

    def follow(self) -> None:
        pass

    def begin(self, make: Callable[[], FeatureBatch]) -> FeatureBatch:
        return make()

    def hand_over(self, begun: FeatureBatch) -> FeatureBatch:
        return begun


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tones(tmp_path_factory.mktemp("ahead") / "dataset")


@pytest.fixture(autouse=True)
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_pipeline, "SideStream", SideAtOnce)


def make_loader(url: str) -> ShardLoader:
    config = LoaderConfig(url=url, split="train", batch_size=4, crop_seconds=0.5)
    return ShardLoader(config, world=World())


def keys_alone(batch: AudioBatch, epoch: int) -> FeatureBatch:
    del epoch
    return FeatureBatch(
        mel_BMF=torch.zeros(len(batch), 1, 1),
        num_frames_B=torch.ones(len(batch), dtype=torch.int64),
        **batch.label_fields(),
    )


def make_pipeline(url: str, *, depth: int) -> DevicePipeline:
    device = torch.device("cuda")
    return DevicePipeline(make_loader(url), keys_alone, device=device, depth=depth)


@pytest.mark.parametrize("depth", [1, 2, 3, 20])
def test_a_loop_left_behind_any_batch_goes_on_with_the_next(url: str, depth: int) -> None:
    loader = make_loader(url)
    expected = [batch.keys for _ in range(2) for batch in loader]
    for num_taken in range(1, STEPS + 1):
        pipeline = make_pipeline(url, depth=depth)
        keys = [batch.keys for batch in islice(pipeline, num_taken)]
        assert pipeline.steps_remaining == STEPS - num_taken
        resumed = make_pipeline(url, depth=depth)
        resumed.load_state_dict(pipeline.state_dict())
        while len(keys) < 2 * STEPS:
            keys += [batch.keys for batch in pipeline]
        assert keys == expected
        rest = [batch.keys for _ in range(2) for batch in resumed]
        assert rest == expected[num_taken:]


@pytest.mark.parametrize(("device", "failing"), [("cuda", 0), ("cuda", 1), ("cpu", 0)])
def test_a_batch_that_fails_loses_none_of_those_not_handed_out(
    url: str, device: str, failing: int
) -> None:
    expected = [batch.keys for batch in make_loader(url)]
    failures = [RuntimeError("damaged")]

    def fail_once(batch: AudioBatch, epoch: int) -> FeatureBatch:
        if batch.keys == expected[failing] and failures:
            raise failures.pop()
        return keys_alone(batch, epoch)

    pipeline = DevicePipeline(make_loader(url), fail_once, device=torch.device(device))
    before = pipeline.state_dict()
    with pytest.raises(RuntimeError, match="damaged"):
        next(iter(pipeline))
    assert pipeline.state_dict() == before
    assert pipeline.steps_remaining == STEPS
    assert [batch.keys for batch in pipeline] == expected
