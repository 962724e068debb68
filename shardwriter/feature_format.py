"""What a dataset of features holds in place of audio, and the one form of its members.

A member is a `.npy` file (NumPy's format 1.0, `numpy.lib.format`) of little-endian float16 with the
shape (frames, mel bands) in C order, so that a crop of the clip is a run of bytes. The header of a
shape is always the same 128 bytes: reading compares it instead of evaluating what stands in it, so
nothing that a member says can ask for memory or name a type. Only the standard library is imported.
"""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from shardwriter.errors import ShardFormatError
from shardwriter.json_form import Json, canonical_json, count, typed

FEATURE_SUFFIX = "mel.npy"
"""Extension of members that hold features; webdataset and Hugging Face decode what ends in npy."""
HEADER_NUM_BYTES = 128
_PREAMBLE = b"\x93NUMPY\x01\x00" + (HEADER_NUM_BYTES - 10).to_bytes(2, "little")
_FLOAT16_BYTES = 2
_MAX_MELS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFormat:
    """What the features of a dataset are: log-mels of whole clips, one float16 a band and frame."""

    preset: str
    """Name of the front end."""
    parameters: Json
    """All of its settings (`loader.features.LogMelConfig`). Steps that look at more than a frame
    (`max_range`, `clip_norm`) are in them but not in the members: readers take them after a crop.
    """
    num_mels: int
    frame_rate_hz: float

    def __post_init__(self) -> None:
        """Refuse what makes no member."""
        if not 1 <= self.num_mels <= _MAX_MELS:
            raise ValueError(f"num_mels must be in 1..{_MAX_MELS}, got {self.num_mels}")
        if not 0 < self.frame_rate_hz < float("inf"):
            raise ValueError(f"frame_rate_hz must be above 0, got {self.frame_rate_hz}")

    @property
    def digest(self) -> str:
        """Hash of the parameters: equal for equal features."""
        return hashlib.sha256(canonical_json(self.parameters)).hexdigest()

    @property
    def frame_num_bytes(self) -> int:
        """Bytes of a frame."""
        return _FLOAT16_BYTES * self.num_mels

    @property
    def description(self) -> str:
        """The format in words."""
        return (
            f"log-mels, preset {self.preset}: float16, {self.num_mels} bands, "
            f"{self.frame_rate_hz:g} frames a second"
        )

    @property
    def header_num_bytes(self) -> int:
        """Where the first frame begins in a member."""
        return HEADER_NUM_BYTES

    def member_num_bytes(self, num_frames: int) -> int:
        """Return the length of a member of so many frames."""
        return HEADER_NUM_BYTES + self.frame_num_bytes * num_frames

    def header(self, num_frames: int) -> bytes:
        """Return what stands before the values of so many frames."""
        shape = f"({num_frames}, {self.num_mels})"
        text = f"{{'descr': '<f2', 'fortran_order': False, 'shape': {shape}, }}".encode()
        return (_PREAMBLE + text).ljust(HEADER_NUM_BYTES - 1) + b"\n"

    def check_member(self, data: bytes | memoryview, *, where: object) -> int:
        """Return the number of frames that a member holds.

        Raises:
            ShardFormatError: its header is not that of as many frames as its bytes can hold.
        """
        num_frames, rest = divmod(len(data) - HEADER_NUM_BYTES, self.frame_num_bytes)
        if rest or num_frames < 1 or data[:HEADER_NUM_BYTES] != self.header(max(num_frames, 0)):
            raise ShardFormatError(
                f"{where}: expected a .npy file of '<f2' in C order with {self.num_mels} bands, and"
                f" {HEADER_NUM_BYTES} + {self.frame_num_bytes} x frames bytes; got {len(data)} "
                f"bytes that begin with {bytes(data[:80])!r}; copy the shard, or cache the "
                "features, again"
            )
        return num_frames

    def to_json(self) -> dict[str, Any]:
        """Return what stands in `dataset.json`."""
        named = {"dtype": "float16", "suffix": FEATURE_SUFFIX, "digest": self.digest}
        return asdict(self) | named

    @classmethod
    def from_json(cls, row: Json) -> "FeatureFormat":
        """Read it from a manifest; a `KeyError`, `TypeError` or `ValueError` if it is none."""
        if (row["dtype"], row["suffix"]) != ("float16", FEATURE_SUFFIX):
            raise ValueError(f"features are float16 in .{FEATURE_SUFFIX}, got {row!r}")
        rate_hz: float = typed(row["frame_rate_hz"], float)
        found = cls(
            preset=typed(row["preset"], str),
            parameters=typed(row["parameters"], dict),
            num_mels=count(row["num_mels"]),
            frame_rate_hz=rate_hz,
        )
        if found.digest != row["digest"]:
            raise ValueError(f"the features' digest is {found.digest}, not {row['digest']!r}")
        return found
