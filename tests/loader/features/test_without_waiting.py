"""Features on CUDA never ask the device for a value; followed without a card."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from loader.features import (
    LogMel,
    Mfcc,
    MfccConfig,
    Standardize,
    cmvn,
    deltas,
    presets,
    sliding_cmvn,
)
from tests.loader.fake_cuda import (
    DEVICE,
    fake_cuda,
    no_waiting_copies,
    on_cuda,
    with_fake_buffers,
)

# Its making looks at the statistics, which are on the host then.
STANDARDIZE = Standardize(torch.zeros(40), torch.ones(40))


@pytest.mark.parametrize("name", list(presets()))
@pytest.mark.parametrize("dtype", [torch.int16, torch.bfloat16])
def test_no_preset_waits_for_the_device(name: str, dtype: torch.dtype) -> None:
    config = presets()[name].config
    is_mfcc = isinstance(config, MfccConfig)
    module = Mfcc(config) if isinstance(config, MfccConfig) else LogMel(config)
    log_mel = module.config.log_mel if is_mfcc else module.config
    num_samples = 2 * log_mel.sample_rate_hz
    with fake_cuda():
        with_fake_buffers(module)
        wave_BT = on_cuda(torch.zeros(3, num_samples, dtype=dtype))
        lengths_B = on_cuda(torch.zeros(3, dtype=torch.int64))
        with no_waiting_copies():
            whole_BMF = module(wave_BT)
            mel_BMF = module(wave_BT, lengths_B)
    assert whole_BMF.shape == mel_BMF.shape
    assert {whole_BMF.device, mel_BMF.device} == {DEVICE}
    assert mel_BMF.dtype == torch.float32


@pytest.mark.parametrize(
    "normalise",
    [
        cmvn,
        sliding_cmvn,
        lambda x_BMF, num_B: sliding_cmvn(x_BMF, num_B, centred=False, with_std=True),
        lambda x_BMF, num_B: deltas(x_BMF, num_frames_B=num_B),
        lambda x_BMF, _: with_fake_buffers(STANDARDIZE)(x_BMF),
    ],
    ids=["cmvn", "sliding", "sliding behind", "deltas", "standardize"],
)
def test_no_normalisation_waits_for_the_device(
    normalise: Callable[[Tensor, Tensor], Tensor],
) -> None:
    with fake_cuda():
        x_BMF = on_cuda(torch.zeros(3, 40, 400))
        lengths_B = on_cuda(torch.zeros(3, dtype=torch.int64))
        with no_waiting_copies():
            result_BMF = normalise(x_BMF, lengths_B)
    assert (result_BMF.shape, result_BMF.device) == (x_BMF.shape, DEVICE)


@pytest.mark.parametrize(
    "wait",
    [
        lambda x_B: x_B[x_B > 0],
        lambda x_B: x_B.nonzero(),
        lambda x_B: x_B.sum().item(),
        lambda x_B: bool((x_B > 0).any()),
        lambda x_B: x_B.tolist(),
        lambda x_B: x_B + torch.ones(3),
        lambda x_B: x_B.cpu(),
        lambda _: torch.ones(3).to(DEVICE),
        lambda x_B: x_B.copy_(torch.ones(3)),
        lambda _: torch.tensor([1.0, 2.0], device=DEVICE),
    ],
    ids=[
        *("mask", "nonzero", "item", "if", "tolist", "of the host"),
        *("back", "there", "into", "new values"),
    ],
)
def test_waiting_would_be_noticed(wait: Callable[[Tensor], object]) -> None:
    with fake_cuda():
        x_B = on_cuda(torch.zeros(3))
        with no_waiting_copies(), pytest.raises(RuntimeError):
            wait(x_B)
