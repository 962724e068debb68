"""The settings of MFCCs."""

import math
from dataclasses import dataclass

from loader.features.config import LogMelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class MfccConfig:
    """What to compute.

    Attributes:
        log_mel: The log-mels that are transformed; not standardised and of no fixed length.
        num_ceps: Coefficients, from number 0 on, at most `log_mel.num_mels`.
        lifter: Coefficient i is multiplied by 1 + lifter/2 sin(pi i / lifter); 0 for not.
        energy: Put the logarithm of each frame's energy, less its mean, in the place of
            coefficient 0, as Kaldi's use_energy does.
        delta_order: 0, or how many times to append the slope of the last block, 2 at most.
        delta_window: Frames on either side that a slope is fitted to.

    Raises:
        ValueError: a setting is out of its range, or two of them clash.
    """

    log_mel: LogMelConfig
    num_ceps: int = 13
    lifter: float = 0.0
    energy: bool = False
    delta_order: int = 0
    delta_window: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.num_ceps <= self.log_mel.num_mels:
            raise ValueError(
                f"num_ceps must be from 1 to num_mels={self.log_mel.num_mels}, got {self.num_ceps}"
            )
        if not 0 <= self.lifter < math.inf:
            raise ValueError(f"lifter must be 0 or above and finite, got {self.lifter}")
        if self.delta_order not in (0, 1, 2):
            raise ValueError(f"delta_order must be 0, 1 or 2, got {self.delta_order}")
        if self.delta_window < 1:
            raise ValueError(f"delta_window must be at least 1, got {self.delta_window}")
        mel = self.log_mel
        if mel.num_frames_out is not None or mel.clip_norm != "none":
            raise ValueError("MFCCs need log_mel without num_frames_out and clip_norm")
