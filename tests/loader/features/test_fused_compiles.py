"""The fused kernel becomes machine code for cards that aren't here, and fits their registers."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from loader.features import LogMelConfig, presets
from loader.features.fused import FusedLogMel, kernel_constants, kernel_options
from loader.features.fused_kernel import log_mel_kernel

# Half the filters of a group: the compiler's time is for the rest of it.
SMALL = replace(LogMelConfig(), n_fft=512, sample_rate_hz=16000, max_hz=8000.0, num_mels=16)
FLOATS = ("preemphasis", "gain", "power_floor", "power_offset", "log_scale", "log_shift", "fill")
TABLES = ("mel_BMF", "window_N", "twiddles", "turns", "weights")
MANY_SPILLED_BYTES = 256


def compiled(config: LogMelConfig, compute_capability: int, wave: str) -> bytes:
    module = FusedLogMel(config)
    constants = {
        "num_samples_B": None,
        "num_frames_B": None,
        **kernel_constants(config, module._plan),
    }
    types = {
        **dict.fromkeys(log_mel_kernel.arg_names, "i32"),
        **dict.fromkeys(FLOATS, "fp32"),
        **dict.fromkeys(TABLES, "*fp32"),
        "wave": wave,
        **dict.fromkeys(constants, "constexpr"),
    }
    source = ASTSource(fn=log_mel_kernel, signature=types, constexprs=constants)
    target = GPUTarget("cuda", compute_capability, 32)
    machine_code: bytes = triton.compile(source, target=target, options=kernel_options(config)).asm[
        "cubin"
    ]
    return machine_code


def stack_bytes(machine_code: bytes, folder: Path) -> int:
    """Return what of a thread's values does not fit its registers."""
    path = folder / "kernel.cubin"
    path.write_bytes(machine_code)
    tool = triton.knobs.nvidia.cuobjdump.path
    command = [tool, "--dump-resource-usage", path]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    found = re.search(r"REG:\d+ STACK:(\d+)", text)
    assert found is not None
    return int(found[1])


@pytest.fixture(autouse=True)
def _nothing_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(triton.knobs.cache, "dir", str(tmp_path / "cache"))


def test_the_kernel_compiles_for_a_card_that_is_not_here(tmp_path: Path) -> None:
    assert stack_bytes(compiled(SMALL, 90, "*i16"), tmp_path) < MANY_SPILLED_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("compute_capability", [80, 90])
@pytest.mark.parametrize("name", ["panns", "ast", "vggish"])
def test_presets_compile_without_spilling_much(
    name: str, compute_capability: int, tmp_path: Path
) -> None:
    config = presets()[name].config
    assert isinstance(config, LogMelConfig)
    machine_code = compiled(config, compute_capability, "*fp32")
    assert stack_bytes(machine_code, tmp_path) < MANY_SPILLED_BYTES
