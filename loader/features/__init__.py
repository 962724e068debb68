"""Features computed on the device, from the batch of samples that the loader delivers."""

from loader.features.config import LogMelConfig
from loader.features.logmel import LogMel
from loader.features.mfcc import Mfcc, deltas
from loader.features.mfcc_config import MfccConfig
from loader.features.patches import num_patches_B, patches_BPMF
from loader.features.presets import Preset, presets
from loader.features.statistics import Standardize, cmvn, sliding_cmvn

__all__ = [
    "LogMel",
    "LogMelConfig",
    "Mfcc",
    "MfccConfig",
    "Preset",
    "Standardize",
    "cmvn",
    "deltas",
    "num_patches_B",
    "patches_BPMF",
    "presets",
    "sliding_cmvn",
]
