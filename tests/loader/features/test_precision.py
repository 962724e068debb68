from collections.abc import Iterator

import pytest
import torch

from loader.features import LogMel, Mfcc, MfccConfig, presets, sliding_cmvn
from loader.features.fused import FusedLogMel
from loader.features.mel_product import split_product, tf32_part
from loader.features.spectrogram import MelSpectrum
from tests.loader.features.waves import batch_BT, structured_wave_T


def test_the_precision_set_for_matrix_products_changes_nothing() -> None:
    wave_BT = batch_BT(structured_wave_T(16000))
    modules = [LogMel.preset("panns-16k"), LogMel.preset("ast"), Mfcc.preset("matchboxnet")]
    expected = [module(wave_BT) for module in modules]
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        got = [module(wave_BT) for module in modules]
    finally:
        torch.set_float32_matmul_precision(before)
    for got_BMF, expected_BMF in zip(got, expected, strict=True):
        torch.testing.assert_close(got_BMF, expected_BMF, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_default_dtype_changes_nothing(dtype: torch.dtype) -> None:
    wave_BT = batch_BT(structured_wave_T(16000))

    def features() -> list[torch.Tensor]:
        modules = [LogMel.preset("ast"), LogMel.preset("nemo"), Mfcc.preset("kaldi-xvector")]
        tables = FusedLogMel.preset("ast")
        return [*(module(wave_BT) for module in modules), tables.twiddles, tables.turns]

    expected = features()
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        got = features()
    finally:
        torch.set_default_dtype(before)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_the_parts_of_a_split_product_are_held_by_tf32_without_rounding() -> None:
    values = torch.randn(1000) * 10.0 ** torch.randint(-20, 20, (1000,))
    high = tf32_part(values)
    assert (high.view(torch.int32) & 0x1FFF == 0).all()
    rest = values - high
    assert (high + rest == values).all()
    assert (rest.abs() <= values.abs() * 2**-10).all()


def test_a_split_product_stays_exact_where_the_device_rounds_its_inputs_to_tf32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    power = torch.rand(50, 513) ** 8
    bank = torch.rand(513, 64)
    exact = power.double() @ bank.double()
    plain = torch.Tensor.__matmul__

    def rounding(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return plain(tf32_part(left), tf32_part(right))

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounding)
    rounded_error = ((power @ bank).double() / exact - 1).abs().max()
    split_error = (split_product(power, bank).double() / exact - 1).abs().max()
    assert rounded_error > 1e-4
    assert split_error < 2e-6


def test_a_split_product_has_the_gradient_of_the_product() -> None:
    left = torch.rand(5, 7, requires_grad=True)
    right = torch.rand(7, 3)
    split_product(left, right).sum().backward()
    assert left.grad is not None
    torch.testing.assert_close(left.grad, right.sum(dim=1).expand(5, 7))


@pytest.mark.parametrize("name", ["panns", "ast", "vggish", "kaldi-xvector"])
def test_blocks_give_what_all_frames_at_once_give(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = presets()[name].config
    module = LogMel(config.log_mel if isinstance(config, MfccConfig) else config)
    wave_BT = batch_BT(*(structured_wave_T(16000, seed=seed) for seed in range(3)))
    lengths_B = torch.tensor([32000, 17000, 1500])
    in_blocks_BMF = module(wave_BT, lengths_B)
    monkeypatch.setattr(MelSpectrum, "in_blocks", MelSpectrum.at_once)
    monkeypatch.setattr("loader.features.logmel._PART_SAMPLES", 10**9)
    torch.testing.assert_close(module(wave_BT, lengths_B), in_blocks_BMF, rtol=0, atol=1e-5)


@pytest.fixture
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


# Together they have every kind of step.
@pytest.mark.parametrize("name", ["ast", "clap", "nemo", "ecapa", "yamnet", "kaldi-xvector"])
@pytest.mark.usefixtures("_fresh_compiler")
def test_a_preset_compiles_into_one_graph_without_looking_at_values(name: str) -> None:
    # aot_eager traces with tensors that have no values: a host that waits for one fails here.
    is_mfcc = isinstance(presets()[name].config, MfccConfig)
    module = Mfcc.preset(name) if is_mfcc else LogMel.preset(name)
    wave_BT = batch_BT(*(structured_wave_T(16000, num_samples=17000, seed=s) for s in range(2)))
    lengths_B = torch.tensor([17000, 9000])
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True, dynamic=False)
    torch.testing.assert_close(
        compiled(wave_BT, lengths_B), module(wave_BT, lengths_B), rtol=0, atol=1e-4
    )


def test_sliding_cmvn_compiles_into_one_graph() -> None:
    x_BMF = torch.randn(2, 5, 400)
    lengths_B = torch.tensor([400, 150])
    compiled = torch.compile(sliding_cmvn, backend="aot_eager", fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(x_BMF, lengths_B), sliding_cmvn(x_BMF, lengths_B))


@pytest.mark.parametrize("name", ["vggish", "ecapa", "nemo", "ast"])
def test_the_gradient_of_silence_is_finite(name: str) -> None:
    wave_BT = torch.zeros(1, 32000, requires_grad=True)
    LogMel.preset(name)(wave_BT).sum().backward()
    assert wave_BT.grad is not None
    assert wave_BT.grad.isfinite().all()
