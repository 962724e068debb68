"""What a recipe can say: one frozen value for each operation, refused early where it is wrong.

An operation that a recipe doesn't name is off. `p` is always the share of samples that it changes.
"""

import math
from dataclasses import dataclass, fields
from typing import Literal

SnrFormula = Literal["rms", "rms_floor", "speechbrain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Resample the clip, so that tempo and pitch change together.

    Attributes:
        factors: One is drawn for each sample, all alike; 1.1 makes a clip shorter by 1/1.1. Each
            must be a fraction with a denominator of at most 20.
        new_classes: Whether a clip at another speed is another class, as speaker recognition has
            it: class k at `factors[i]` becomes column i * K + k of the targets.
    """

    factors: tuple[float, ...] = (0.9, 1.0, 1.1)
    new_classes: bool = False

    def __post_init__(self) -> None:
        if not self.factors:
            raise ValueError("speed: factors must name at least one factor")
        for factor in self.factors:
            if not 0.5 <= factor <= 2.0 or abs(factor * 20 - round(factor * 20)) > 1e-9:
                raise ValueError(
                    f"speed: factors must be multiples of 0.05 from 0.5 to 2, got {factor}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """Turn the clip around within its own length.

    Attributes:
        p: Share of samples.
        max_seconds: Furthest shift, either way; None shifts by any part of the clip.
    """

    p: float = 1.0
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        _check_share("roll", self.p)
        if self.max_seconds is not None:
            _check_range("roll", 0.0, self.max_seconds, "max_seconds", least=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Polarity:
    """Turn the sign around."""

    p: float = 0.5

    def __post_init__(self) -> None:
        _check_share("polarity", self.p)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Amplify by so many dB, uniform in dB."""

    p: float = 1.0
    min_db: float
    max_db: float

    def __post_init__(self) -> None:
        _check_share("gain", self.p)
        _check_range("gain", self.min_db, self.max_db, "min_db, max_db")


@dataclass(frozen=True, slots=True, kw_only=True)
class Equalizer:
    """Peaking filters in a row, each with a frequency, gain and Q of its own.

    Frequencies and Q are uniform in their logarithm, gains in dB. Formulas: R. Bristow-Johnson,
    "Cookbook formulae for audio EQ biquad filter coefficients" (W3C note).
    """

    p: float = 0.5
    num_bands: int = 3
    min_hz: float = 60.0
    max_hz: float = 7000.0
    min_db: float = -6.0
    max_db: float = 6.0
    min_q: float = 0.7
    max_q: float = 2.0

    def __post_init__(self) -> None:
        _check_share("equalizer", self.p)
        _check_count("equalizer", self.num_bands, "num_bands", least=1)
        _check_range("equalizer", self.min_hz, self.max_hz, "min_hz, max_hz", least=20.0)
        _check_range("equalizer", self.min_db, self.max_db, "min_db, max_db", least=-40.0)
        _check_range("equalizer", self.min_q, self.max_q, "min_q, max_q", least=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BandPass:
    """Cut below one frequency and above another: Butterworth of order 2 at either end."""

    p: float = 0.5
    min_low_hz: float = 50.0
    max_low_hz: float = 300.0
    min_high_hz: float = 3000.0
    max_high_hz: float = 7500.0

    def __post_init__(self) -> None:
        _check_share("band_pass", self.p)
        name = "min_low_hz, max_low_hz"
        _check_range("band_pass", self.min_low_hz, self.max_low_hz, name, least=20.0)
        name = "min_high_hz, max_high_hz"
        _check_range("band_pass", self.min_high_hz, self.max_high_hz, name, least=self.max_low_hz)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Convolve with an impulse response from a bank, of unit energy, cut to the clip's length."""

    p: float = 0.5

    def __post_init__(self) -> None:
        _check_share("response", self.p)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseKind:
    """One kind of noise, by the name that the bank knows it by.

    Attributes:
        weight: How often it is chosen, relative to the other kinds.
        min_snr_db: Lower end of the SNR.
        max_snr_db: Upper end.
        min_voices: Clips that are added at once, at least; babble has 3 to 7.
        max_voices: At most. Each has an SNR of its own, as in Kaldi and voxceleb_trainer.
    """

    weight: float = 1.0
    min_snr_db: float
    max_snr_db: float
    min_voices: int = 1
    max_voices: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ValueError(f"noise: weight must be above 0 and finite, got {self.weight}")
        _check_range("noise", self.min_snr_db, self.max_snr_db, "min_snr_db, max_snr_db")
        _check_count("noise", self.min_voices, "min_voices", least=1)
        _check_count("noise", self.max_voices, "max_voices", least=self.min_voices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Add noise from a bank at a signal-to-noise ratio.

    Attributes:
        p: Share of samples.
        kinds: Name of a kind in the bank → how it is mixed.
        formula: What the SNR means; `loader.augment.noise` has the three.
    """

    p: float = 0.5
    kinds: tuple[tuple[str, NoiseKind], ...]
    formula: SnrFormula = "rms"

    def __post_init__(self) -> None:
        _check_share("noise", self.p)
        _check_choice("noise", self.formula, "formula", ("rms", "rms_floor", "speechbrain"))
        if not self.kinds:
            raise ValueError("noise: kinds must name at least one kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class WhiteNoise:
    """Add white Gaussian noise at a level in dBFS (dB relative to an RMS of 1), uniform in dB."""

    p: float = 1.0
    min_dbfs: float = -90.0
    max_dbfs: float = -46.0

    def __post_init__(self) -> None:
        _check_share("white_noise", self.p)
        _check_range("white_noise", self.min_dbfs, self.max_dbfs, "min_dbfs, max_dbfs")
        if self.max_dbfs > 0:
            raise ValueError(f"white_noise: max_dbfs must be at most 0, got {self.max_dbfs}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Mix each chosen sample with a partner from its batch.

    Attributes:
        p: Share of samples.
        alpha: The sample's weight is drawn from Beta(alpha, alpha).
        domain: Whether waves are mixed or spectrograms.
        mode: "linear" adds by weight (Zhang et al., mixup, 2018). "energy" is between-class
            learning (Tokozume et al., 2018): waves only, levels evened out first, energy kept.
        keep_larger: Take the larger of the weight and its rest, so that the sample dominates.
        targets: "weighted" adds the targets by weight (a label that both have stays 1), "union"
            takes the larger of both.
    """

    p: float = 0.5
    alpha: float = 10.0
    domain: Literal["wave", "mel"] = "wave"
    mode: Literal["linear", "energy"] = "linear"
    keep_larger: bool = False
    targets: Literal["weighted", "union"] = "weighted"

    def __post_init__(self) -> None:
        _check_share("mix", self.p)
        if not 0.01 <= self.alpha <= 1000.0:
            raise ValueError(f"mix: alpha must be from 0.01 to 1000, got {self.alpha}")
        _check_choice("mix", self.domain, "domain", ("wave", "mel"))
        _check_choice("mix", self.mode, "mode", ("linear", "energy"))
        _check_choice("mix", self.targets, "targets", ("weighted", "union"))
        if self.mode == "energy" and self.domain == "mel":
            raise ValueError("mix: mode 'energy' mixes waves; use domain = 'wave'")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecAugment:
    """Masks (Park et al., SpecAugment, 2019); a width is a whole number from 0 to its maximum.

    Attributes:
        p: Share of samples.
        num_time_masks: Masks over all bands.
        max_time_frames: Their greatest width.
        max_time_share: A bound on that, as share of the clip's own frames (adaptive size; Park
            et al., "SpecAugment on large scale datasets", 2020).
        num_band_masks: Masks over all frames.
        max_bands: Their greatest width.
        max_band_share: A bound on that, as share of the front end's bands, so that a recipe for
            128 bands masks no more of 64.
        num_cutouts: Rectangles (DeVries and Taylor, 2017).
        max_cutout_frames: Their greatest width.
        max_cutout_bands: Their greatest height.
    """

    p: float = 1.0
    num_time_masks: int = 0
    max_time_frames: int = 0
    max_time_share: float = 1.0
    num_band_masks: int = 0
    max_bands: int = 0
    max_band_share: float = 1.0
    num_cutouts: int = 0
    max_cutout_frames: int = 0
    max_cutout_bands: int = 0

    def __post_init__(self) -> None:
        _check_share("spec_augment", self.p)
        _check_share("spec_augment", self.max_time_share, "max_time_share")
        _check_share("spec_augment", self.max_band_share, "max_band_share")
        for field in fields(self):
            if field.name.startswith("num_") or field.name.endswith(("frames", "bands")):
                _check_count("spec_augment", getattr(self, field.name), field.name, least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterAugment:
    """Amplify a few bands of the spectrogram (Nam et al., FilterAugment, 2022).

    Attributes:
        p: Share of samples.
        shape: "step": each band has one gain. "linear": gains are drawn at the bands' edges and
            change linearly in dB between them.
        min_db: Lower end of the gains.
        max_db: Upper end.
        min_bands: Fewest bands.
        max_bands: Most bands.
        min_width: Mel bands in each, at least.
    """

    p: float = 1.0
    shape: Literal["step", "linear"] = "linear"
    min_db: float = -6.0
    max_db: float = 6.0
    min_bands: int = 3
    max_bands: int = 5
    min_width: int = 6

    def __post_init__(self) -> None:
        _check_share("filter_augment", self.p)
        _check_choice("filter_augment", self.shape, "shape", ("step", "linear"))
        _check_range("filter_augment", self.min_db, self.max_db, "min_db, max_db")
        _check_count("filter_augment", self.min_bands, "min_bands", least=1)
        _check_count("filter_augment", self.max_bands, "max_bands", least=self.min_bands)
        _check_count("filter_augment", self.min_width, "min_width", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FreqMixStyle:
    """Mix each band's mean and deviation with a partner's (Schmid et al., CP-JKU, DCASE 2022/23).

    Attributes:
        p: Share of samples.
        alpha: The weight of the sample's own is drawn from Beta(alpha, alpha).
    """

    p: float = 0.4
    alpha: float = 0.3

    def __post_init__(self) -> None:
        _check_share("freq_mix_style", self.p)
        if not 0.01 <= self.alpha <= 1000.0:
            raise ValueError(f"freq_mix_style: alpha must be from 0.01 to 1000, got {self.alpha}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentRecipe:
    """All that is done to a batch; the operations run in the order of the attributes.

    Attributes:
        remove_mean: Subtract each clip's mean, before all else.
        room_or_noise: Never both a room and noise in one sample: a sample gets a room with the
            room's p, noise with the noise's p, otherwise neither. They must add up to at most 1.
    """

    remove_mean: bool = False
    speed: Speed | None = None
    roll: Roll | None = None
    polarity: Polarity | None = None
    gain: Gain | None = None
    equalizer: Equalizer | None = None
    band_pass: BandPass | None = None
    device: Response | None = None
    room: Response | None = None
    noise: Noise | None = None
    room_or_noise: bool = False
    white_noise: WhiteNoise | None = None
    mix: Mix | None = None
    freq_mix_style: FreqMixStyle | None = None
    filter_augment: FilterAugment | None = None
    spec_augment: SpecAugment | None = None

    def __post_init__(self) -> None:
        if not self.room_or_noise:
            return
        if self.room is None or self.noise is None:
            raise ValueError("room_or_noise needs both a room and noise")
        if self.room.p + self.noise.p > 1:
            raise ValueError(
                "room_or_noise: the shares of room and noise must add up to at most 1, got "
                f"{self.room.p} + {self.noise.p}"
            )


def _check_share(where: str, value: float, name: str = "p") -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{where}: {name} must be from 0 to 1, got {value}")


def _check_range(
    where: str, low: float, high: float, name: str, *, least: float = -math.inf
) -> None:
    # Written so that NaN, which compares false with everything, is refused too.
    if not (least <= low <= high < math.inf and low > -math.inf):
        bound = "" if least == -math.inf else f" of at least {least:g}"
        raise ValueError(f"{where}: {name} must be a rising range{bound}, got {low:g} to {high:g}")


def _check_count(where: str, value: int, name: str, *, least: int) -> None:
    if value < least:
        raise ValueError(f"{where}: {name} must be at least {least}, got {value}")


def _check_choice(where: str, value: str, name: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{where}: {name} must be one of {', '.join(choices)}, got {value!r}")
