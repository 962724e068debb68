"""Log-mels by one kernel on CUDA: samples in, log-mels out, nothing between them in memory.

**An estimate, which no device has measured yet**: 256 clips of 10 s, float32, on an H200 with 132
multiprocessors that each start 4 instructions a clock, taken at 1.8 GHz, and 4.3 TB/s.

                                                  PANNs       AST
    waves in and log-mels out                     0.39 GB     0.30 GB
    at the memory's speed                         0.09 ms     0.07 ms
    floating point operations of a frame          30 k        21 k
    instructions of a frame, each for 32 lanes    1,180       880
    an instruction in every slot                  0.32 ms     0.24 ms
    expected: in every second slot                0.6 ms      0.5 ms

Instructions are counted in the machine code for sm_90 that Triton 3.6 makes (registers 128 and 255,
spilled bytes 40 and 40, shared memory 64 and 16 KiB). So it should stay below a millisecond, where
the FFT as a call of its own moves 5.65 GB for PANNs, 1.3 ms at best; three times what the memory
alone would take is out of reach of it. `python -m benchmarks.gpu` measures both.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from loader.features.config import LogMelConfig
from loader.features.fused_plan import FusedPlan, check_fusable, make_plan
from loader.features.logmel import LogMel
from loader.features.mel_scale import make_bank_MS

_TABLES = ("window_N", "twiddles", "turns", "weights")
_TURNS: Mapping[str, int] = {"reflect": 1, "mirror": 0}


class FusedLogMel(LogMel):
    """`LogMel` with the work on CUDA done by one Triton kernel; the results are the same.

    It computes in float32, whatever TF32 or autocast are set to: within 0.01 dB of float64 for
    bands down to 100 dB below the frame's peak; 0.02 dB for a loud tone over noise at -90 dBFS,
    where the plain path in float32 is off by 0.03. No device has run it yet, so it is no default.

    Not every front end fits: those with an FFT of 512 or 1024 points do that need nothing of the
    clip as a whole, such as PANNs, HTS-AT, AST, EAT, BEATs, VGGish. `LogMel` has them all, and is
    what this is compared with.

    On a CPU, under `torch.compile` and for a wave that asks for gradients, it is `LogMel`. The
    first call on a device compiles the kernel, for some ten seconds; Triton keeps the result in its
    cache. After it, a call can be captured in a CUDA graph.
    """

    window_N: Tensor
    twiddles: Tensor
    turns: Tensor
    weights: Tensor

    def __init__(self, config: LogMelConfig | None = None) -> None:
        config = config or LogMelConfig()
        check_fusable(config)
        super().__init__(config)
        bank_MS = make_bank_MS(
            config.mel_bank,
            sample_rate_hz=config.sample_rate_hz,
            n_fft=config.n_fft,
            num_mels=config.num_mels,
            min_hz=config.min_hz,
            max_hz=config.max_hz,
        )
        self._plan = make_plan(config, torch.from_numpy(bank_MS))
        for name in _TABLES:
            self.register_buffer(name, getattr(self._plan, name), persistent=False)

    def forward(self, wave_BT: Tensor, num_samples_B: Tensor | None = None) -> Tensor:
        """Return mel_BMF; arguments and errors as in `LogMel.forward`."""
        is_followed = wave_BT.requires_grad and torch.is_grad_enabled()
        if wave_BT.device.type != "cuda" or is_followed or torch.compiler.is_compiling():
            return super().forward(wave_BT, num_samples_B)
        self._check(wave_BT, num_samples_B)
        return self.launch(wave_BT, num_samples_B)

    def launch(self, wave_BT: Tensor, num_samples_B: Tensor | None = None) -> Tensor:
        """Return what the kernel makes of arguments that `forward` has checked.

        Raises:
            ModuleNotFoundError: there is no Triton here; torch's wheels for CUDA bring it.
        """
        # Here and not above: only CUDA needs Triton, and only torch for CUDA has it.
        from loader.features.fused_kernel import FRAMES, log_mel_kernel

        config = self.config
        wave_BT = wave_BT if wave_BT.stride(1) == 1 else wave_BT.contiguous()
        num_whole = config.num_frames(wave_BT.shape[1])
        num_frames = config.num_frames_out or num_whole
        shape_BMF = (wave_BT.shape[0], config.num_mels, num_frames)
        mel_BMF = wave_BT.new_empty(shape_BMF, dtype=torch.float32)
        num_frames_B = None
        if num_samples_B is not None:
            num_samples_B = num_samples_B.to(wave_BT.device, non_blocking=True).contiguous()
            num_frames_B = config.num_frames_B(num_samples_B)
        num_programs = wave_BT.shape[0] * -(-num_frames // FRAMES)
        if num_programs == 0:
            return mel_BMF
        with torch.cuda.device_of(wave_BT):  # type: ignore[no-untyped-call] # torch's, unannotated
            log_mel_kernel[(num_programs,)](
                wave_BT, num_samples_B, num_frames_B, mel_BMF,
                *(getattr(self, name) for name in _TABLES),
                wave_BT.stride(0), wave_BT.shape[1], num_whole, num_frames, config.num_mels,
                config.hop_samples, config.first_sample, config.preemphasis_factor,
                *_levels(config, is_integer=not wave_BT.is_floating_point()),
                **kernel_constants(config, self._plan), **kernel_options(config),
            )  # fmt: skip
        return mel_BMF


def kernel_constants(config: LogMelConfig, plan: FusedPlan) -> dict[str, Any]:
    """Return what the kernel is compiled for."""
    return {
        "n1": plan.n1,
        "n2": plan.n2,
        "window_samples": config.window_samples,
        "turn": _TURNS.get(config.edges, -1),
        "in_frame": config.preemphasis == "frame",
        "magnitude": config.magnitude,
        "groups": plan.groups,
    }


def kernel_options(config: LogMelConfig) -> dict[str, int]:
    """Return the threads and registers that the kernel is compiled for."""
    # A thread for each lane of a frame. With 128 registers two programs fit on a multiprocessor;
    # with an FFT of 512 points a thread has two frames in the first step, and needs more.
    return {"num_warps": 8, "maxnreg": 128} if config.n_fft == 1024 else {"num_warps": 4}


def _levels(config: LogMelConfig, *, is_integer: bool) -> tuple[float, ...]:
    """Return gain, floor, offset, the logarithm's factor, what is added to it, and the fill."""
    scale = config.full_scale / (config.int16_full_scale if is_integer else 1.0)
    fill = config.floor_db if config.frame_fill is None else config.frame_fill
    return (
        scale if config.magnitude else scale**2,
        config.power_floor,
        config.power_offset,
        config.log_factor / config.std,
        -config.mean / config.std,
        (fill - config.mean) / config.std,
    )
