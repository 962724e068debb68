"""`melstream sync`: copy a dataset from store to store, checked against its manifest.

What is copied comes from the source's manifest. A shard's tar goes first, then its index, then
the manifest part that says it is done; `dataset.json` goes last of all, so that a reader of the
target sees the whole dataset or none, or the one it saw before. Each object's hash is checked
before it is published and again by reading it back. Nothing is ever deleted, and no shard replaced.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from jobs.console import byte_progress, complain, counted, human_bytes, say
from jobs.copying import Copier, check_sha256
from shardwriter.errors import ConfigError, MelstreamError, ShardFormatError, StorageError
from shardwriter.manifest import Manifest, load_manifest
from shardwriter.schema import MANIFEST_NAME, ShardEntry
from shardwriter.shard_names import idx_name, index_name, part_name
from shardwriter.storage import S3Options, Store, open_store

_MAX_PROBLEMS = 10
"""So many shards that can't be copied, and it isn't the shards."""
_AVAILABILITY = "availability"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """What the user chose."""

    source: str
    target: str
    source_s3: S3Options | None = None
    target_s3: S3Options | None = None
    use_s5cmd: bool = True
    num_threads: int = 4
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSummary:
    """What came of it."""

    num_shards: int
    num_copied: int
    """Shards whose tar was not there."""
    num_bytes: int
    num_bytes_copied: int
    problems: tuple[str, ...]
    """Why shards could not be copied; with any, the target's manifest is left as it was."""
    tool: str
    seconds: float


def sync(options: SyncOptions) -> SyncSummary:
    """Copy a dataset; what is there already with the right hash is left alone.

    Raises:
        ConfigError: no dataset at the source, or the target holds another or a newer one.
        StorageError: a store is missing or denied, or the indexes could not be copied.
        ShardFormatError: the source is damaged.
    """
    started = time.monotonic()
    source = open_store(options.source, options.source_s3)
    target = open_store(options.target, options.target_s3)
    if source.url == target.url and options.source_s3 == options.target_s3:
        raise ConfigError(f"source and target are the same: {source.url}")
    manifest = load_manifest(source)
    _refuse_other_dataset(target, manifest, source=source)
    num_bytes = sum(shard.num_bytes for shard in manifest.shards)
    copied: list[int] = []
    with target.lock_for_writing(), byte_progress(num_bytes, "sync", hidden=options.quiet) as bar:
        copier = Copier(source, target, use_s5cmd=options.use_s5cmd, advance=bar)
        problems = []
        for outcome in _copy_shards(copier, manifest.shards, num_threads=options.num_threads):
            if isinstance(outcome, int):
                copied.append(outcome)
            else:
                problems.append(str(outcome))
        if not problems:
            _finish(source, target, manifest)
    return SyncSummary(
        num_shards=len(manifest.shards),
        num_copied=sum(count > 0 for count in copied),
        num_bytes=num_bytes,
        num_bytes_copied=sum(copied),
        problems=tuple(problems),
        tool=copier.tool,
        seconds=time.monotonic() - started,
    )


def _refuse_other_dataset(target: Store, manifest: Manifest, *, source: Store) -> None:
    if not target.exists(MANIFEST_NAME):
        return
    held = load_manifest(target)
    if held.settings.digest != manifest.settings.digest:
        raise ConfigError(
            f"{target.url} holds another dataset ({held.settings.name}, other audio format or "
            "labels); choose another target"
        )
    ours = {(shard.tar, shard.sha256) for shard in manifest.shards}
    extra = [shard.tar for shard in held.shards if (shard.tar, shard.sha256) not in ours]
    if extra:
        raise ConfigError(
            f"{target.url} lists {len(extra)} shards that {source.url} lacks, the first is "
            f"{extra[0]}: it is newer, or was written on its own; sync the other way, or choose "
            "another target"
        )


def _copy_shards(
    copier: Copier, shards: Sequence[ShardEntry], *, num_threads: int
) -> Iterator[int | MelstreamError]:
    """Yield the bytes copied of each shard, or why it could not be copied."""
    num_problems = 0
    with ThreadPoolExecutor(num_threads, thread_name_prefix="sync") as pool:
        futures = [pool.submit(_copy_shard, copier, shard) for shard in shards]
        try:
            for future in as_completed(futures):
                problem = future.exception()
                if problem is None:
                    yield future.result()
                elif isinstance(problem, StorageError | ShardFormatError):
                    yield problem
                    num_problems += 1
                    if num_problems == _MAX_PROBLEMS:
                        return
                else:
                    raise problem
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _copy_shard(copier: Copier, shard: ShardEntry) -> int:
    """Copy what is missing of a shard, in the order in which a writer publishes it."""
    part = shard.to_json_bytes()
    num_bytes = copier.copy_file(shard.tar, num_bytes=shard.num_bytes, sha256=shard.sha256)
    copier.copy_small(idx_name(shard.tar), sha256=shard.idx_sha256)
    copier.copy_small(part_name(shard.tar), sha256=hashlib.sha256(part).hexdigest())
    return num_bytes


def _finish(source: Store, target: Store, manifest: Manifest) -> None:
    """Copy what tells of the shards: logs, the splits' indexes, and the manifest."""
    for name in sorted(source.names(_AVAILABILITY)):
        _replace(target, name, source.read(name))
    for split, totals in manifest.splits.items():
        name = index_name(split)
        index = source.read(name)
        check_sha256(index, totals.index_sha256, where=f"{source.url}/{name}")
        _replace(target, name, index)
    _replace(target, MANIFEST_NAME, manifest.to_json_bytes())


def _replace(target: Store, name: str, data: bytes) -> None:
    sha256 = hashlib.sha256(data).hexdigest()
    if target.sha256(name) != sha256:
        target.put(name, data, replace=True)
        check_sha256(target.read(name), sha256, where=f"{target.url}/{name}")


def print_summary(summary: SyncSummary, options: SyncOptions) -> int:
    """Print what came of it; return the exit status."""
    for problem in summary.problems:
        complain(f"  {problem}")
    copied = f"{summary.num_copied} copied ({human_bytes(summary.num_bytes_copied)})"
    if summary.problems:
        lost = counted(len(summary.problems), "shard")
        say(
            f"{options.target}: {lost} could not be copied, {copied}; its {MANIFEST_NAME} is not "
            "published"
        )
        return 1
    say(
        f"{options.target}: whole. {counted(summary.num_shards, 'shard')}, "
        f"{human_bytes(summary.num_bytes)}: {copied} by {summary.tool} in "
        f"{summary.seconds:.1f} s, {summary.num_shards - summary.num_copied} were there; "
        "every hash agrees"
    )
    return 0
