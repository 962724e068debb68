"""Check a dataset against its manifest: sizes, hashes, tars, labels, audio, indexes."""

import bisect
import hashlib
import io
import random
import sys
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile

from shardwriter import decode as decoder
from shardwriter.audio_format import Codec
from shardwriter.errors import AudioError, ShardFormatError, StorageError
from shardwriter.feature_format import FEATURE_SUFFIX, FeatureFormat
from shardwriter.flac_frames import find_frame_offsets
from shardwriter.foreign_check import foreign_problems
from shardwriter.index import PCM_HASH_BYTES, IndexRow, crc32c, index_rows, merge_idx, read_idx
from shardwriter.manifest import Manifest
from shardwriter.mixdown import DecodeRules
from shardwriter.object_stream import ObjectStream
from shardwriter.publish import load_idx
from shardwriter.quantise import to_pcm16
from shardwriter.schema import JSON_SUFFIX, SampleRecord, Settings, ShardEntry
from shardwriter.shard_names import idx_name, index_name, part_name
from shardwriter.storage import Store
from shardwriter.targets import check_targets, index_values, target_ids
from shardwriter.tarshard import Member, stream_members


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReport:
    """What the check of one shard found."""

    tar: str
    num_samples: int
    problems: tuple[str, ...]
    """Each names the object, the place in it, what was expected and what is there."""


ALL_CLIPS = range(sys.maxsize)
NO_CLIPS = range(0)


def check_shards(
    store: Store, manifest: Manifest, shards: Sequence[ShardEntry], *, decode: bool = True
) -> Iterator[ShardReport]:
    """Check shards one by one; every byte is read, and with `decode` every clip decoded."""
    for shard in shards:
        yield check_shard(store, manifest.settings, shard, decode=ALL_CLIPS if decode else NO_CLIPS)


def check_shard(
    store: Store, settings: Settings, shard: ShardEntry, *, decode: Container[int] = ALL_CLIPS
) -> ShardReport:
    """Check one shard: every byte is read and hashed, in memory bounded by the largest clip.

    Args:
        store: Where the dataset lies.
        settings: The manifest's settings.
        shard: The manifest's entry.
        decode: Places in the shard of the clips that are decoded too.
    """
    try:
        problems = tuple(_shard_problems(store, settings, shard, decode=decode))
    except (ShardFormatError, StorageError) as err:
        problems = (str(err),)
    return ShardReport(tar=shard.tar, num_samples=shard.num_samples, problems=problems)


def choose_clips(shards: Sequence[ShardEntry], num_clips: int, *, seed: int) -> list[set[int]]:
    """Choose clips of a dataset at random, each as likely as any other.

    Args:
        shards: All shards, in the manifest's order.
        num_clips: How many; all of them if there are fewer.
        seed: The same seed chooses the same clips.

    Returns:
        For each shard the places of its chosen clips.
    """
    total = sum(shard.num_samples for shard in shards)
    chosen = sorted(random.Random(seed).sample(range(total), min(num_clips, total)))
    places: list[set[int]] = []
    first = 0
    for shard in shards:
        stop = first + shard.num_samples
        inside = chosen[bisect.bisect_left(chosen, first) : bisect.bisect_left(chosen, stop)]
        places.append({position - first for position in inside})
        first = stop
    return places


def check_indexes(store: Store, manifest: Manifest) -> list[str]:
    """Return how the splits' planning indexes differ from the shards' own ones."""
    problems = []
    for split, totals in manifest.splits.items():
        name = index_name(split)
        try:
            held = store.read(name)
            merged = merge_idx(
                [(shard.tar, load_idx(store, shard.tar)) for shard in manifest.shards_of(split)]
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
    store: Store, settings: Settings, shard: ShardEntry, *, decode: Container[int]
) -> Iterator[str]:
    where = f"{store.url}/{shard.tar}"
    if settings.foreign is not None:
        yield from foreign_problems(store, settings, settings.foreign, shard, decode=decode)
        return
    stream = ObjectStream(store, shard.tar)
    if stream.num_bytes != shard.num_bytes:
        yield f"{where}: expected {shard.num_bytes} bytes, got {stream.num_bytes}"
    idx = store.read(idx_name(shard.tar))
    if hashlib.sha256(idx).hexdigest() != shard.idx_sha256:
        yield f"{store.url}/{idx_name(shard.tar)}: its SHA-256 is not the one in the manifest"
    part = part_name(shard.tar)
    if store.read(part) != shard.to_json_bytes():
        yield f"{store.url}/{part}: is not what the manifest says of the shard"
    rows = index_rows(read_idx(idx, where=f"{store.url}/{idx_name(shard.tar)}"))
    try:
        yield from _content_problems(settings, shard, rows, stream, decode=decode)
    except ShardFormatError as err:
        yield str(err)
    sha256 = stream.sha256()
    if sha256 != shard.sha256:
        yield f"{where}: expected SHA-256 {shard.sha256}, got {sha256}"


def _content_problems(
    settings: Settings,
    shard: ShardEntry,
    rows: Sequence[IndexRow],
    stream: ObjectStream,
    *,
    decode: Container[int],
) -> Iterator[str]:
    where = stream.where
    members = stream_members(stream, num_bytes=stream.num_bytes, where=where)
    num_members = 0
    for place, (audio, label) in enumerate(_pairs(members)):
        num_members += 1 if label is None else 2
        if label is not None and place < len(rows):
            for problem in _sample_problems(
                settings, rows[place], audio, label, where=where, decode=place in decode
            ):
                yield f"{where} at byte {audio.offset}: {problem}"
    if not num_members == 2 * len(rows) == 2 * shard.num_samples:
        yield (
            f"{where}: the manifest lists {shard.num_samples} samples, the .idx {len(rows)}, "
            f"the tar holds {num_members} members (two a sample)"
        )


def _pairs(members: Iterator[Member]) -> Iterator[tuple[Member, Member | None]]:
    for audio in members:
        yield audio, next(members, None)


def _sample_problems(
    settings: Settings, row: IndexRow, audio: Member, label: Member, *, where: str, decode: bool
) -> Iterator[str]:
    record = SampleRecord.from_json_bytes(label.data, where=f"{where}/{label.name}")
    names = (f"{row.key}.{record.audio_suffix}", f"{row.key}.{JSON_SUFFIX}")
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
    yield from _label_problems(settings, row, record)
    if decode:
        yield from _audio_problems(settings, row, record, audio)


def _label_problems(settings: Settings, row: IndexRow, record: SampleRecord) -> Iterator[str]:
    named = tuple(
        settings.labels[label_id] if 0 <= label_id < len(settings.labels) else None
        for label_id in record.label_ids
    )
    codec = settings.audio.codec
    expected = codec if settings.features is None else FEATURE_SUFFIX
    if expected != Codec.SOURCE and record.audio_suffix != expected:
        yield f"{row.key}: the audio member is .{record.audio_suffix}, expected .{expected}"
    if named != record.labels:
        yield f"{row.key}: label ids {record.label_ids} name {named}, not {record.labels}"
    fields = ("key", "num_samples", "sample_rate_hz", "label_ids", "fold", "group")
    for name in fields:
        if getattr(row, name) != getattr(record, name):
            yield (
                f"{row.key}: the .idx says {name} {getattr(row, name)!r}, "
                f"its JSON says {getattr(record, name)!r}"
            )
    yield from _target_problems(settings, row, record)
    held = None if row.pcm_hash is None else row.pcm_hash.hex()
    if held != record.pcm_sha256[: 2 * PCM_HASH_BYTES]:
        yield f"{row.key}: the .idx says pcm_hash {held}, its JSON says {record.pcm_sha256}"


def _target_problems(settings: Settings, row: IndexRow, record: SampleRecord) -> Iterator[str]:
    try:
        check_targets(record.targets, settings.targets, where=row.key)
    except ValueError as err:
        yield str(err)
        return
    named = target_ids(record.targets, settings.targets)
    if record.target_ids != named:
        yield f"{row.key}: target ids {record.target_ids}, the manifest's vocabularies say {named}"
    held = index_values(record.targets, named)
    if row.targets != held:
        yield f"{row.key}: the .idx says targets {row.targets}, its JSON says {held}"


def _audio_problems(
    settings: Settings, row: IndexRow, record: SampleRecord, audio: Member
) -> Iterator[str]:
    if settings.features is not None:
        yield from _feature_problems(settings.features, audio)
        return
    try:
        decoded = _decode_member(settings, record, audio)
    except (AudioError, soundfile.SoundFileError) as err:
        yield f"{audio.name}: does not decode: {err}"
        return
    pcm_TC, sample_rate_hz = decoded
    expected = (record.num_samples, 1, record.sample_rate_hz)
    got = (*pcm_TC.shape, sample_rate_hz)
    if got != expected:
        yield f"{audio.name}: expected (samples, channels, Hz) {expected}, got {got}"
    elif settings.audio.is_lossless and _sha256(pcm_TC) != record.pcm_sha256:
        yield f"{audio.name}: the decoded samples' SHA-256 is not the one in the label"
    yield from _frame_offset_problems(settings, row, audio)


def _feature_problems(features: FeatureFormat, member: Member) -> Iterator[str]:
    try:
        features.check_member(member.data, where=member.name)
    except ShardFormatError as err:
        yield str(err)
        return
    values = np.frombuffer(member.data, dtype="<f2", offset=features.header_num_bytes)
    num_not_finite = int((~np.isfinite(values)).sum())
    if num_not_finite:
        yield f"{member.name}: {num_not_finite} of {len(values)} values are not finite"


def _decode_member(
    settings: Settings, record: SampleRecord, audio: Member
) -> tuple[npt.NDArray[np.int16], int]:
    """Decode as a reader of the format would; source bytes, which can be anything, as ingest did.

    Returns the samples, axes T and C, and their rate.
    """
    if settings.audio.codec != Codec.SOURCE:
        with soundfile.SoundFile(io.BytesIO(audio.data)) as sound:
            # libsndfile gives Opus at the rate that went into it.
            return sound.read(dtype="int16", always_2d=True), sound.samplerate
    rules = DecodeRules(max_seconds=record.duration_seconds + 1.0)
    source = decoder.decode(audio.data, file=audio.name, rules=rules)
    return to_pcm16(source.wave_T)[0][:, None], source.source.sample_rate_hz


def _sha256(pcm_TC: npt.NDArray[np.int16]) -> str:
    return hashlib.sha256(pcm_TC.astype("<i2", copy=False).tobytes()).hexdigest()


def _frame_offset_problems(settings: Settings, row: IndexRow, audio: Member) -> Iterator[str]:
    if settings.audio.codec != Codec.FLAC:
        if row.frame_offsets:
            yield f"{audio.name}: the .idx has frame offsets, which only FLAC has"
        return
    found = find_frame_offsets(audio.data, where=audio.name)
    if row.frame_offsets != found:
        yield (
            f"{audio.name}: the .idx has {len(row.frame_offsets)} frame offsets that differ "
            f"from those of its {len(found)} FLAC frames"
        )
