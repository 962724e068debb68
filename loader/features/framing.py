"""From a batch of waves to its frames, each row as if its clip were alone.

Rows have their own lengths, which stay on the device: nothing here looks at them, so the host never
waits and shapes never depend on data.
"""

import torch
from torch import Tensor

from loader.features.config import LogMelConfig


def prepared_wave(
    wave_BT: Tensor, num_samples_B: Tensor | None, config: LogMelConfig
) -> tuple[Tensor, Tensor | None]:
    """Return the waves after filling up, mean removal and pre-emphasis, and their lengths.

    They are float64 on a CPU, where that costs little, and float32 elsewhere.
    Samples at and after a row's end are zero in the result, whatever the tensor held there.
    """
    is_integer = not wave_BT.is_floating_point()
    wave_BT = wave_BT.to(torch.float64 if wave_BT.device.type == "cpu" else torch.float32)
    scale = config.full_scale / (config.int16_full_scale if is_integer else 1.0)
    if scale != 1:
        wave_BT = wave_BT * scale
    if num_samples_B is not None:
        wave_BT = _silenced_beyond(wave_BT, num_samples_B)
    if config.clip_samples is not None:
        wave_BT, num_samples_B = _filled_clips(wave_BT, num_samples_B, config)
    if config.remove_clip_mean and not _frames_remove_it(wave_BT, config):
        wave_BT = _without_mean(wave_BT, num_samples_B)
    if config.preemphasis in ("clip", "clip_short"):
        wave_BT, num_samples_B = _emphasised(wave_BT, num_samples_B, config)
    return wave_BT, num_samples_B


def frames_BFW(wave_BT: Tensor, num_samples_B: Tensor | None, config: LogMelConfig) -> Tensor:
    """Return overlapping views of the prepared waves with their ends continued.

    Args:
        wave_BT: What `prepared_wave` returned; all frames of its whole length are made.
        num_samples_B: Lengths that it returned.
        config: The front end.
    """
    lost = 1 if config.preemphasis == "clip_short" else 0
    num_frames = config.num_frames(wave_BT.shape[1] + lost)
    if config.edges in ("reflect", "mirror"):
        padded_BP = _mirrored(wave_BT, num_samples_B, config)
    else:
        last = config.first_sample + (num_frames - 1) * config.hop_samples + config.window_samples
        after = max(0, last - wave_BT.shape[1])
        padded_BP = torch.nn.functional.pad(wave_BT, (-config.first_sample, after))
    return padded_BP.unfold(1, config.window_samples, config.hop_samples)[:, :num_frames]


def _silenced_beyond(wave_BT: Tensor, num_samples_B: Tensor) -> Tensor:
    sample_T = torch.arange(wave_BT.shape[1], device=wave_BT.device)
    return wave_BT.where(sample_T < num_samples_B[:, None], 0.0)


def _filled_clips(
    wave_BT: Tensor, num_samples_B: Tensor | None, config: LogMelConfig
) -> tuple[Tensor, Tensor | None]:
    num_samples = wave_BT.shape[1]
    target = config.clip_samples or num_samples
    if config.fill == "zeros" or (num_samples_B is None and num_samples >= target):
        filled_BT = torch.nn.functional.pad(wave_BT, (0, max(0, target - num_samples)))
        return filled_BT[:, :target], None
    if num_samples_B is None:
        num_samples_B = torch.full(wave_BT.shape[:1], num_samples, device=wave_BT.device)
    length_BK = num_samples_B.clamp(min=1, max=target)[:, None].long()
    sample_T = torch.arange(target, device=wave_BT.device)
    filled_BT = wave_BT.gather(1, sample_T % length_BK)
    if config.fill == "repeat_whole":
        filled_BT = filled_BT.where(sample_T < target // length_BK * length_BK, 0.0)
    return filled_BT, None


def _frames_remove_it(wave_BT: Tensor, config: LogMelConfig) -> bool:
    """Return whether the clip's mean goes with that of each frame, to all digits that count."""
    in_frames = config.preemphasis == "frame" and config.edges == "none"
    return in_frames and wave_BT.dtype == torch.float64


def _without_mean(wave_BT: Tensor, num_samples_B: Tensor | None) -> Tensor:
    if num_samples_B is None:
        return wave_BT - wave_BT.mean(dim=1, keepdim=True)
    mean_B = wave_BT.sum(dim=1) / num_samples_B.clamp(min=1)
    return _silenced_beyond(wave_BT - mean_B[:, None], num_samples_B)


def _emphasised(
    wave_BT: Tensor, num_samples_B: Tensor | None, config: LogMelConfig
) -> tuple[Tensor, Tensor | None]:
    rest_BT = wave_BT[:, 1:] - config.preemphasis_factor * wave_BT[:, :-1]
    if config.preemphasis == "clip":
        emphasised_BT = torch.cat([wave_BT[:, :1], rest_BT], dim=1)
    else:
        emphasised_BT = rest_BT
        num_samples_B = None if num_samples_B is None else num_samples_B - 1
    if num_samples_B is not None:
        # The first sample beyond the end would hold -factor times the last one.
        emphasised_BT = _silenced_beyond(emphasised_BT, num_samples_B)
    return emphasised_BT, num_samples_B


def _mirrored(wave_BT: Tensor, num_samples_B: Tensor | None, config: LogMelConfig) -> Tensor:
    """Continue both ends of each row by its mirror image; silence where the clip is too short."""
    before, after = -config.first_sample, config.samples_after_last
    num_samples = wave_BT.shape[1]
    # "reflect" turns round on the last sample, "mirror" behind it.
    turn = 1 if config.edges == "reflect" else 0
    head_BK = wave_BT[:, turn : before + turn].flip(1)
    if num_samples_B is None:
        tail_BK = wave_BT[:, num_samples - turn - after : num_samples - turn].flip(1)
        return torch.cat([head_BK, wave_BT, tail_BK], dim=1)
    end_BK = num_samples_B[:, None].long().clamp(min=0)
    step_K = torch.arange(after, device=wave_BT.device)
    source_BK = end_BK - 1 - turn - step_K
    tail_BK = wave_BT.gather(1, source_BK.clamp(min=0)).where(source_BK >= 0, 0.0)
    padded_BP = torch.nn.functional.pad(torch.cat([head_BK, wave_BT], dim=1), (0, after))
    # It lands on silence: the row's own beyond its end, and the zeros just added.
    return padded_BP.scatter(1, before + end_BK + step_K, tail_BK)
