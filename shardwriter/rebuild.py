"""What a shard's tar alone tells: its index rows, its labels, how its audio was encoded."""

from collections.abc import Mapping
from dataclasses import dataclass

from shardwriter.audio_format import AudioFormat, Codec
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.feature_format import FEATURE_SUFFIX
from shardwriter.flac_frames import find_frame_offsets, read_stream_info
from shardwriter.foreign import scan_foreign_shard
from shardwriter.foreign_index import number_labels
from shardwriter.index import IndexRow, crc32c, pcm_hash
from shardwriter.object_stream import ObjectStream
from shardwriter.schema import JSON_SUFFIX, SampleRecord, Settings
from shardwriter.shard_names import TarName
from shardwriter.storage import Store
from shardwriter.targets import TargetTraits, index_values
from shardwriter.tarshard import Member, stream_members

_LOST_LABEL = "lost-label-{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuiltShard:
    """The content of a shard, as read from its tar."""

    tar: str
    split: str
    num_bytes: int
    sha256: str
    rows: tuple[IndexRow, ...]
    labels: Mapping[int, str]
    """Names of the label ids that occur."""
    targets: TargetTraits
    """Which targets occur, and the names of their classes."""
    suffixes: frozenset[str]
    """Extensions of the audio members."""
    frame_num_samples: int
    """The longest FLAC frame; 0 without FLAC."""


def rebuild_shard(store: Store, tar: str) -> RebuiltShard:
    """Read a shard of ours once, in memory bounded by its largest clip.

    Raises:
        ShardFormatError: the tar is damaged, or a sample contradicts itself.
        StorageError: it can't be read.
    """
    stream = ObjectStream(store, tar)
    members = stream_members(stream, num_bytes=stream.num_bytes, where=stream.where)
    rows: list[IndexRow] = []
    labels: dict[int, str] = {}
    targets = TargetTraits()
    splits: set[str] = set()
    suffixes: set[str] = set()
    longest_frame = 0
    for audio in members:
        where = f"{stream.where} at byte {audio.offset}"
        label = next(members, None)
        record = _read_label(audio, label, where=where)
        for label_id, name in zip(record.label_ids, record.labels, strict=False):
            if (
                len(record.label_ids) != len(record.labels)
                or labels.setdefault(label_id, name) != name
            ):
                raise ShardFormatError(f"{where}: label ids {record.label_ids} of {record.labels}")
        try:
            targets.add(record.targets, record.target_ids)
        except ValueError as err:
            raise ShardFormatError(f"{where}: {err}") from err
        splits.add(record.split)
        suffixes.add(audio.name.partition(".")[2])
        rows.append(_row(audio, label, record, where=where))
        if rows[-1].frame_offsets:
            info = read_stream_info(audio.data, where=where)
            longest_frame = max(longest_frame, info.max_block_num_samples)
    if len(splits) != 1:
        raise ShardFormatError(f"{stream.where}: expected clips of one split, got {sorted(splits)}")
    return RebuiltShard(
        tar=tar,
        split=splits.pop(),
        num_bytes=stream.num_bytes,
        sha256=stream.sha256(),
        rows=tuple(rows),
        labels=labels,
        targets=targets,
        suffixes=frozenset(suffixes),
        frame_num_samples=longest_frame,
    )


def rebuild_foreign_shard(
    store: Store, tar: str, settings: Settings, *, split: str
) -> RebuiltShard:
    """Read a foreign shard as the manifest says that it was read.

    Raises:
        ShardFormatError: the tar is damaged.
        StorageError: it can't be read.
        ValueError: the settings are not those of a foreign dataset.
    """
    if settings.foreign is None:
        raise ValueError("the settings are not those of a foreign dataset")
    scanned = scan_foreign_shard(store, tar, settings.foreign)
    shard = number_labels(scanned, scanned.rows, settings.labels)
    return RebuiltShard(
        tar=tar,
        split=split,
        num_bytes=shard.num_bytes,
        sha256=shard.sha256,
        rows=shard.rows,
        labels={},
        targets=TargetTraits(),
        suffixes=frozenset(),
        frame_num_samples=0,
    )


class DatasetTraits:
    """What the shards of a dataset without manifest have in common."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._suffixes: set[str] = set()
        self._rates: set[int] = set()
        self._labels: dict[int, str] = {}
        self._targets = TargetTraits()
        self._frame_num_samples = 0

    def add(self, shard: RebuiltShard) -> None:
        """Take a shard in."""
        tar = TarName.parse(shard.tar)
        self._names.add(tar.name if tar else shard.tar)
        self._suffixes |= shard.suffixes
        self._rates |= {row.sample_rate_hz for row in shard.rows}
        self._frame_num_samples = max(self._frame_num_samples, shard.frame_num_samples)
        for label_id, label in shard.labels.items():
            if self._labels.setdefault(label_id, label) != label:
                raise ConfigError(
                    f"{shard.tar}: label id {label_id} is {label!r}, in an earlier shard it is "
                    f"{self._labels[label_id]!r}: the tars are not of one dataset"
                )
        try:
            self._targets.update(shard.targets)
        except ValueError as err:
            raise ConfigError(f"{shard.tar}: {err}: the tars are not of one dataset") from err

    def settings(self) -> tuple[Settings, list[str]]:
        """Return the settings, and what of them could not be recovered."""
        is_encoded = len(self._suffixes) == len(self._rates) == 1
        is_encoded = is_encoded and self._suffixes <= {Codec.FLAC, Codec.WAV, Codec.OPUS}
        if FEATURE_SUFFIX in self._suffixes:
            raise ConfigError(
                "the tars hold features, and what preset they are of stood in dataset.json only: "
                "restore that, or run `melstream cache-features` again"
            )
        if len(self._names) != 1:
            raise ConfigError(f"the tars are not of one dataset: names {sorted(self._names)}")
        num_labels = max(self._labels, default=-1) + 1
        lost = [number for number in range(num_labels) if number not in self._labels]
        labels = tuple(
            self._labels.get(number, _LOST_LABEL.format(number)) for number in range(num_labels)
        )
        audio = self._encoded_format() if is_encoded else AudioFormat.of_source()
        targets, lost_classes = self._targets.targets()
        settings = Settings(
            name=next(iter(self._names)), audio=audio, labels=labels, targets=targets
        )
        lost_labels = [
            f"the name of label {number} is in no clip, it is {_LOST_LABEL.format(number)!r} now"
            for number in lost
        ]
        return settings, lost_labels + lost_classes

    def _encoded_format(self) -> AudioFormat:
        frames = {"frame_num_samples": self._frame_num_samples} if self._frame_num_samples else {}
        return AudioFormat(
            codec=Codec(next(iter(self._suffixes))),
            sample_rate_hz=next(iter(self._rates)),
            **frames,
        )


def _read_label(audio: Member, label: Member | None, *, where: str) -> SampleRecord:
    key = audio.name.partition(".")[0]
    expected = f"{key}.{JSON_SUFFIX}"
    if label is None or label.name != expected or audio.name == expected:
        raise ShardFormatError(
            f"{where}: expected member {expected!r} after {audio.name!r}, got "
            f"{label and label.name!r}; if others made this shard, run `melstream index`"
        )
    record = SampleRecord.from_json_bytes(label.data, where=f"{where}/{label.name}")
    if record.key != key:
        raise ShardFormatError(f"{where}: {label.name} is the label of {record.key!r}")
    return record


def _row(audio: Member, label: Member | None, record: SampleRecord, *, where: str) -> IndexRow:
    if label is None:
        raise ValueError("a row needs a label")
    frame_offsets: tuple[int, ...] = ()
    if audio.name.endswith(".flac"):
        frame_offsets = find_frame_offsets(audio.data, where=where)
        info = read_stream_info(audio.data, where=where)
        if (info.sample_rate_hz, info.num_samples) != (record.sample_rate_hz, record.num_samples):
            raise ShardFormatError(
                f"{where}: {audio.name} has {info.num_samples} samples at {info.sample_rate_hz} "
                f"Hz, its label says {record.num_samples} at {record.sample_rate_hz} Hz"
            )
    try:
        hash_of_pcm = pcm_hash(record.pcm_sha256)
    except ValueError as err:
        raise ShardFormatError(f"{where}: {label.name}: pcm_sha256 is {err}") from err
    return IndexRow(
        key=record.key,
        audio_offset=audio.offset,
        audio_num_bytes=len(audio.data),
        audio_crc32c=crc32c(audio.data),
        json_offset=label.offset,
        json_num_bytes=len(label.data),
        json_crc32c=crc32c(label.data),
        num_samples=record.num_samples,
        sample_rate_hz=record.sample_rate_hz,
        label_ids=record.label_ids,
        fold=record.fold,
        group=record.group,
        frame_offsets=frame_offsets,
        pcm_hash=hash_of_pcm,
        targets=index_values(record.targets, record.target_ids),
    )
