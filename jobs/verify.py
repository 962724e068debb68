"""`melstream verify`: is a dataset what its manifest says, byte for byte?"""

import functools
from collections.abc import Container, Sequence
from dataclasses import dataclass

from jobs.console import complain, counted, human_bytes, progress, say
from jobs.shard_pool import map_shards
from shardwriter.check import (
    ALL_CLIPS,
    NO_CLIPS,
    ShardReport,
    check_indexes,
    check_shard,
    choose_clips,
)
from shardwriter.errors import ShardFormatError, StorageError
from shardwriter.manifest import Manifest, load_manifest
from shardwriter.overlaps import find_duplicates, find_straddling_groups, overlap_columns
from shardwriter.publish import load_idx
from shardwriter.rebuild import RebuiltShard, rebuild_foreign_shard, rebuild_shard
from shardwriter.repair import KnownDataset, Repair, load_known, repair_indexes, tars_to_read
from shardwriter.schema import Settings, ShardEntry
from shardwriter.storage import S3Options, Store, open_store

_MAX_PROBLEMS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    shard: ShardEntry
    decode: Container[int]


def verify(
    url: str,
    *,
    decode: bool = True,
    num_sampled: int | None = None,
    seed: int = 0,
    num_workers: int = 1,
    s3: S3Options | None = None,
) -> int:
    """Check a dataset and print what is wrong; return 0 if it is whole, 1 if it is not.

    Args:
        url: The dataset. All of its bytes are read and hashed.
        decode: Decode clips as well.
        num_sampled: Decode only so many, chosen at random with `seed`.
        seed: The same seed chooses the same clips.
        num_workers: Processes; each works on a shard of its own.
        s3: How to reach S3.
    """
    store = open_store(url, s3)
    manifest = load_manifest(store)
    problems: list[str] = []
    shards = manifest.shards
    if decode and num_sampled is not None:
        chosen: list[Container[int]] = [*choose_clips(shards, num_sampled, seed=seed)]
    else:
        chosen = [ALL_CLIPS if decode else NO_CLIPS] * len(shards)
    tasks = [
        _Task(shard=shard, decode=places) for shard, places in zip(shards, chosen, strict=True)
    ]
    work = functools.partial(_check, url, s3, manifest.settings)
    reports = map_shards(work, tasks, num_workers=num_workers)
    for report in progress(reports, total=len(shards), what="verify", unit="shard"):
        problems.extend(report.problems)
    problems.extend(check_indexes(store, manifest))
    _print_some(problems)
    num_samples = sum(shard.num_samples for shard in shards)
    num_bytes = sum(shard.num_bytes for shard in shards)
    checked = (
        f"{counted(len(shards), 'shard')}, {counted(num_samples, 'clip')}, {human_bytes(num_bytes)}"
    )
    if problems:
        found = counted(len(problems), "problem")
        say(f"{url}: {found} in {checked}; ingest it again, or restore a copy")
        return 1
    for note in _notes(store, manifest):
        say(f"note: {note}")
    num_decoded = num_samples if num_sampled is None else min(num_sampled, num_samples)
    audio = "" if num_decoded == num_samples else f" of {num_decoded} clips"
    what = "decoded audio" if manifest.settings.features is None else "features"
    how = f"hashes, structure, labels and {what}{audio} agree" if decode else "hashes agree"
    say(f"{url}: whole. {checked}: {how}")
    return 0


def repair_index(url: str, *, num_workers: int = 1, s3: S3Options | None = None) -> int:
    """Rebuild indexes, parts and manifest from the tars; return 0, or 1 if tars are refused."""
    store = open_store(url, s3)
    with store.lock_for_writing():
        known = load_known(store)
        tars = tars_to_read(store, known)
        work = functools.partial(_rebuild, url, s3, known)
        shards = map_shards(work, tars, num_workers=num_workers)
        shown = progress(shards, total=len(tars), what="read", unit="shard")
        repair = repair_indexes(store, known, shown)
    _print_repair(repair, url, num_shards=len(tars))
    return 1 if repair.refusals else 0


def _check(url: str, s3: S3Options | None, settings: Settings, task: _Task) -> ShardReport:
    return check_shard(open_store(url, s3), settings, task.shard, decode=task.decode)


def _rebuild(url: str, s3: S3Options | None, known: KnownDataset, tar: str) -> RebuiltShard | str:
    store = open_store(url, s3)
    settings = known.manifest.settings if known.manifest is not None else None
    try:
        if settings is None or settings.foreign is None:
            return rebuild_shard(store, tar)
        return rebuild_foreign_shard(store, tar, settings, split=known.entries[tar].split)
    except (ShardFormatError, StorageError) as err:
        return str(err)


def _notes(store: Store, manifest: Manifest) -> list[str]:
    """Say what is no fault of the bytes but worth knowing."""
    tables = [overlap_columns(shard.split, load_idx(store, shard.tar)) for shard in manifest.shards]
    notes = []
    duplicates = find_duplicates(tables)
    if duplicates:
        first = duplicates[0]
        notes.append(
            f"{counted(len(duplicates), 'clip')} with the audio of another clip, the first is "
            f"{first.key} ({first.split}), which sounds as {first.same_as_key} "
            f"({first.same_as_split})"
        )
    groups = find_straddling_groups(tables)
    if groups:
        notes.append(
            f"{len(groups)} groups lie in more than one split, the first is {groups[0].group}: "
            + ", ".join(f"{split} {count}" for split, count in groups[0].num_clips.items())
        )
    return notes


def _print_repair(repair: Repair, url: str, *, num_shards: int) -> None:
    for change in repair.changes:
        say(f"  {change}")
    _print_some(repair.refusals)
    if repair.refusals:
        say(
            f"{url}: {len(repair.refusals)} of {num_shards} tars are refused, so the splits' "
            "indexes and dataset.json stay as they were"
        )
    elif repair.changes:
        say(f"{url}: repaired from {num_shards} tars. `melstream verify {url}` checks the audio")
    else:
        say(f"{url}: indexes and manifest agree with {num_shards} tars, nothing was changed")


def _print_some(problems: Sequence[str]) -> None:
    for problem in problems[:_MAX_PROBLEMS_SHOWN]:
        complain(f"  {problem}")
    if len(problems) > _MAX_PROBLEMS_SHOWN:
        complain(f"  ... and {len(problems) - _MAX_PROBLEMS_SHOWN} more")
