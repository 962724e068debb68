"""ShardWriter: encoded samples in, published shards out; decides when a shard is full."""

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shardwriter.encode import CleanClip, encode_clip
from shardwriter.errors import GroupStraddlesError, OtherContentError, StorageError
from shardwriter.json_form import canonical_json
from shardwriter.manifest import Manifest
from shardwriter.overlaps import DuplicateAudio, GroupRule, StraddlingGroup
from shardwriter.publish import (
    Published,
    load_held,
    load_held_of_lane,
    publish_manifest,
    publish_shard,
)
from shardwriter.schema import EncodedSample, SampleRecord, Settings, ShardEntry
from shardwriter.shard_names import TarName, check_lane, check_split, part_name, tar_name
from shardwriter.storage import Store, open_store
from shardwriter.tarshard import TarShard

logger = logging.getLogger(__name__)


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
        lane: str = "",
        passes_leftovers: bool = False,
        on_published: Callable[[Sequence[str]], None] | None = None,
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
            lane: Name of one of several writers that work on the target at once: `p003of064` or
                `s000012`. It is a part of the names of the shards, and the writer knows its own
                shards only. `dataset.json` is then not written: `merge_lanes` does that.
            passes_leftovers: A tar that a killed writer left without its part is in the way if
                its content is another. True: take the next number; readers never see the one
                that was left. For sources that don't give the same twice.
            on_published: Called with the keys of each shard as soon as it is done.

        Raises:
            ValueError: a limit below 1, or a lane of another form.
            ValueError, TypeError: `provenance` has no JSON form.
            ConfigError: `target` is a URL that no store serves.
        """
        if max_samples_per_shard < 1 or max_bytes_per_shard < 1:
            raise ValueError(
                "max_samples_per_shard and max_bytes_per_shard must be at least 1, got "
                f"{max_samples_per_shard} and {max_bytes_per_shard}"
            )
        check_lane(lane)
        self.settings = settings
        self.lane = lane
        self._passes_leftovers = passes_leftovers
        self._on_published = on_published
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
        self.published: Published | None = None
        """What was published, once the `with` block has ended normally; None in a lane."""

    def __enter__(self) -> Self:
        """Lock the target, load what is done, and make room for shards that are being written."""
        self._failure = None
        self._keys.clear()
        with contextlib.ExitStack() as resources, self._noting_failures():
            resources.enter_context(self._store.lock_for_writing(self.lane))
            self._scratch = _new_folder(self._store.scratch_folder)
            resources.callback(shutil.rmtree, self._scratch, ignore_errors=True)
            if self.lane:
                held = load_held_of_lane(self._store, self.settings, self.lane)
            else:
                held = load_held(self._store, self.settings)
            self._entries = list(held.entries)
            self._keys.update(held.keys)
            self._split_of_group = dict(held.split_of_group)
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
                        self._finish()
            finally:
                for shard in self._open.values():
                    shard.discard()
                self._open.clear()

    def is_written(self, key: str) -> bool:
        """Tell whether a sample of this key lies in a shard already, published or open."""
        return key in self._keys

    @property
    def manifest(self) -> Manifest | None:
        """The published manifest, once the `with` block has ended normally."""
        return self.published.manifest if self.published else None

    @property
    def straddling_groups(self) -> tuple[StraddlingGroup, ...]:
        """Groups that lie in several splits, known at the same time as `manifest`."""
        return self.published.straddling_groups if self.published else ()

    @property
    def duplicates(self) -> tuple[DuplicateAudio, ...]:
        """Clips with the audio of an earlier clip, known at the same time as `manifest`."""
        return self.published.duplicates if self.published else ()

    @property
    def num_shards(self) -> int:
        """Shards that are done, of earlier writers too."""
        return len(self._entries)

    def discard_unfinished(self) -> None:
        """Throw the shards away that are not full; their clips count as not written."""
        for shard in self._open.values():
            self._keys.difference_update(row.key for row in shard.rows)
            shard.discard()
        self._open.clear()

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
        entry = publish_shard(
            self._store,
            shard,
            put_tar=lambda: self._put_tar(split, shard),
            split=split,
            settings=self.settings,
        )
        self._entries.append(entry)
        del self._open[split]
        if self._on_published is not None:
            self._on_published([row.key for row in shard.rows])

    def _put_tar(self, split: str, shard: TarShard) -> str:
        """Publish the tar under the next free number; return its name."""
        number = self._next_number(split)
        while True:
            tar = tar_name(split, self.settings.name, number, lane=self.lane)
            try:
                self._store.put_file(tar, shard.path)
            except OtherContentError:
                if not self._passes_leftovers or self._store.exists(part_name(tar)):
                    raise
                logger.warning("left by a killed writer url=%s tar=%s", self._store.url, tar)
                number += 1
            else:
                return tar

    def _next_number(self, split: str) -> int:
        names = [TarName.parse(entry.tar) for entry in self._entries if entry.split == split]
        return max((tar.number + 1 for tar in names if tar and tar.lane == self.lane), default=0)

    def _finish(self) -> None:
        for split in sorted(self._open):
            if self._open[split].rows:
                self._publish(split)
        if self.lane:
            return
        self.published = publish_manifest(
            self._store,
            self.settings,
            self._entries,
            provenance=self._provenance,
            group_rule="ignore" if self._group_rule == "ignore" else "report",
        )

    def _refuse_straddling(self, record: SampleRecord) -> None:
        if self._group_rule != "refuse" or record.group is None:
            return
        split = self._split_of_group.setdefault(record.group, record.split)
        if split != record.split:
            raise GroupStraddlesError(
                group=record.group, key=record.key, split=record.split, other_split=split
            )


def _new_folder(parent: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(dir=parent))
    except OSError as err:
        raise StorageError(f"{parent}: {err.strerror}") from err
