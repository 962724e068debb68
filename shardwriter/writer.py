"""ShardWriter: encoded samples in, published shards out; decides when a shard is full."""

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from shardwriter.encode import CleanClip, encode_clip
from shardwriter.errors import ConfigError, GroupStraddlesError, ShardFormatError, StorageError
from shardwriter.index import idx_to_bytes
from shardwriter.json_form import canonical_json
from shardwriter.manifest import Manifest, build_manifest, load_manifest, load_parts
from shardwriter.overlaps import (
    DUPLICATES_NAME,
    GROUPS_NAME,
    DuplicateAudio,
    GroupRule,
    StraddlingGroup,
    find_duplicates,
    find_straddling_groups,
)
from shardwriter.publish import load_idx, put_indexes
from shardwriter.schema import (
    MANIFEST_NAME,
    EncodedSample,
    SampleRecord,
    Settings,
    ShardEntry,
    check_split,
    idx_name,
    part_name,
    tar_name,
)
from shardwriter.storage import Store, open_store
from shardwriter.tarshard import TarShard


class ShardWriter:
    """Writes a dataset of tar shards; use it as a context manager.

    Leaving the block normally publishes the last shards, the indexes and `dataset.json`. Leaving
    it by an exception throws the unfinished shards away; those that were finished stay, and a
    writer that is opened on the same target again goes on behind them: `is_written` tells what
    can be left out, and shards are never renumbered. The same samples in the same order give
    the same bytes, however often the work was interrupted.

    ```python
    settings = Settings(name="mine", audio=AudioFormat(), labels=("dog", "rain"))
    with ShardWriter("out/mine", settings) as writer:
        writer.write_clip(CleanClip(id="mine/1", split="train", pcm_T=pcm_T, labels=("dog",)))
    ```
    """

    def __init__(
        self,
        target: str | Store,
        settings: Settings,
        *,
        max_samples_per_shard: int = 1000,
        max_bytes_per_shard: int = 256 << 20,
        group_rule: GroupRule = "report",
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare to write; nothing is touched before the `with` block is entered.

        Args:
            target: Folder or URL of the dataset, or an open store.
            settings: Name, audio format and vocabulary.
            max_samples_per_shard: A shard is full with so many clips ...
            max_bytes_per_shard: ... or when it has reached so many bytes.
            group_rule: What to do with a group that appears in two splits: `refuse` raises an
                error at its first clip in the second split; `report` lists it in
                `straddling_groups` and `availability/groups.jsonl`; `ignore` does nothing.
            provenance: How the audio was made, for `dataset.json`.

        Raises:
            ValueError: a limit below 1.
            ValueError, TypeError: `provenance` has no JSON form.
            ConfigError: `target` is a URL that no store serves.
        """
        if max_samples_per_shard < 1 or max_bytes_per_shard < 1:
            raise ValueError(
                "max_samples_per_shard and max_bytes_per_shard must be at least 1, got "
                f"{max_samples_per_shard} and {max_bytes_per_shard}"
            )
        self.settings = settings
        self._store = open_store(target) if isinstance(target, str) else target
        self._max_samples = max_samples_per_shard
        self._max_bytes = max_bytes_per_shard
        self._group_rule: GroupRule = group_rule
        self._split_of_group: dict[str, str] = {}
        self._provenance = dict(provenance or {})
        canonical_json(self._provenance)  # raises now, not when the work is done
        self._entries: list[ShardEntry] = []
        self._keys: set[str] = set()
        self._open: dict[str, TarShard] = {}
        self._failure: StorageError | None = None
        self._scratch = Path()
        self._resources = contextlib.ExitStack()
        self.manifest: Manifest | None = None
        """The published manifest, once the `with` block has ended normally."""
        self.straddling_groups: tuple[StraddlingGroup, ...] = ()
        """Groups that lie in several splits, known at the same time as `manifest`."""
        self.duplicates: tuple[DuplicateAudio, ...] = ()
        """Clips with the audio of an earlier clip, known at the same time as `manifest`."""

    def __enter__(self) -> Self:
        """Lock the target, load what is done, and make room for shards that are being written."""
        self._failure = None
        self._keys.clear()
        with contextlib.ExitStack() as resources, self._noting_failures():
            resources.enter_context(self._store.lock_for_writing())
            self._scratch = _new_folder(self._store.scratch_folder)
            resources.callback(shutil.rmtree, self._scratch, ignore_errors=True)
            self._entries = load_parts(self._store)
            self._refuse_other_settings()
            self._refuse_lost_parts()
            for entry in self._entries:
                table = load_idx(self._store, entry.tar)
                self._keys.update(table.column("key").to_pylist())
                if self._group_rule == "refuse":
                    groups = table.column("group").unique().drop_null().to_pylist()
                    self._split_of_group.update(dict.fromkeys(groups, entry.split))
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Publish, or after an exception discard what is not finished."""
        with self._resources:
            try:
                if kind is None:
                    self._refuse_to_go_on_after_a_failure()
                    with self._noting_failures():
                        self.manifest = self._finish()
            finally:
                for shard in self._open.values():
                    shard.discard()
                self._open.clear()

    def is_written(self, key: str) -> bool:
        """Tell whether a sample of this key lies in a shard already, published or open."""
        return key in self._keys

    def write_clip(self, clip: CleanClip) -> None:
        """Encode and append a clip."""
        self.write(encode_clip(clip, self.settings))

    def write(self, sample: EncodedSample) -> None:
        """Append an encoded sample to its split, and publish the shard if that fills it.

        Raises:
            ValueError: the key is there already, or the split's name makes no folder.
            ValueError, TypeError: the record has no JSON form.
            GroupStraddlesError: the clip's group is in another split, and `group_rule` forbids it.
            StorageError: the store is full, denied or has something else in the way. The writer
                refuses to go on; open a new one on the same target. After the other errors it
                can go on: the sample is left out.
        """
        self._refuse_to_go_on_after_a_failure()
        record = sample.record
        check_split(record.split)
        if record.key in self._keys:
            raise ValueError(f"a sample with the key {record.key!r} is in the dataset already")
        self._refuse_straddling(record)
        with self._noting_failures():
            shard = self._open.get(record.split)
            if shard is None:
                shard = self._open[record.split] = self._new_shard()
            shard.add(sample)
            self._keys.add(record.key)
            if len(shard.rows) >= self._max_samples or shard.num_bytes >= self._max_bytes:
                self._publish(record.split)

    @contextlib.contextmanager
    def _noting_failures(self) -> Iterator[None]:
        """Turn failures of the scratch file into `StorageError`, and remember every one.

        After it a shard may be half written or taken out of the writer's hands unpublished.
        """
        try:
            yield
        except StorageError as err:
            self._failure = err
            raise
        except OSError as err:
            self._failure = StorageError(f"{self._scratch}: {err.strerror}")
            raise self._failure from err

    def _refuse_to_go_on_after_a_failure(self) -> None:
        if self._failure is not None:
            raise StorageError(
                f"a write to {self._store.url} failed before, so nothing more is published; open "
                "a new writer on it, which goes on behind what is done"
            ) from self._failure

    def _new_shard(self) -> TarShard:
        return TarShard(_new_folder(self._scratch) / "shard.tar")

    def _publish(self, split: str) -> None:
        """Publish a shard: the tar, then its index, then the part that says it is done."""
        shard = self._open[split]
        number = sum(entry.split == split for entry in self._entries)
        tar = tar_name(split, self.settings.name, number)
        sha256 = shard.close()
        idx = idx_to_bytes(shard.rows)
        entry = ShardEntry(
            tar=tar,
            split=split,
            num_samples=len(shard.rows),
            num_bytes=shard.path.stat().st_size,
            duration_seconds=shard.duration_seconds,
            sha256=sha256,
            idx_sha256=hashlib.sha256(idx).hexdigest(),
            settings_digest=self.settings.digest,
        )
        self._store.put_file(tar, shard.path)
        self._store.put(idx_name(tar), idx)
        self._store.put(part_name(tar), entry.to_json_bytes())
        self._entries.append(entry)
        del self._open[split]

    def _finish(self) -> Manifest:
        for split in sorted(self._open):
            if self._open[split].rows:
                self._publish(split)
        if not self._entries:
            raise ConfigError(
                f"no sample was written to {self._store.url}, so there is no dataset to publish"
            )
        index_sha256, overlaps = put_indexes(self._store, self._entries)
        self._report_overlaps(overlaps)
        manifest = build_manifest(
            self.settings,
            self._entries,
            index_sha256=index_sha256,
            provenance=self._provenance | self._store.provenance(),
        )
        self._store.put(MANIFEST_NAME, manifest.to_json_bytes(), replace=True)
        return manifest

    def _report_overlaps(self, tables: list[pa.Table]) -> None:
        self.duplicates = find_duplicates(tables)
        if self._group_rule != "ignore":
            self.straddling_groups = find_straddling_groups(tables)
        for name, rows in (
            (DUPLICATES_NAME, self.duplicates),
            (GROUPS_NAME, self.straddling_groups),
        ):
            if rows:
                data = b"".join(row.to_json_bytes() for row in rows)
                self._store.put(name, data, replace=True)

    def _refuse_straddling(self, record: SampleRecord) -> None:
        if self._group_rule != "refuse" or record.group is None:
            return
        split = self._split_of_group.setdefault(record.group, record.split)
        if split != record.split:
            raise GroupStraddlesError(
                group=record.group, key=record.key, split=record.split, other_split=split
            )

    def _refuse_lost_parts(self) -> None:
        """Refuse to publish a manifest that would forget shards of the present one."""
        try:
            published = load_manifest(self._store).shards
        except (ConfigError, ShardFormatError):
            return  # none yet, or a damaged one, which the parts will replace
        for shard in published:
            if shard not in self._entries:
                raise ShardFormatError(
                    f"{self._store.url}/{part_name(shard.tar)} is not there or contradicts "
                    f"{MANIFEST_NAME}: copy it again, or ingest to another target"
                )

    def _refuse_other_settings(self) -> None:
        for entry in self._entries:
            if entry.settings_digest != self.settings.digest:
                raise ConfigError(
                    f"{self._store.url}/{entry.tar} was written with other settings (name, audio "
                    "format, processing or labels); use the same settings to go on, or choose "
                    "another target"
                )


def _new_folder(parent: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(dir=parent))
    except OSError as err:
        raise StorageError(f"{parent}: {err.strerror}") from err
