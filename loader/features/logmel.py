"""Log-mel spectrograms as PANNs CNN14 computes them, on the device.

Axes: B clips, T samples, N window taps, S frequency bins, M mel bands, F frames.

    wave_BT ─reflect pad, Hann, FFT─▶ power_BSF ─mel bank─▶ E ─10 log10 max(E, floor)─▶ mel_BMF

Source of the definition: Kong et al., "PANNs: Large-Scale Pretrained Audio Neural Networks for
Audio Pattern Recognition" (2020), whose front end is torchlibrosa's copy of librosa's. One
difference is left on purpose: int16 is scaled by 1/32768, as FLAC and soundfile do, where PANNs
divides by 32767; that is 0.0003 dB everywhere.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMelConfig:
    """What to compute; the defaults are PANNs CNN14 at 32 kHz (100 frames a second).

    Attributes:
        sample_rate_hz: Sample rate of the waves that will come in; nothing is resampled here.
        n_fft: Length of the window and of the FFT in samples, even.
        hop_samples: Distance between frames in samples, at most `n_fft`.
        num_mels: Number of mel bands.
        min_hz: Lower edge of the first band.
        max_hz: Upper edge of the last band, at most half the sample rate.
        power_floor: Mel energies below this count as this; 1e-10 is -100 dB.

    Raises:
        ValueError: a setting is out of its range, or two of them clash.
    """

    sample_rate_hz: int = 32000
    n_fft: int = 1024
    hop_samples: int = 320
    num_mels: int = 64
    min_hz: float = 50.0
    max_hz: float = 14000.0
    power_floor: float = 1e-10

    def __post_init__(self) -> None:
        for name in ("sample_rate_hz", "n_fft", "hop_samples", "num_mels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.n_fft % 2:
            raise ValueError(f"n_fft must be even, so that frames have a centre; got {self.n_fft}")
        if self.hop_samples > self.n_fft:
            raise ValueError(
                f"a hop of {self.hop_samples} samples skips audio between windows of "
                f"{self.n_fft}; hop_samples must be at most n_fft"
            )
        # Written so that NaN, which compares false with everything, is refused too.
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"bands need 0 <= min_hz < max_hz <= {self.sample_rate_hz / 2:g} (half the sample "
                f"rate), got min_hz={self.min_hz:g} and max_hz={self.max_hz:g}"
            )
        if not (0 < self.power_floor < math.inf):
            raise ValueError(f"power_floor must be above 0 and finite, got {self.power_floor}")

    @property
    def floor_db(self) -> float:
        """The value of silence in dB."""
        return 10 * math.log10(self.power_floor)

    @property
    def hop_seconds(self) -> float:
        """The distance between frames in seconds."""
        return self.hop_samples / self.sample_rate_hz

    @property
    def min_samples(self) -> int:
        """The shortest wave that can be padded by reflection: one sample over half a window."""
        return self.n_fft // 2 + 1

    def num_frames(self, num_samples: int) -> int:
        """Return how many frames a wave of so many samples gives; frame f is centred at f hops."""
        return 1 + num_samples // self.hop_samples

    def mel_centres_hz(self) -> tuple[float, ...]:
        """Return the frequency where each band peaks, rising, for the axis of a picture."""
        low, high = _hz_to_mel(self.min_hz), _hz_to_mel(self.max_hz)
        step = (high - low) / (self.num_mels + 1)
        return tuple(_mel_to_hz(low + step * (band + 1)) for band in range(self.num_mels))


class LogMel(nn.Module):
    """Turns a batch of waves into log-mel spectrograms in dB; always in float32.

    On real clips float32 stays within 0.002 dB of float64 down to 100 dB below the peak; the worst
    found there was 0.012 dB, a loud 100 Hz tone over noise at -90 dBFS.
    Half precision would bury quiet bands under the rounding noise of loud ones, by tens of dB. So
    autocast is switched off inside, and a module that was itself cast (`model.half()`) refuses to
    run. Nothing is trained and nothing is saved: the buffers follow `.to(device)`, but stay out
    of `state_dict()`.
    """

    window_N: Tensor
    bank_MS: Tensor

    def __init__(self, config: LogMelConfig | None = None) -> None:
        super().__init__()
        self.config = config or LogMelConfig()
        bank_SM = melscale_fbanks(
            n_freqs=self.config.n_fft // 2 + 1,
            f_min=self.config.min_hz,
            f_max=self.config.max_hz,
            n_mels=self.config.num_mels,
            sample_rate=self.config.sample_rate_hz,
            norm="slaney",
            mel_scale="slaney",
        )
        window_N = torch.hann_window(self.config.n_fft, periodic=True)
        self.register_buffer("bank_MS", bank_SM.T.contiguous(), persistent=False)
        self.register_buffer("window_N", window_N, persistent=False)

    def forward(self, wave_BT: Tensor, num_samples_B: Tensor | None = None) -> Tensor:
        """Return mel_BMF, float32 in dB, with F = 1 + T // hop_samples.

        Frame f sees the n_fft samples around sample f * hop_samples. Half a window at either end of
        the tensor is padded by reflection.

        With `num_samples_B`, samples at and after a row's real end count as zero, whatever the
        tensor holds there. So, of a clip with n real samples:

            frame lies                              its value is
            wholly inside, f * hop + n_fft/2 <= n   that of the clip alone
            across the end                          that of the clip followed by silence: the
                                                    reflection of the clip alone isn't made here
            wholly beyond, f * hop - n_fft/2 >= n   exactly the floor

        A row without padding (n = T) is what it would be without `num_samples_B`. The lengths are
        not checked, because looking at them would make the host wait for the device.

        Args:
            wave_BT: int16, scaled here by 1/32768, or floating point in [-1, 1].
            num_samples_B: Real length of each row in samples, integers from 0 to T.

        Raises:
            ValueError: the shapes don't fit, the dtype is no audio, T is shorter than
                `config.min_samples`, or this module was cast away from float32.
        """
        self._check(wave_BT, num_samples_B)
        with torch.autocast(device_type=wave_BT.device.type, enabled=False):
            scale = 1 / 32768 if wave_BT.dtype == torch.int16 else 1.0
            wave_BT = wave_BT.to(torch.float32) * scale
            if num_samples_B is None:
                return self._log_mel(wave_BT)
            num_samples_B = num_samples_B.to(wave_BT.device, non_blocking=True)
            return self._log_mel_of_real_part(wave_BT, num_samples_B)

    def _check(self, wave_BT: Tensor, num_samples_B: Tensor | None) -> None:
        """Refuse what would fail later with a less helpful message, or silently give rubbish."""
        if wave_BT.ndim != 2:
            raise ValueError(f"expected wave_BT with 2 axes, got {tuple(wave_BT.shape)}")
        if wave_BT.dtype != torch.int16 and not wave_BT.is_floating_point():
            raise ValueError(f"expected int16 or floating point samples, got {wave_BT.dtype}")
        if wave_BT.shape[1] < self.config.min_samples:
            raise ValueError(
                f"waves of {wave_BT.shape[1]} samples are too short to be padded by reflection; "
                f"append zeros up to at least {self.config.min_samples} and pass num_samples_B"
            )
        if num_samples_B is not None and num_samples_B.shape != wave_BT.shape[:1]:
            raise ValueError(
                f"expected num_samples_B of shape ({wave_BT.shape[0]},), "
                f"got {tuple(num_samples_B.shape)}"
            )
        if self.bank_MS.dtype != torch.float32:
            raise ValueError(
                f"LogMel was cast to {self.bank_MS.dtype}, which spoils the filterbank; keep it "
                "float32 (cast the network alone, or use autocast)"
            )

    def _log_mel(self, wave_BT: Tensor) -> Tensor:
        spectrum_BSF = torch.stft(
            wave_BT,
            self.config.n_fft,
            self.config.hop_samples,
            window=self.window_N,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        # Not abs() ** 2, whose square root costs time and, at zero, the gradient.
        power_BSF = spectrum_BSF.real.square() + spectrum_BSF.imag.square()
        # All terms are positive, so even TF32, where a user switched it on, costs this product
        # less than 0.005 dB; it is the FFT that must not lose bits.
        energy_BMF = self.bank_MS @ power_BSF
        return 10 * torch.log10(energy_BMF.clamp(min=self.config.power_floor))

    def _log_mel_of_real_part(self, wave_BT: Tensor, num_samples_B: Tensor) -> Tensor:
        sample_T = torch.arange(wave_BT.shape[1], device=wave_BT.device)
        mel_BMF = self._log_mel(wave_BT.where(sample_T < num_samples_B[:, None], 0.0))
        # Frames near the end of the tensor may see the reflection of a clip that ends just before.
        frame_F = torch.arange(mel_BMF.shape[2], device=wave_BT.device)
        start_F = frame_F * self.config.hop_samples - self.config.n_fft // 2
        is_beyond_BF = start_F >= num_samples_B[:, None]
        return mel_BMF.masked_fill(is_beyond_BF[:, None, :], self.config.floor_db)


# Slaney's mel scale (Auditory Toolbox, 1998): 3 mel per 200 Hz up to 1 kHz, then 27 mel for each
# factor of 6.4.
_BREAK_HZ = 1000.0
_BREAK_MEL = 15.0
_MEL_PER_LOG = 27 / math.log(6.4)


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz * 3 / 200
    return _BREAK_MEL + math.log(hz / _BREAK_HZ) * _MEL_PER_LOG


def _mel_to_hz(mel: float) -> float:
    if mel < _BREAK_MEL:
        return mel * 200 / 3
    return _BREAK_HZ * math.exp((mel - _BREAK_MEL) / _MEL_PER_LOG)
