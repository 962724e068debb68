"""Mel-frequency cepstral coefficients and their slopes over time.

Axes: B clips, T samples, M mel bands, C coefficients, F frames.
"""

import math
from typing import Self

import torch
from torch import Tensor, nn

from loader.features.framing import frames_BFW, prepared_wave
from loader.features.logmel import LogMel
from loader.features.mel_product import exact_product
from loader.features.mfcc_config import MfccConfig
from loader.features.presets import mfcc_preset


class Mfcc(nn.Module):
    """Turns a batch of waves into MFCCs; precision, compiling and lengths as in `LogMel`."""

    dct_MC: Tensor

    def __init__(self, config: MfccConfig) -> None:
        super().__init__()
        self.config = config
        self.log_mel = LogMel(config.log_mel)
        dct_MC = make_dct_MC(config.log_mel.num_mels, config.num_ceps)
        self.register_buffer("dct_MC", (dct_MC * lifter_C(config)).float(), persistent=False)

    @classmethod
    def preset(cls, name: str, *, sample_rate_hz: int | None = None) -> Self:
        """Return the front end of a published model, as `LogMel.preset` does."""
        return cls(mfcc_preset(name, sample_rate_hz=sample_rate_hz))

    def forward(self, wave_BT: Tensor, num_samples_B: Tensor | None = None) -> Tensor:
        """Return mfcc_BCF, float32, with C = num_ceps * (1 + delta_order).

        Frames beyond a clip's own, see `LogMel.forward`, are 0.

        Args:
            wave_BT: int16, or floating point in [-1, 1].
            num_samples_B: Real length of each row in samples, integers from 0 to T.

        Raises:
            ValueError: as `LogMel.forward`.
        """
        mel_BMF = self.log_mel(wave_BT, num_samples_B)
        num_frames_B = None
        if num_samples_B is not None:
            num_samples_B = num_samples_B.to(wave_BT.device, non_blocking=True)
            num_frames_B = self.config.log_mel.num_frames_B(num_samples_B)
        with torch.autocast(device_type=wave_BT.device.type, enabled=False):
            mfcc_BCF = exact_product(mel_BMF.transpose(1, 2), self.dct_MC).transpose(1, 2)
            if self.config.energy:
                energy_BCF = self._log_energy(wave_BT, num_samples_B)[:, None]
                mfcc_BCF = torch.cat([energy_BCF, mfcc_BCF[:, 1:]], dim=1)
            blocks = [mfcc_BCF]
            for _ in range(self.config.delta_order):
                blocks.append(deltas(blocks[-1], num_frames_B, window=self.config.delta_window))
            mfcc_BCF = torch.cat(blocks, dim=1)
            if num_frames_B is None:
                return mfcc_BCF
            frame_F = torch.arange(mfcc_BCF.shape[2], device=wave_BT.device)
            return mfcc_BCF.where((frame_F < num_frames_B[:, None])[:, None], 0.0)

    def _log_energy(self, wave_BT: Tensor, num_samples_B: Tensor | None) -> Tensor:
        config = self.config.log_mel
        frames = frames_BFW(*prepared_wave(wave_BT, num_samples_B, config), config)
        energy_BF = frames.var(dim=2, correction=0) * config.window_samples
        return energy_BF.float().clamp(min=config.power_floor + config.power_offset).log()


def make_dct_MC(num_mels: int, num_ceps: int) -> Tensor:
    """Return the first columns of the orthonormal DCT-II in float64."""
    mel_MC = torch.arange(num_mels, dtype=torch.float64)[:, None] + 0.5
    dct_MC = torch.cos(math.pi / num_mels * mel_MC * torch.arange(num_ceps))
    dct_MC *= math.sqrt(2 / num_mels)
    dct_MC[:, 0] = math.sqrt(1 / num_mels)
    return dct_MC


def lifter_C(config: MfccConfig) -> Tensor:
    """Return the factor of each coefficient in float64 (HTK book, section 5.3)."""
    if not config.lifter:
        return torch.ones(config.num_ceps, dtype=torch.float64)
    number_C = torch.arange(config.num_ceps, dtype=torch.float64)
    return 1 + config.lifter / 2 * torch.sin(math.pi / config.lifter * number_C)


def deltas(x_BMF: Tensor, num_frames_B: Tensor | None = None, *, window: int = 2) -> Tensor:
    """Return the slope of each feature over time: a line fitted to 2 * window + 1 frames.

    Beyond its ends a clip counts as going on with its first and last frame, as in HTK, torchaudio
    and SpeechBrain. (Kaldi's add-deltas fits the second order over the first one's window too,
    which differs in the clip's first and last frames.)

    Args:
        x_BMF: Features.
        num_frames_B: Own frames of each clip; None means all. Slopes beyond them mean nothing.
        window: Frames on either side.
    """
    num_frames = x_BMF.shape[2]
    if num_frames_B is not None:
        frame_BF = torch.arange(num_frames, device=x_BMF.device).minimum(
            (num_frames_B[:, None] - 1).clamp(min=0)
        )
        x_BMF = x_BMF.gather(2, frame_BF[:, None].expand(x_BMF.shape))
    padded_BMF = torch.nn.functional.pad(x_BMF, (window, window), mode="replicate")
    slope_BMF = torch.zeros_like(x_BMF)
    for step in range(1, window + 1):
        later = padded_BMF[:, :, window + step : window + step + num_frames]
        earlier = padded_BMF[:, :, window - step : window - step + num_frames]
        slope_BMF = slope_BMF + step * (later - earlier)
    return slope_BMF / (2 * sum(step * step for step in range(1, window + 1)))
