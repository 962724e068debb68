from itertools import islice

import pytest
import torch

from loader import AudioBatch, LoaderConfig, ShardLoader, World
from loader.device_pipeline import DevicePipeline
from loader.feature_batch import FeatureBatch
from loader.features import LogMel, LogMelConfig
from loader.side_stream import DevicePipelineStats
from tests.jobs.builders import TONE_HZ, make_tones

CPU = torch.device("cpu")
STEPS = 8  # 33 clips, 4 a step


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tones(tmp_path_factory.mktemp("pipeline") / "dataset")


class Features:
    """Log-mels; remembers the epochs that it was told."""

    def __init__(self, device: torch.device) -> None:
        self.log_mel = LogMel(LogMelConfig(sample_rate_hz=TONE_HZ, n_fft=512, max_hz=4000.0))
        self.log_mel.to(device)
        self.device = device
        self.epochs: list[int] = []

    def __call__(self, batch: AudioBatch, epoch: int) -> FeatureBatch:
        self.epochs.append(epoch)
        batch = batch.to(self.device, non_blocking=True)
        return FeatureBatch(
            mel_BMF=self.log_mel(batch.wave_BT, batch.num_samples_B),
            num_frames_B=self.log_mel.config.num_frames_B(batch.num_samples_B),
            **batch.label_fields(),
        )


def pipeline_for(
    url: str, *, device: torch.device = CPU, depth: int = 1
) -> tuple[DevicePipeline, Features]:
    config = LoaderConfig(url=url, split="train", batch_size=4, crop_seconds=0.5)
    features = Features(device)
    loader = ShardLoader(config, world=World())
    return DevicePipeline(loader, features, device=device, depth=depth), features


def keys_of(url: str, num_epochs: int) -> list[tuple[str, ...]]:
    loader = ShardLoader(LoaderConfig(url=url, split="train", batch_size=4, crop_seconds=0.5))
    return [batch.keys for _ in range(num_epochs) for batch in loader]


def check_state_follows_the_step(url: str, device: torch.device, depth: int) -> None:
    """At every step of two epochs: the position is that behind the batch in hand."""
    expected = keys_of(url, 2)
    pipeline, features = pipeline_for(url, device=device, depth=depth)
    states, place = [], 0
    for epoch in range(2):
        for batch in pipeline:
            assert batch.keys == expected[place]
            assert (pipeline.epoch, pipeline.steps_remaining) == (epoch, 7 - place % STEPS)
            states.append(pipeline.state_dict())
            place += 1
    assert place == 2 * STEPS
    assert features.epochs == [0] * STEPS + [1] * STEPS
    for done, state in enumerate(states[:STEPS], start=1):
        resumed, _ = pipeline_for(url, device=device, depth=depth)
        resumed.load_state_dict(state)
        assert [batch.keys for batch in resumed] == expected[done:STEPS]
        assert [batch.keys for batch in resumed] == expected[STEPS:]


def test_position_is_that_behind_the_batch_in_hand(url: str) -> None:
    check_state_follows_the_step(url, CPU, 1)


def test_loop_that_was_left_goes_on_with_the_next_batch(url: str) -> None:
    expected = keys_of(url, 2)
    pipeline, _ = pipeline_for(url)
    assert [batch.keys for batch in islice(pipeline, 3)] == expected[:3]
    assert [batch.keys for batch in pipeline] == expected[3:STEPS]
    assert [batch.keys for batch in pipeline] == expected[STEPS:]


def test_features_are_those_of_a_plain_call(url: str) -> None:
    pipeline, features = pipeline_for(url)
    loader = ShardLoader(LoaderConfig(url=url, split="train", batch_size=4, crop_seconds=0.5))
    for made, batch in zip(pipeline, loader, strict=True):
        assert torch.equal(made.mel_BMF, features.log_mel(batch.wave_BT, batch.num_samples_B))
        assert torch.equal(made.target_BK, batch.target_BK)


def test_on_a_cpu_there_is_no_overlap_to_report(url: str) -> None:
    pipeline, _ = pipeline_for(url)
    assert len(list(pipeline)) == STEPS
    assert pipeline.stats() == DevicePipelineStats()
    assert pipeline.stats().overlap is None


def test_overlap_is_the_share_of_the_side_stream_that_no_step_waited_for() -> None:
    stats = DevicePipelineStats(num_batches=2, side_seconds=0.4, exposed_seconds=0.1)
    assert stats.overlap == pytest.approx(0.75)


def test_depth_below_one_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="depth must be at least 1, got 0"):
        pipeline_for(url, depth=0)


@pytest.mark.gpu
@pytest.mark.parametrize("depth", [1, 3])
def test_position_on_cuda_is_that_behind_the_batch_in_hand(url: str, depth: int) -> None:
    check_state_follows_the_step(url, torch.device("cuda"), depth)


@pytest.mark.gpu
def test_loop_that_was_left_on_cuda_goes_on_with_the_next_batch(url: str) -> None:
    expected = keys_of(url, 1)
    pipeline, _ = pipeline_for(url, device=torch.device("cuda"), depth=2)
    assert [batch.keys for batch in islice(pipeline, 3)] == expected[:3]
    assert [batch.keys for batch in pipeline] == expected[3:]


@pytest.mark.gpu
def test_features_on_cuda_are_those_of_the_cpu_and_their_time_is_measured(url: str) -> None:
    on_gpu, _ = pipeline_for(url, device=torch.device("cuda"))
    on_cpu, _ = pipeline_for(url)
    weight = torch.randn(4096, 4096, device="cuda")
    for here, there in zip(on_cpu, on_gpu, strict=True):
        for _ in range(5):
            weight = (weight @ weight).clamp(-1, 1)  # a step that takes the device's time
        torch.testing.assert_close(there.mel_BMF.cpu(), here.mel_BMF, atol=1e-2, rtol=0)
        assert there.keys == here.keys
    torch.cuda.synchronize()
    stats = on_gpu.stats()
    assert stats.num_batches == STEPS
    assert stats.side_seconds > 0
    assert stats.overlap is not None
    assert 0 <= stats.overlap <= 1
