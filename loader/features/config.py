"""The settings of a log-mel front end, and how many frames they give."""

import math
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from torch import Tensor

from loader.features.mel_scale import MEL_BANKS, MelBank, mel_edges_hz
from loader.features.windows import WINDOWS, Window

Edges = Literal["reflect", "zeros", "mirror", "none"]
Preemphasis = Literal["none", "clip", "clip_short", "frame"]
Fill = Literal["zeros", "repeat", "repeat_whole"]
Log = Literal["db", "ln", "log10"]
ClipNorm = Literal["none", "mean", "mean_std"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "window": WINDOWS,
    "mel_bank": MEL_BANKS,
    "edges": get_args(Edges),
    "preemphasis": get_args(Preemphasis),
    "fill": get_args(Fill),
    "log": get_args(Log),
    "clip_norm": get_args(ClipNorm),
}
_AT_LEAST_ONE = (
    "sample_rate_hz", "n_fft", "hop_samples", "num_mels", "num_window_samples", "clip_samples",
    "num_frames_out", "patch_frames", "patch_hop_frames",
)  # fmt: skip
_FINITE = ("full_scale", "int16_full_scale", "preemphasis_factor", "mean")
_LOG_BASE: dict[Log, float] = {"db": 10 / math.log(10), "ln": 1.0, "log10": 1 / math.log(10)}

# A number of samples: one clip's, or those of a batch on the device.
_Count = TypeVar("_Count", int, Tensor)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMelConfig:
    """What to compute; the defaults are PANNs CNN14 at 32 kHz (100 frames a second).

    The steps run in the order of the attributes.

    Attributes:
        sample_rate_hz: Sample rate of the waves that will come in; nothing is resampled here.
        int16_full_scale: int16 samples are divided by this. FLAC, soundfile and this loader mean
            32768; an HDF5 file of PANNs means 32767.
        full_scale: What the loudest sample then becomes: 1, or 32768 where a model was trained on
            integers.
        clip_samples: Every clip is cut or filled up to this length first; None leaves it.
        fill: How a shorter clip is filled up: silence, the clip again and again, or that in whole
            copies and then silence.
        remove_clip_mean: Subtract the clip's mean.
        preemphasis: Where x[t] - factor * x[t-1] is taken: in the whole clip, keeping its
            first sample ("clip") or starting with the second ("clip_short"), or in each frame after
            its mean is removed, as Kaldi does ("frame").
        preemphasis_factor: The factor.
        edges: What lies beyond the clip's ends. With "reflect" (x2 x1 [x0 x1) and "zeros"
            frame f is centred at f hops. With "mirror" (x1 x0 [x0 x1) it is centred in
            the f-th hop: Kaldi's snip_edges=false. With "none" only whole frames count.
        drop_last_frame: Leave out the last frame, as Whisper does.
        n_fft: Length of the FFT in samples, even.
        num_window_samples: Length of the window, at most `n_fft`, which it has where None.
        window: Its shape.
        periodic_window: Whether its first tap would come again after its last one.
        hop_samples: Distance between frames in samples.
        magnitude: Weigh the spectrum's magnitude instead of its power.
        mel_bank: How the filters are made; see `loader.features.mel_scale`.
        num_mels: Number of mel bands.
        min_hz: Lower edge of the first band.
        max_hz: Upper edge of the last band, at most half the sample rate.
        log: 10 log10, the natural logarithm, or log10.
        power_floor: Mel energies below this count as this; 1e-10 is -100 dB.
        power_offset: Added to mel energies before the logarithm.
        max_range: Values further than this below the clip's largest are raised to that; in units of
            the logarithm.
        num_frames_out: Frames are cut or filled up to this number; None leaves it.
        frame_fill: What frames beyond the clip's end hold, in units of the logarithm; None stands
            for the value of silence.
        mean: Subtracted from the result.
        std: Divides it then.
        clip_norm: Subtract each band's mean over the clip's own frames, and divide by its
            standard deviation (of n - 1, plus 1e-5). Frames beyond the clip become 0.
        patch_frames: Frames in a patch, for models that see a clip as patches; see `patches`.
        patch_hop_frames: Distance between patches.
        fill_patch: Append silence until the clip ends with a whole patch.

    Raises:
        ValueError: a setting is out of its range, or two of them clash.
    """

    sample_rate_hz: int = 32000
    int16_full_scale: float = 32768.0
    full_scale: float = 1.0
    clip_samples: int | None = None
    fill: Fill = "zeros"
    remove_clip_mean: bool = False
    preemphasis: Preemphasis = "none"
    preemphasis_factor: float = 0.97
    edges: Edges = "reflect"
    drop_last_frame: bool = False
    n_fft: int = 1024
    num_window_samples: int | None = None
    window: Window = "hann"
    periodic_window: bool = True
    hop_samples: int = 320
    magnitude: bool = False
    mel_bank: MelBank = "slaney"
    num_mels: int = 64
    min_hz: float = 50.0
    max_hz: float = 14000.0
    log: Log = "db"
    power_floor: float = 1e-10
    power_offset: float = 0.0
    max_range: float | None = None
    num_frames_out: int | None = None
    frame_fill: float | None = None
    mean: float = 0.0
    std: float = 1.0
    clip_norm: ClipNorm = "none"
    patch_frames: int | None = None
    patch_hop_frames: int = 1
    fill_patch: bool = False

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        for name in _AT_LEAST_ONE:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in _FINITE:
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, got {getattr(self, name)}")
        self._check_window()
        self._check_range()

    def _check_window(self) -> None:
        if self.n_fft % 2:
            raise ValueError(f"n_fft must be even, so that frames have a centre; got {self.n_fft}")
        if self.window_samples > self.n_fft:
            raise ValueError(
                f"num_window_samples must be at most n_fft={self.n_fft}, got {self.window_samples}"
            )
        if self.hop_samples > self.window_samples:
            raise ValueError(
                f"a hop of {self.hop_samples} samples skips audio between windows of "
                f"{self.window_samples}; hop_samples must be at most the window's length"
            )
        if self.fill_patch and (self.patch_frames is None or self.edges != "none"):
            raise ValueError("fill_patch needs patch_frames and edges='none'")

    def _check_range(self) -> None:
        # Written so that NaN, which compares false with everything, is refused too.
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"bands need 0 <= min_hz < max_hz <= {self.sample_rate_hz / 2:g} (half the sample "
                f"rate), got min_hz={self.min_hz:g} and max_hz={self.max_hz:g}"
            )
        for name in ("power_floor", "power_offset"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite, 0 or above, got {getattr(self, name)}")
        if self.power_floor + self.power_offset == 0:
            raise ValueError(
                "power_floor or power_offset must be above 0: silence has no logarithm"
            )
        for name in ("std", "int16_full_scale", "full_scale", "max_range"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {value}")

    @property
    def window_samples(self) -> int:
        """The window's length in samples."""
        return self.num_window_samples or self.n_fft

    @property
    def log_factor(self) -> float:
        """What the natural logarithm is multiplied with."""
        return _LOG_BASE[self.log]

    @property
    def floor_db(self) -> float:
        """The value of silence in units of the logarithm (dB by default), not yet standardised."""
        return math.log(self.power_floor + self.power_offset) * self.log_factor

    @property
    def hop_seconds(self) -> float:
        """The distance between frames in seconds."""
        return self.hop_samples / self.sample_rate_hz

    @property
    def first_sample(self) -> int:
        """Where frame 0 starts, relative to the clip's first sample; 0 or less."""
        if self.edges == "none":
            return 0
        if self.edges == "mirror":
            return self.hop_samples // 2 - self.window_samples // 2
        # The window stands in the middle of its FFT's n_fft samples, as torch.stft has it.
        return (self.n_fft - self.window_samples) // 2 - self.n_fft // 2

    @property
    def samples_after_last(self) -> int:
        """How far the last frame may reach beyond the clip's end."""
        return self.window_samples + self.first_sample

    @property
    def min_samples(self) -> int:
        """The shortest wave that gives a frame and, where its ends are mirrored, can be."""
        short = 1 if self.preemphasis == "clip_short" else 0
        if self.clip_samples is not None or self.fill_patch:
            return 1
        least = self.hop_samples if self.drop_last_frame else 1
        if self.edges in ("reflect", "mirror"):
            turn = 1 if self.edges == "reflect" else 0
            least = max(least, turn + max(-self.first_sample, self.samples_after_last))
        elif self.edges == "none":
            least = self.window_samples
        return short + least

    def num_frames(self, num_samples: int) -> int:
        """Return how many frames a clip of so many samples gives, none of them filled up."""
        padded = self._filled(num_samples, max(num_samples, self._first_patch_samples))
        count = max(0, self._count(padded))
        if padded <= 0:
            count = 0
        return count if self.num_frames_out is None else min(count, self.num_frames_out)

    def num_frames_B(self, num_samples_B: Tensor) -> Tensor:
        """Return the same for a batch of lengths, on their device, without looking at them."""
        padded_B = self._filled(num_samples_B, num_samples_B.clamp(min=self._first_patch_samples))
        count_B = self._count(padded_B).clamp(min=0)
        count_B = count_B.where(padded_B > 0, 0)
        return count_B if self.num_frames_out is None else count_B.clamp(max=self.num_frames_out)

    def mel_centres_hz(self) -> tuple[float, ...]:
        """Return the frequency where each band peaks, rising, for the axis of a picture."""
        edges_hz = mel_edges_hz(
            self.mel_bank, num_mels=self.num_mels, min_hz=self.min_hz, max_hz=self.max_hz
        )
        return tuple(edges_hz[1:-1].tolist())

    @property
    def _first_patch_samples(self) -> int:
        if not self.fill_patch or self.patch_frames is None:
            return 0
        return self.window_samples + (self.patch_frames - 1) * self.hop_samples

    def _filled(self, num_samples: _Count, at_least: _Count) -> _Count:
        """Return the length after filling up to a clip or to whole patches."""
        if self.clip_samples is not None:
            return num_samples * 0 + self.clip_samples
        if not self.fill_patch:
            return num_samples
        hop = self.patch_hop_frames * self.hop_samples
        # Rounded up, for integers and tensors of them alike.
        return self._first_patch_samples - (self._first_patch_samples - at_least) // hop * hop

    def _count(self, num_samples: _Count) -> _Count:
        if self.preemphasis == "clip_short":
            num_samples = num_samples - 1
        if self.edges == "none":
            count = 1 + (num_samples - self.window_samples) // self.hop_samples
        elif self.edges == "mirror":
            count = (num_samples + self.hop_samples // 2) // self.hop_samples
        else:
            count = 1 + num_samples // self.hop_samples
        return count - 1 if self.drop_last_frame else count
