"""The front ends on a CUDA device; float32 there, float64 inside on the CPU."""

import pytest
import torch

from loader.features import LogMel, Mfcc, MfccConfig, presets, sliding_cmvn
from tests.loader.features.waves import structured_wave_T

pytestmark = pytest.mark.gpu


def batch(sample_rate_hz: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [structured_wave_T(sample_rate_hz, seed=seed) for seed in range(3)]
    wave_BT = torch.stack([torch.from_numpy(row * 32767).to(torch.int16) for row in rows])
    return wave_BT, torch.tensor([wave_BT.shape[1], wave_BT.shape[1] // 2 + 11, 0])


def front_end(name: str) -> LogMel | Mfcc:
    is_mfcc = isinstance(presets()[name].config, MfccConfig)
    return Mfcc.preset(name) if is_mfcc else LogMel.preset(name)


def rate(module: LogMel | Mfcc) -> int:
    config = module.config
    return (config.log_mel if isinstance(config, MfccConfig) else config).sample_rate_hz


@pytest.mark.parametrize("name", list(presets()))
def test_every_preset_gives_on_cuda_what_it_gives_on_a_cpu(name: str) -> None:
    module = front_end(name)
    wave_BT, num_samples_B = batch(rate(module))
    expected_BMF = module(wave_BT, num_samples_B)
    module = module.cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        mel_BMF = module(wave_BT.cuda(), num_samples_B)
    assert mel_BMF.dtype == torch.float32
    torch.testing.assert_close(mel_BMF.cpu(), expected_BMF, rtol=0, atol=1e-2)


def test_tf32_flags_change_nothing_on_cuda() -> None:
    wave_BT, num_samples_B = (value.cuda() for value in batch(32000))
    module = LogMel.preset("panns").cuda()
    expected_BMF = module(wave_BT, num_samples_B)
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        mel_BMF = module(wave_BT, num_samples_B)
    finally:
        torch.set_float32_matmul_precision(precision)
    torch.testing.assert_close(mel_BMF, expected_BMF, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["ast", "panns", "nemo", "clap", "kaldi-xvector"])
def test_a_cuda_graph_replays_on_new_samples_and_lengths(name: str) -> None:
    module = front_end(name).cuda()
    wave_BT, num_samples_B = (value.cuda() for value in batch(rate(module)))
    static_BT, static_B = torch.zeros_like(wave_BT), torch.full_like(num_samples_B, 4000)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        module(static_BT, static_B)  # plans of the FFT are made outside of the capture
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result_BMF = module(static_BT, static_B)
    static_BT.copy_(wave_BT)
    static_B.copy_(num_samples_B)
    graph.replay()
    torch.testing.assert_close(result_BMF, module(wave_BT, num_samples_B), rtol=0, atol=1e-5)


def test_nothing_waits_for_the_device() -> None:
    module = LogMel.preset("ecapa").cuda()
    wave_BT, num_samples_B = (value.cuda() for value in batch(16000))
    module(wave_BT, num_samples_B)
    torch.cuda.set_sync_debug_mode("error")
    try:
        mel_BMF = module(wave_BT, num_samples_B)
        sliding_cmvn(mel_BMF, module.config.num_frames_B(num_samples_B))
    finally:
        torch.cuda.set_sync_debug_mode("default")
