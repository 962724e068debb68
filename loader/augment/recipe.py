"""A recipe: one frozen value for each operation, refused early where it is wrong.

The operations are in `recipe_wave`, `recipe_mix` and `recipe_mel`. One that a recipe doesn't name
is off. `p` is always the share of samples that it changes.
"""

from dataclasses import dataclass

from loader.augment.recipe_mel import FilterAugment, FreqMixStyle, SpecAugment
from loader.augment.recipe_mix import Mix
from loader.augment.recipe_wave import (
    BandPass,
    Equalizer,
    Gain,
    Noise,
    Polarity,
    Response,
    Roll,
    Speed,
    WhiteNoise,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentRecipe:
    """All that is done to a batch; the operations run in the order of the attributes.

    Attributes:
        remove_mean: Subtract each clip's mean, before all else.
        room_or_noise: Never both a room and noise in one sample: a sample gets a room with the
            room's p, noise with the noise's p, otherwise neither. They must add up to at most 1.
        normalise_peaks: Scale each sample that got a room or noise to a peak just below 1, before
            white noise: what WeSpeaker does, which trains on samples of any level otherwise.
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
    normalise_peaks: bool = False
    white_noise: WhiteNoise | None = None
    mix: Mix | None = None
    freq_mix_style: FreqMixStyle | None = None
    filter_augment: FilterAugment | None = None
    spec_augment: SpecAugment | None = None

    def __post_init__(self) -> None:
        if self.normalise_peaks and self.room is None and self.noise is None:
            raise ValueError("normalise_peaks needs a room or noise")
        if not self.room_or_noise:
            return
        if self.room is None or self.noise is None:
            raise ValueError("room_or_noise needs both a room and noise")
        if self.room.p + self.noise.p > 1:
            raise ValueError(
                "room_or_noise: the shares of room and noise must add up to at most 1, got "
                f"{self.room.p} + {self.noise.p}"
            )
