"""What each decoder returns."""

from dataclasses import dataclass

from shardwriter.mixdown import Pcm, Wave


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """The wanted part of a file as a decoder gave it, mixed down."""

    wave_T: Wave | Pcm
    sample_rate_hz: int
    num_channels: int
    start_sample: int
    codec: str
    """As the library names it: `PCM_16` by libsndfile, `aac` by FFmpeg."""
    decoder: str
    """Library and version."""
    num_priming_samples: int | None
    """Encoder delay that was left out in front; None where the decoder doesn't tell."""
