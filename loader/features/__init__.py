"""Features computed on the device, from the batch of samples that the loader delivers."""

from loader.features.logmel import LogMel, LogMelConfig

__all__ = ["LogMel", "LogMelConfig"]
