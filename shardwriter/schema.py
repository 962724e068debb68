"""The shard format: its types, its version, and their JSON forms; names are in `shard_names`.

Layout of a dataset (the README documents it for other implementers)::

    ROOT/
      dataset.json                   the manifest, published last
      index/<split>.parquet          one row a sample: what planning and a checked read need
      <split>/<name>-NNNNNN.tar      ustar; per sample two adjacent members KEY.flac, KEY.json
                                     (of features: KEY.mel.npy, KEY.json)
      <split>/<name>-LANE-NNNNNN.tar the same, by one of several writers at once (p003of064)
      <split>/<name>-NNNNNN.idx      per shard: the index rows and the FLAC frame offsets (parquet)
      parts/<split>/<name>-NNNNNN.json   its manifest part: a shard is done iff this is there
      availability/                  what was tried and what was not there

Values between steps are frozen dataclasses; dictionaries appear only here, where JSON is read
or written. Only the standard library is imported.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from shardwriter.audio_format import AudioFormat
from shardwriter.errors import ShardFormatError
from shardwriter.feature_format import FeatureFormat as FeatureFormat  # for the loader, too
from shardwriter.json_form import (
    FORMAT_VERSION,
    Json,
    canonical_json,
    check_version,
    count,
    from_row,
    parse_json,
    shallow,
    typed,
)
from shardwriter.shard_names import NAME
from shardwriter.targets import Target, TargetValue, check_target_names, read_ids, read_values

MANIFEST_NAME = "dataset.json"
JSON_SUFFIX = "json"


class RejectionReason(StrEnum):
    """Why a clip did not make it into a shard."""

    ABSENT = "absent"  # listed by the catalogue, not there in the source
    EMPTY = "empty"  # no bytes, or no samples
    UNREADABLE = "unreadable"  # no decoder takes the bytes
    CORRUPT = "corrupt"  # decodes part of the way, or to other samples than the file says
    UNSUPPORTED = "unsupported"  # a rate, a number of channels or a change of them not read
    TRUNCATED = "truncated"  # the container promises more than it holds
    TOO_LONG = "too_long"  # over the bound on decoded duration
    WRONG_DURATION = "wrong_duration"  # not as long as the catalogue says
    NOT_FINITE = "not_finite"  # NaN, infinite or absurdly large samples
    SILENT = "silent"  # nothing over the threshold of trimming
    DUPLICATE = "duplicate"  # the catalogue lists the same clip twice
    NO_AUDIO = "no_audio"  # a foreign sample without an audio member
    NO_LABEL = "no_label"  # a foreign sample without the label field
    BAD_LABEL = "bad_label"  # a label field that holds no label, or one the vocabulary lacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A clip that was left out, and why."""

    clip_id: str
    stage: str
    """The step that refused it: `catalogue`, `fetch`, `clean` or `index`."""
    reason: RejectionReason
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Return the row of the rejections log."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """What a clip was made from."""

    file: str
    container: str
    """Container, and codec as the decoder names it, e.g. `wav/PCM_16` or `mp4/aac`."""
    sample_rate_hz: int
    num_channels: int
    num_samples: int
    """Samples taken from it, at its rate, from `start_sample` on."""
    sha256: str
    """Hash of the encoded source bytes."""
    start_sample: int = 0
    decoder: str = ""
    num_priming_samples: int | None = 0
    """Encoder delay that the decoder left out in front; None where the file doesn't tell it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanInfo:
    """What cleaning did to a clip, beyond what all clips of a dataset have in common."""

    gain_db: float = 0.0
    num_trimmed_start: int = 0
    """Silent samples left out in front, at the source's rate."""
    num_trimmed_stop: int = 0
    """... and at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecord:
    """The JSON member of a sample."""

    key: str
    """Name of the two members, without dots; `shardwriter.keys` turns it back into `id`."""
    id: str
    """Identity of the clip, e.g. `esc50/1-100032-A-0`."""
    split: str
    labels: tuple[str, ...]
    label_ids: tuple[int, ...]
    """Positions of `labels` in the dataset's vocabulary."""
    sample_rate_hz: int
    num_samples: int
    num_clipped: int
    """Samples that were limited to full scale when written as 16 bit."""
    pcm_sha256: str
    """Hash of the samples as little-endian int16, before encoding: the identity of the audio.
    FLAC and WAV decode to it. For `source` it is that of the clip mixed down to mono."""
    audio_suffix: str = "flac"
    """Extension of the audio member, or of that of its features; all else is that of the audio."""
    source: SourceInfo | None = None
    clean: CleanInfo | None = None
    fold: int | None = None
    group: str | None = None
    """What must not straddle splits: a speaker, a recording, an uploader."""
    targets: Mapping[str, TargetValue] = field(default_factory=dict)
    """What can be learned beside the labels, by name: `speaker`, `pitch`; none where unknown."""
    target_ids: Mapping[str, int] = field(default_factory=dict)
    """Positions of the class targets' values in their vocabularies."""
    metadata: Json = field(default_factory=dict)
    """The catalogue's own columns, e.g. ESC-50's category, target, esc10, src_file, take."""

    @property
    def duration_seconds(self) -> float:
        """Length of the clip."""
        return self.num_samples / self.sample_rate_hz

    def to_json_bytes(self) -> bytes:
        """Return the canonical bytes of the JSON member: sorted keys, UTF-8, one newline."""
        row = shallow(self) | {
            "version": FORMAT_VERSION,
            "duration_seconds": self.duration_seconds,
        }
        if not self.targets:
            del row["targets"], row["target_ids"]
        return canonical_json(row) + b"\n"

    @classmethod
    def from_json_bytes(cls, data: bytes, *, where: str) -> "SampleRecord":
        """Read a JSON member.

        Args:
            data: The member's bytes.
            where: Shard and member, for the error message.

        Raises:
            ShardFormatError: not JSON, another version, or a field missing or of a wrong type.
        """
        row = parse_json(data, where=where)
        check_version(row, where=where)
        try:
            targets = read_values(row.get("targets", {}))
            return cls(
                key=typed(row["key"], str),
                id=typed(row["id"], str),
                split=typed(row["split"], str),
                labels=tuple(typed(label, str) for label in typed(row["labels"], list)),
                label_ids=tuple(count(number) for number in typed(row["label_ids"], list)),
                sample_rate_hz=count(row["sample_rate_hz"]),
                num_samples=count(row["num_samples"]),
                num_clipped=count(row["num_clipped"]),
                pcm_sha256=typed(row["pcm_sha256"], str),
                audio_suffix=typed(row["audio_suffix"], str),
                source=None if row["source"] is None else from_row(SourceInfo, row["source"]),
                clean=None if row["clean"] is None else from_row(CleanInfo, row["clean"]),
                fold=None if row["fold"] is None else typed(row["fold"], int),
                group=None if row["group"] is None else typed(row["group"], str),
                targets=targets,
                target_ids=read_ids(row.get("target_ids", {}), targets),
                metadata=typed(row["metadata"], dict),
            )
        except (KeyError, TypeError) as err:
            raise ShardFormatError(f"{where}: the JSON label lacks or mistypes {err}") from err


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedSample:
    """A sample as it goes into a shard: encoded audio, where its frames lie, and its record."""

    record: SampleRecord
    audio: bytes
    frame_offsets: tuple[int, ...]
    """Byte offset of each FLAC frame from the start of `audio`, ascending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEntry:
    """A published shard, as its manifest part and the manifest list it."""

    tar: str
    """Store name of the tar, `<split>/<name>-NNNNNN.tar`."""
    split: str
    num_samples: int
    """Clips in the shard."""
    num_bytes: int
    duration_seconds: float
    sha256: str
    idx_sha256: str
    settings_digest: str
    """`Settings.digest` of the writer that made it: shards of one dataset agree in it."""

    def to_json_bytes(self) -> bytes:
        """Return the bytes of the manifest part."""
        return canonical_json(asdict(self) | {"version": FORMAT_VERSION}) + b"\n"

    @classmethod
    def from_json(cls, row: Json, *, where: str) -> "ShardEntry":
        """Read one entry; a missing, mistyped or unknown field is a `ShardFormatError`."""
        try:
            return from_row(cls, {name: row[name] for name in row if name != "version"})
        except (KeyError, TypeError) as err:
            raise ShardFormatError(f"{where}: not a shard entry of format 1: {err}") from err


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignFormat:
    """How shards that others made are read: which members are audio, and where the label is."""

    audio_suffixes: tuple[str, ...]
    """Extensions of audio members, lower case, without the first dot."""
    label_field: str
    """A member's extension, for JSON followed by a path: `cls`, `txt`, `json.label`, `json.a.b`."""

    @classmethod
    def from_json(cls, row: Json) -> "ForeignFormat":
        """Read it from a manifest; a `KeyError` or `TypeError` if it is none."""
        return cls(
            audio_suffixes=tuple(typed(suffix, str) for suffix in row["audio_suffixes"]),
            label_field=typed(row["label_field"], str),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What must be the same for every shard of a dataset."""

    name: str
    """Name of the dataset; also the stem of the shard names."""
    audio: AudioFormat
    labels: tuple[str, ...]
    """The vocabulary: a label's id is its position."""
    foreign: ForeignFormat | None = None
    """Set for shards that others made; they hold no JSON member of ours."""
    features: FeatureFormat | None = None
    """Set for shards of features in place of audio; `audio` then tells of what they were made."""
    processing: Json = field(default_factory=dict)
    """What was done to every clip (`CleanOptions.to_json()`): shards of one dataset agree in it."""
    targets: Mapping[str, Target] = field(default_factory=dict)
    """What samples may have beside the labels, by name. Vocabularies are fixed up front, because
    shards are published, with ids in them, before all samples are known."""

    def __post_init__(self) -> None:
        """Refuse a name that makes no file name, and labels that stand for two ids."""
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"a dataset's name is letters, digits, '_', '-' and '.', got {self.name!r}"
            )
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"the vocabulary of {self.name} lists a label twice: {self.labels}")
        check_target_names(self.targets)

    @property
    def digest(self) -> str:
        """Hash that tells two settings apart."""
        row = asdict(self)
        if self.foreign is None:
            del row["foreign"]  # as it was before there were foreign datasets
        if self.features is None:
            del row["features"]  # as it was before there were features
        if not self.targets:
            del row["targets"]  # as it was before there were targets
        return hashlib.sha256(canonical_json(row)).hexdigest()
