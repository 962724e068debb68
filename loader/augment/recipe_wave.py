"""Operations on waves that a recipe can name, in the order they run in."""

import math
from dataclasses import dataclass
from typing import Literal

from loader.augment.recipe_checks import check_choice, check_count, check_range, check_share

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
        check_share("roll", self.p)
        if self.max_seconds is not None:
            check_range("roll", 0.0, self.max_seconds, "max_seconds", least=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Polarity:
    """Turn the sign around."""

    p: float = 0.5

    def __post_init__(self) -> None:
        check_share("polarity", self.p)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Amplify by so many dB, uniform in dB."""

    p: float = 1.0
    min_db: float
    max_db: float

    def __post_init__(self) -> None:
        check_share("gain", self.p)
        check_range("gain", self.min_db, self.max_db, "min_db, max_db")


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
        check_share("equalizer", self.p)
        check_count("equalizer", self.num_bands, "num_bands", least=1)
        check_range("equalizer", self.min_hz, self.max_hz, "min_hz, max_hz", least=20.0)
        check_range("equalizer", self.min_db, self.max_db, "min_db, max_db", least=-40.0)
        check_range("equalizer", self.min_q, self.max_q, "min_q, max_q", least=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BandPass:
    """Cut below one frequency and above another: Butterworth of order 2 at either end."""

    p: float = 0.5
    min_low_hz: float = 50.0
    max_low_hz: float = 300.0
    min_high_hz: float = 3000.0
    max_high_hz: float = 7500.0

    def __post_init__(self) -> None:
        check_share("band_pass", self.p)
        name = "min_low_hz, max_low_hz"
        check_range("band_pass", self.min_low_hz, self.max_low_hz, name, least=20.0)
        name = "min_high_hz, max_high_hz"
        check_range("band_pass", self.min_high_hz, self.max_high_hz, name, least=self.max_low_hz)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Convolve with an impulse response from a bank, of unit energy, cut to the clip's length."""

    p: float = 0.5

    def __post_init__(self) -> None:
        check_share("response", self.p)


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
        check_range("noise", self.min_snr_db, self.max_snr_db, "min_snr_db, max_snr_db")
        check_count("noise", self.min_voices, "min_voices", least=1)
        check_count("noise", self.max_voices, "max_voices", least=self.min_voices)


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
        check_share("noise", self.p)
        check_choice("noise", self.formula, "formula", ("rms", "rms_floor", "speechbrain"))
        if not self.kinds:
            raise ValueError("noise: kinds must name at least one kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class WhiteNoise:
    """Add white Gaussian noise at a level in dBFS (dB relative to an RMS of 1), uniform in dB."""

    p: float = 1.0
    min_dbfs: float = -90.0
    max_dbfs: float = -46.0

    def __post_init__(self) -> None:
        check_share("white_noise", self.p)
        check_range("white_noise", self.min_dbfs, self.max_dbfs, "min_dbfs, max_dbfs")
        if self.max_dbfs > 0:
            raise ValueError(f"white_noise: max_dbfs must be at most 0, got {self.max_dbfs}")
