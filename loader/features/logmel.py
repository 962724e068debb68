"""Log-mel spectrograms of whole batches, on the device, as published models expect them.

Axes: B clips, T samples, W window taps, S frequency bins, M mel bands, F frames.

    wave_BT ─prepare─▶ frames_BFW ─window, FFT─▶ power_BFS ─mel bank─▶ E ─log, standardise─▶ mel_BMF

One implementation serves every front end; what tells them apart is data, `LogMelConfig`, and the
published ones are `loader.features.presets`.
"""

from typing import Self

import torch
from torch import Tensor, nn

from loader.features.config import LogMelConfig
from loader.features.framing import frames_BFW, prepared_wave
from loader.features.mel_scale import make_bank_MS
from loader.features.presets import log_mel_preset
from loader.features.spectrogram import MelSpectrum, runs_in_blocks
from loader.features.statistics import standardised_clips

# Samples that go through together on a CPU, for each thread; no copy is as large as the batch.
_PART_SAMPLES = 512 * 1024


class LogMel(nn.Module):
    """Turns a batch of waves into log-mel spectrograms; never in less than float32.

    A CPU computes in float64 inside. In float32, as elsewhere, real clips stay within 0.002 dB of
    that down to 100 dB below the peak; the worst found there was 0.05 dB, a loud tone over noise at
    -90 dBFS. Half precision would bury quiet bands under the rounding noise of loud ones, by tens
    of dB. So autocast is switched off inside, the global TF32 and matmul precision flags and the
    default dtype have no effect, and a module that was itself cast (`model.half()`) refuses to run.
    Nothing is trained and nothing is saved: the buffers follow `.to(device)`, but stay out of
    `state_dict()`.

    Nothing in it waits for the device and no shape depends on data, so it can be compiled with
    `fullgraph=True` and captured in a CUDA graph; for that, pass lengths that are on the device.
    """

    def __init__(self, config: LogMelConfig | None = None) -> None:
        super().__init__()
        self.config = config or LogMelConfig()
        bank_MS = make_bank_MS(
            self.config.mel_bank,
            sample_rate_hz=self.config.sample_rate_hz,
            n_fft=self.config.n_fft,
            num_mels=self.config.num_mels,
            min_hz=self.config.min_hz,
            max_hz=self.config.max_hz,
        )
        self.spectrum = MelSpectrum(self.config, torch.from_numpy(bank_MS))

    @classmethod
    def preset(cls, name: str, *, sample_rate_hz: int | None = None) -> Self:
        """Return the front end of a published model; `presets()` lists them.

        Args:
            name: For example "ast" or "panns".
            sample_rate_hz: Sample rate of the waves that will come in, to be checked; only
                the preset "torchaudio" adapts to it.

        Raises:
            ValueError: no preset has that name, it is one of MFCCs, or its sample rate is another.
        """
        return cls(log_mel_preset(name, sample_rate_hz=sample_rate_hz))

    def forward(self, wave_BT: Tensor, num_samples_B: Tensor | None = None) -> Tensor:
        """Return mel_BMF, float32, with F = `config.num_frames(T)` or `config.num_frames_out`.

        With `num_samples_B`, the first `config.num_frames_B(num_samples_B)` frames of a row are
        what they would be if its clip were alone, whatever the tensor holds beyond it. The
        frames after these hold `config.frame_fill`, the value of silence if that is None,
        standardised like the rest, or 0 after `config.clip_norm`. Of a clip shorter than
        `config.min_samples` the ends can't be mirrored; it counts as followed by silence. The
        lengths are not checked, because looking at them would make the host wait for the device.

        Args:
            wave_BT: int16, or floating point in [-1, 1].
            num_samples_B: Real length of each row in samples, integers from 0 to T.

        Raises:
            ValueError: the shapes don't fit, the dtype is no audio, T is shorter than
                `config.min_samples`, or this module was cast away from float32.
        """
        self._check(wave_BT, num_samples_B)
        with torch.autocast(device_type=wave_BT.device.type, enabled=False):
            if num_samples_B is not None:
                num_samples_B = num_samples_B.to(wave_BT.device, non_blocking=True)
            compute = self._in_parts if runs_in_blocks(wave_BT) else self._log_mel
            return compute(wave_BT, num_samples_B)

    def _check(self, wave_BT: Tensor, num_samples_B: Tensor | None) -> None:
        """Refuse what would fail later with a less helpful message, or silently give rubbish."""
        if wave_BT.ndim != 2:
            raise ValueError(f"expected wave_BT with 2 axes, got {tuple(wave_BT.shape)}")
        if wave_BT.dtype != torch.int16 and not wave_BT.is_floating_point():
            raise ValueError(f"expected int16 or floating point samples, got {wave_BT.dtype}")
        if wave_BT.shape[1] < self.config.min_samples:
            raise ValueError(
                f"waves of {wave_BT.shape[1]} samples are too short for a frame; "
                f"append zeros up to at least {self.config.min_samples} and pass num_samples_B"
            )
        if num_samples_B is not None and num_samples_B.shape != wave_BT.shape[:1]:
            raise ValueError(
                f"expected num_samples_B of shape ({wave_BT.shape[0]},), "
                f"got {tuple(num_samples_B.shape)}"
            )
        if self.spectrum.bank_MS.dtype != torch.float32:
            raise ValueError(
                f"LogMel was cast to {self.spectrum.bank_MS.dtype}, which spoils the filterbank; "
                "keep it float32 (cast the network alone, or use autocast)"
            )

    def _in_parts(self, wave_BT: Tensor, num_samples_B: Tensor | None) -> Tensor:
        """Return mel_BMF from some rows at a time; no clip depends on another one."""
        num_rows = max(1, _PART_SAMPLES * torch.get_num_threads() // wave_BT.shape[1])
        parts = []
        for row in range(0, wave_BT.shape[0], num_rows):
            rows = slice(row, row + num_rows)
            lengths_B = None if num_samples_B is None else num_samples_B[rows]
            parts.append(self._log_mel(wave_BT[rows], lengths_B))
        return torch.cat(parts)

    def _log_mel(self, wave_BT: Tensor, num_samples_B: Tensor | None) -> Tensor:
        config = self.config
        ready_BT, ready_samples_B = prepared_wave(wave_BT, num_samples_B, config)
        mel_BMF = self.spectrum(frames_BFW(ready_BT, ready_samples_B, config))
        num_missing = (config.num_frames_out or mel_BMF.shape[2]) - mel_BMF.shape[2]
        if num_missing:
            mel_BMF = torch.nn.functional.pad(mel_BMF, (0, num_missing))
        is_own_BF = None
        if num_samples_B is not None or num_missing:
            if num_samples_B is None:
                num_samples_B = torch.full_like(wave_BT[:, 0], wave_BT.shape[1], dtype=torch.long)
            frame_F = torch.arange(mel_BMF.shape[2], device=wave_BT.device)
            is_own_BF = frame_F < config.num_frames_B(num_samples_B)[:, None]
        return self._finished(mel_BMF, is_own_BF)

    def _finished(self, mel_BMF: Tensor, is_own_BF: Tensor | None) -> Tensor:
        """Fill the frames beyond each clip, limit the range, standardise."""
        config = self.config
        if is_own_BF is not None and (config.max_range is not None or config.frame_fill is None):
            mel_BMF = mel_BMF.where(is_own_BF[:, None], config.floor_db)
        if config.max_range is not None:
            lowest_B = mel_BMF.amax(dim=(1, 2)) - config.max_range
            mel_BMF = mel_BMF.maximum(lowest_B[:, None, None])
        if is_own_BF is not None and config.frame_fill is not None:
            mel_BMF = mel_BMF.where(is_own_BF[:, None], config.frame_fill)
        if config.mean != 0 or config.std != 1:
            # In place: fresh memory costs a CPU more than the arithmetic.
            mel_BMF = mel_BMF.sub_(config.mean).div_(config.std)
        if config.clip_norm != "none":
            with_std = config.clip_norm == "mean_std"
            mel_BMF = standardised_clips(mel_BMF, is_own_BF, with_std=with_std)
        return mel_BMF
