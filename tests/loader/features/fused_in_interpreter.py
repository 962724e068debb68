"""What the fused kernel computes, without a card: run with TRITON_INTERPRET=1, writes OUT.npz.

    python -m tests.loader.features.fused_in_interpreter OUT PRESET ...

Triton reads the variable when it is imported, so this has a process of its own.
"""

import sys
from dataclasses import replace

import numpy as np
import torch

from loader.features.config import LogMelConfig
from loader.features.fused import FusedLogMel
from loader.features.presets import log_mel_preset
from tests.loader.features.waves import structured_wave_T, tone_in_faint_noise_T

NUM_FRAMES = 16  # what one program takes


def front_end(name: str) -> FusedLogMel:
    """Return a preset's, for a few frames: the interpreter takes seconds for a program."""
    config = log_mel_preset(name)
    if config.num_frames_out is not None:
        config = replace(config, num_frames_out=NUM_FRAMES + 2)
    return FusedLogMel(config)


def tone_BT(config: LogMelConfig) -> torch.Tensor:
    """Return one row of a loud tone over faint noise, float32, for one program's frames."""
    return torch.from_numpy(tone_in_faint_noise_T(config.sample_rate_hz)[None]).float()[
        :, : _num_samples(config)
    ]


def structured(config: LogMelConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one row of structured sound, int16, and its length, half of the row's."""
    num_samples = _num_samples(config)
    wave_T = structured_wave_T(config.sample_rate_hz, num_samples=num_samples)
    wave_BT = torch.from_numpy(wave_T[None] * 32767).round().to(torch.int16)
    return wave_BT, torch.tensor([num_samples // 2 + 11])


def _num_samples(config: LogMelConfig) -> int:
    behind = config.window_samples if config.edges == "none" else 11
    return (NUM_FRAMES - 1) * config.hop_samples + behind


def main() -> None:
    """Compute the presets: float32 whole, and int16 with a length."""
    torch.set_num_threads(1)
    results = {}
    for name in sys.argv[2:]:
        module = front_end(name)
        results[f"{name} float32"] = module.launch(tone_BT(module.config)).numpy()
        results[f"{name} int16"] = module.launch(*structured(module.config)).numpy()
    np.savez(sys.argv[1], **results)


if __name__ == "__main__":
    main()
