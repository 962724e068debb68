"""How the audio members of a dataset are encoded."""

from dataclasses import dataclass
from enum import StrEnum

FOREIGN_CODEC = "foreign"
"""`AudioFormat.codec` of shards that others made: as found, perhaps mixed. The format's numbers are
then 0; the index has each clip's rate, the manifest's provenance what there is in all."""
OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)


class Codec(StrEnum):
    """How the audio members of a dataset are encoded."""

    FLAC = "flac"
    WAV = "wav"
    OPUS = "opus"  # lossy: verify checks its length, not its samples
    SOURCE = "source"  # the source's encoded bytes, untouched: any codec, rate and channels


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """What the audio members of a dataset are.

    `AudioFormat.of_source()` makes the format of a pass-through.
    """

    codec: str = Codec.FLAC.value
    sample_rate_hz: int = 32_000
    """0 for `source`: there each clip keeps its own, which its record and the index have."""
    num_channels: int = 1
    """0 for `source`."""
    bits_per_sample: int = 16
    """0 for `source`; for Opus, of what is encoded and of what `num_clipped` counts."""
    frame_num_samples: int = 1152
    """Samples in a FLAC frame: small frames make crops cheap, and cost 0.6 % more bytes than 4096
    on the ESC-10 clips. Other codecs have no use for it."""
    opus_bit_rate: int = 64_000
    """Bits a second; of use for Opus only."""

    def __post_init__(self) -> None:
        """Refuse what the writer can't make."""
        if self.codec == FOREIGN_CODEC:
            return
        if self.codec not in list(Codec):
            raise ValueError(f"codec must be one of {', '.join(Codec)}, got {self.codec!r}")
        if self.codec == Codec.SOURCE:
            if (self.sample_rate_hz, self.num_channels, self.bits_per_sample) != (0, 0, 0):
                raise ValueError(
                    "pass-through keeps each clip's own rate, channels and bits: make the format "
                    f"with AudioFormat.of_source(), got {self}"
                )
            return
        self._check_encoded()

    def _check_encoded(self) -> None:
        if not 1_000 <= self.sample_rate_hz <= 655_350:
            raise ValueError(f"sample_rate_hz must be in 1000..655350, got {self.sample_rate_hz}")
        if self.num_channels != 1 or self.bits_per_sample != 16:
            raise ValueError(f"audio must be mono and 16 bit, got {self}")
        if not 16 <= self.frame_num_samples <= 4608:
            raise ValueError(f"frame_num_samples must be in 16..4608, got {self.frame_num_samples}")
        if self.codec == Codec.OPUS and self.sample_rate_hz not in OPUS_RATES_HZ:
            raise ValueError(
                f"Opus takes {', '.join(map(str, OPUS_RATES_HZ))} Hz, got {self.sample_rate_hz}; "
                "choose one of them or another codec"
            )
        if not 6_000 <= self.opus_bit_rate <= 256_000:
            raise ValueError(f"opus_bit_rate must be in 6000..256000, got {self.opus_bit_rate}")

    @classmethod
    def of_source(cls) -> "AudioFormat":
        """Return the format of datasets that keep the source's encoded bytes."""
        return cls(codec=Codec.SOURCE.value, sample_rate_hz=0, num_channels=0, bits_per_sample=0)

    @property
    def is_lossless(self) -> bool:
        """Whether decoding gives the samples that `SampleRecord.pcm_sha256` is the hash of."""
        return self.codec in (Codec.FLAC, Codec.WAV)

    @property
    def description(self) -> str:
        """The format in words."""
        if self.codec == FOREIGN_CODEC:
            return "as others made it; the provenance in dataset.json lists what there is"
        if self.codec == Codec.SOURCE:
            return "the source's encoded bytes, untouched"
        details = {
            Codec.FLAC.value: f", frames of {self.frame_num_samples}",
            Codec.OPUS.value: f", {self.opus_bit_rate // 1000} kbit/s",
        }
        return (
            f"{self.codec} {self.sample_rate_hz} Hz, {self.num_channels} channel, "
            f"{self.bits_per_sample} bit{details.get(self.codec, '')}"
        )
