"""Check a dataset against its manifest: sizes, hashes, tars, labels, audio, indexes."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import soundfile

from shardwriter.errors import ShardFormatError, StorageError
from shardwriter.index import IndexRow, crc32c, index_rows, merge_idx, read_idx
from shardwriter.manifest import Manifest
from shardwriter.schema import (
    JSON_SUFFIX,
    SampleRecord,
    Settings,
    ShardEntry,
    idx_name,
    index_name,
    part_name,
)
from shardwriter.storage import Store
from shardwriter.tarshard import Member, read_members

_FRAME_SYNC = b"\xff\xf8"  # with the bit that says that all frames have the same size


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReport:
    """What the check of one shard found."""

    tar: str
    num_samples: int
    problems: tuple[str, ...]
    """Each names the object, the place in it, what was expected and what is there."""


def check_shards(
    store: Store, manifest: Manifest, shards: Sequence[ShardEntry], *, decode: bool = True
) -> Iterator[ShardReport]:
    """Check shards one by one; every byte is read, and with `decode` every clip decoded."""
    for shard in shards:
        try:
            problems = tuple(_shard_problems(store, manifest.settings, shard, decode=decode))
        except (ShardFormatError, StorageError) as err:
            problems = (str(err),)
        yield ShardReport(tar=shard.tar, num_samples=shard.num_samples, problems=problems)


def check_indexes(store: Store, manifest: Manifest) -> list[str]:
    """Return how the splits' planning indexes differ from the shards' own ones."""
    problems = []
    for split, totals in manifest.splits.items():
        name = index_name(split)
        try:
            held = store.read(name)
            merged = merge_idx(
                [(shard.tar, _read_idx(store, shard)) for shard in manifest.shards_of(split)]
            )
        except (ShardFormatError, StorageError) as err:
            problems.append(str(err))
            continue
        if hashlib.sha256(held).hexdigest() != totals.index_sha256:
            problems.append(f"{store.url}/{name}: its SHA-256 is not the one in the manifest")
        elif held != merged:
            problems.append(f"{store.url}/{name}: is not what its shards' .idx files add up to")
    return problems


def _shard_problems(
    store: Store, settings: Settings, shard: ShardEntry, *, decode: bool
) -> Iterator[str]:
    where = f"{store.url}/{shard.tar}"
    data = store.read(shard.tar)
    if len(data) != shard.num_bytes:
        yield f"{where}: expected {shard.num_bytes} bytes, got {len(data)}"
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != shard.sha256:
        yield f"{where}: expected SHA-256 {shard.sha256}, got {sha256}"
    idx = store.read(idx_name(shard.tar))
    if hashlib.sha256(idx).hexdigest() != shard.idx_sha256:
        yield f"{store.url}/{idx_name(shard.tar)}: its SHA-256 is not the one in the manifest"
    part = part_name(shard.tar)
    if store.read(part) != shard.to_json_bytes():
        yield f"{store.url}/{part}: is not what the manifest says of the shard"
    rows = index_rows(read_idx(idx, where=f"{store.url}/{idx_name(shard.tar)}"))
    members = list(read_members(data, where=where))
    if not len(members) == 2 * len(rows) == 2 * shard.num_samples:
        yield (
            f"{where}: the manifest lists {shard.num_samples} samples, the .idx {len(rows)}, "
            f"the tar holds {len(members)} members (two a sample)"
        )
        return
    for row, audio, label in zip(rows, members[::2], members[1::2], strict=True):
        for problem in _sample_problems(settings, row, audio, label, where=where, decode=decode):
            yield f"{where} at byte {audio.offset}: {problem}"


def _sample_problems(
    settings: Settings, row: IndexRow, audio: Member, label: Member, *, where: str, decode: bool
) -> Iterator[str]:
    names = (f"{row.key}.{settings.audio.suffix}", f"{row.key}.{JSON_SUFFIX}")
    if (audio.name, label.name) != names:
        yield f"expected members {names}, got {(audio.name, label.name)}"
        return
    indexed = (row.audio_offset, row.audio_num_bytes, row.audio_crc32c)
    held = (audio.offset, len(audio.data), crc32c(audio.data))
    if indexed != held:
        yield f"{audio.name}: the .idx says (offset, bytes, crc32c) {indexed}, the tar has {held}"
    indexed = (row.json_offset, row.json_num_bytes, row.json_crc32c)
    held = (label.offset, len(label.data), crc32c(label.data))
    if indexed != held:
        yield f"{label.name}: the .idx says (offset, bytes, crc32c) {indexed}, the tar has {held}"
    record = SampleRecord.from_json_bytes(label.data, where=f"{where}/{label.name}")
    yield from _label_problems(settings, row, record)
    if decode:
        yield from _audio_problems(settings, row, record, audio)


def _label_problems(settings: Settings, row: IndexRow, record: SampleRecord) -> Iterator[str]:
    named = tuple(
        settings.labels[label_id] if 0 <= label_id < len(settings.labels) else None
        for label_id in record.label_ids
    )
    if named != record.labels:
        yield f"{row.key}: label ids {record.label_ids} name {named}, not {record.labels}"
    fields = ("key", "num_samples", "sample_rate_hz", "label_ids", "fold", "group")
    for name in fields:
        if getattr(row, name) != getattr(record, name):
            yield (
                f"{row.key}: the .idx says {name} {getattr(row, name)!r}, "
                f"its JSON says {getattr(record, name)!r}"
            )


def _audio_problems(
    settings: Settings, row: IndexRow, record: SampleRecord, audio: Member
) -> Iterator[str]:
    try:
        pcm_T, sample_rate_hz = soundfile.read(io.BytesIO(audio.data), dtype="int16")
    except soundfile.SoundFileError as err:
        yield f"{audio.name}: does not decode: {err}"
        return
    if (sample_rate_hz, pcm_T.shape) != (record.sample_rate_hz, (record.num_samples,)):
        yield (
            f"{audio.name}: expected {record.num_samples} mono samples at "
            f"{record.sample_rate_hz} Hz, got {pcm_T.shape} at {sample_rate_hz} Hz"
        )
    elif hashlib.sha256(pcm_T.astype("<i2")).hexdigest() != record.pcm_sha256:
        yield f"{audio.name}: the decoded samples' SHA-256 is not the one in the label"
    num_frames = -(-record.num_samples // settings.audio.frame_num_samples)
    if len(row.frame_offsets) != num_frames:
        yield (
            f"{audio.name}: the .idx has {len(row.frame_offsets)} frame offsets, "
            f"{record.num_samples} samples make {num_frames} frames"
        )
    if any(audio.data[start : start + 2] != _FRAME_SYNC for start in row.frame_offsets):
        yield f"{audio.name}: a frame offset of the .idx does not point at a FLAC frame"


def _read_idx(store: Store, shard: ShardEntry) -> pa.Table:
    name = idx_name(shard.tar)
    return read_idx(store.read(name), where=f"{store.url}/{name}")
