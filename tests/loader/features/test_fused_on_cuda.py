"""The fused kernel on a CUDA device beside the plain path on a CPU, which computes in float64."""

import math

import pytest
import torch

from loader.augment import units_per_db
from loader.features.fused import FusedLogMel
from tests.loader.features.test_fused import FUSABLE
from tests.loader.features.test_on_cuda import batch

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("name", FUSABLE)
def test_every_preset_gives_what_the_plain_path_gives(name: str) -> None:
    module = FusedLogMel.preset(name)
    config = module.config
    int16_BT, num_samples_B = batch(config.sample_rate_hz)
    units = 1e-2 * units_per_db(
        log_factor=config.log_factor, std=config.std, of_magnitude=config.magnitude
    )
    waves = [int16_BT, int16_BT / 32768, (int16_BT / 32768)[:, ::2], int16_BT[:, 3:]]
    expected = [module(wave_BT) for wave_BT in waves]
    expected_BMF = module(int16_BT, num_samples_B)
    module = module.cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        got = [module(wave_BT.cuda()) for wave_BT in waves]
        got_BMF = module(int16_BT.cuda(), num_samples_B)
    for whole_BMF, expected_whole_BMF in zip(got, expected, strict=True):
        assert whole_BMF.dtype == torch.float32
        torch.testing.assert_close(whole_BMF.cpu(), expected_whole_BMF, rtol=0, atol=units)
    torch.testing.assert_close(got_BMF.cpu(), expected_BMF, rtol=0, atol=units)


def test_what_is_not_a_number_stays_that() -> None:
    module = FusedLogMel.preset("panns").cuda()
    wave_BT = torch.zeros(2, 32000, device="cuda")
    wave_BT[1, 16000] = math.nan
    mel_BMF = module(wave_BT)
    torch.testing.assert_close(mel_BMF[0], torch.full_like(mel_BMF[0], -100.0))
    assert mel_BMF[1, :, 50].isnan().all()
    assert mel_BMF[1, :, 0].isfinite().all()


def test_a_gradient_takes_the_plain_path() -> None:
    wave_BT = torch.randn(1, 16000, device="cuda", requires_grad=True)
    FusedLogMel.preset("panns").cuda()(wave_BT).sum().backward()
    assert wave_BT.grad is not None
    assert wave_BT.grad.isfinite().all()


def test_a_cuda_graph_replays_on_new_samples_and_lengths() -> None:
    module = FusedLogMel.preset("ast").cuda()
    wave_BT, num_samples_B = (value.cuda() for value in batch(16000))
    static_BT, static_B = torch.zeros_like(wave_BT), torch.full_like(num_samples_B, 4000)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        module(static_BT, static_B)  # compiled outside of the capture
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result_BMF = module(static_BT, static_B)
    static_BT.copy_(wave_BT)
    static_B.copy_(num_samples_B)
    graph.replay()
    torch.testing.assert_close(result_BMF, module(wave_BT, num_samples_B), rtol=0, atol=0)


def test_nothing_waits_for_the_device() -> None:
    module = FusedLogMel.preset("panns").cuda()
    wave_BT, num_samples_B = (value.cuda() for value in batch(32000))
    module(wave_BT, num_samples_B)
    torch.cuda.set_sync_debug_mode("error")
    try:
        module(wave_BT, num_samples_B)
    finally:
        torch.cuda.set_sync_debug_mode("default")
