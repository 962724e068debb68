"""Operations on spectrograms that a recipe can name."""

from dataclasses import dataclass, fields
from typing import Literal

from loader.augment.recipe_checks import check_choice, check_count, check_range, check_share


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
        check_share("spec_augment", self.p)
        check_share("spec_augment", self.max_time_share, "max_time_share")
        check_share("spec_augment", self.max_band_share, "max_band_share")
        for field in fields(self):
            if field.name.startswith("num_") or field.name.endswith(("frames", "bands")):
                check_count("spec_augment", getattr(self, field.name), field.name, least=0)


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
        check_share("filter_augment", self.p)
        check_choice("filter_augment", self.shape, "shape", ("step", "linear"))
        check_range("filter_augment", self.min_db, self.max_db, "min_db, max_db")
        check_count("filter_augment", self.min_bands, "min_bands", least=1)
        check_count("filter_augment", self.max_bands, "max_bands", least=self.min_bands)
        check_count("filter_augment", self.min_width, "min_width", least=1)


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
        check_share("freq_mix_style", self.p)
        if not 0.01 <= self.alpha <= 1000.0:
            raise ValueError(f"freq_mix_style: alpha must be from 0.01 to 1000, got {self.alpha}")
