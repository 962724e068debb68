"""`dataset.json`: what a dataset holds; merged from parts, published last, checked on load."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from shardwriter.audio_format import AudioFormat
from shardwriter.errors import ConfigError, ReadOnlyError, ShardFormatError
from shardwriter.feature_format import FeatureFormat
from shardwriter.json_form import (
    FORMAT_VERSION,
    Json,
    canonical_json,
    check_version,
    from_row,
    parse_json,
)
from shardwriter.schema import MANIFEST_NAME, ForeignFormat, Settings, ShardEntry
from shardwriter.shard_names import part_name
from shardwriter.storage import Store
from shardwriter.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTotals:
    """Sums over the shards of a split."""

    num_shards: int
    num_samples: int
    num_bytes: int
    duration_seconds: float
    index_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The manifest of a published dataset."""

    settings: Settings
    splits: Mapping[str, SplitTotals]
    shards: tuple[ShardEntry, ...]
    """In order of split name and shard number."""
    provenance: Json
    """Tool versions and the choice of every step that made the audio."""

    @property
    def digest(self) -> str:
        """Identity of the content: equal for datasets whose samples and order are equal."""
        content = {
            "version": FORMAT_VERSION,
            "settings": self.settings.digest,
            "shards": [(shard.tar, shard.num_samples, shard.sha256) for shard in self.shards],
        }
        return hashlib.sha256(canonical_json(content)).hexdigest()

    def shards_of(self, split: str) -> tuple[ShardEntry, ...]:
        """Return the shards of a split; for an unknown one a `ConfigError` lists the known."""
        if split not in self.splits:
            known = ", ".join(sorted(self.splits))
            raise ConfigError(f"the dataset has no split {split!r}; it has: {known}")
        return tuple(shard for shard in self.shards if shard.split == split)

    def to_json_bytes(self) -> bytes:
        """Return the bytes of `dataset.json`."""
        settings = self.settings
        row = {
            "version": FORMAT_VERSION,
            "name": settings.name,
            "digest": self.digest,
            "audio": asdict(settings.audio),
            "labels": settings.labels,
            "processing": settings.processing,
            "splits": {name: asdict(totals) for name, totals in self.splits.items()},
            "shards": [asdict(shard) for shard in self.shards],
            "provenance": self.provenance,
        }
        if settings.foreign is not None:
            row["foreign"] = asdict(settings.foreign)
        if settings.features is not None:
            row["features"] = settings.features.to_json()
        if settings.targets:
            row["targets"] = {name: asdict(target) for name, target in settings.targets.items()}
        return json.dumps(row, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_json_bytes(cls, data: bytes, *, where: str) -> "Manifest":
        """Read `dataset.json`, and check its digest.

        Raises:
            ShardFormatError: another version, a field missing or mistyped, or the digest or the
                splits' totals don't match the shards.
        """
        row = parse_json(data, where=where)
        check_version(row, where=where)
        try:
            manifest = cls(
                settings=Settings(
                    name=row["name"],
                    audio=AudioFormat(**row["audio"]),
                    labels=tuple(row["labels"]),
                    foreign=ForeignFormat.from_json(row["foreign"]) if "foreign" in row else None,
                    features=(
                        FeatureFormat.from_json(row["features"]) if "features" in row else None
                    ),
                    processing=row["processing"],
                    targets={
                        name: Target.from_json(target)
                        for name, target in row.get("targets", {}).items()
                    },
                ),
                splits={
                    name: from_row(SplitTotals, totals) for name, totals in row["splits"].items()
                },
                shards=tuple(ShardEntry.from_json(shard, where=where) for shard in row["shards"]),
                provenance=row["provenance"],
            )
            expected = row["digest"]
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise ShardFormatError(f"{where}: not a manifest of format 1: {err}") from err
        if manifest.digest != expected:
            raise ShardFormatError(
                f"{where}: digest {expected} stands in the file, its content gives "
                f"{manifest.digest}; it was edited: ingest again"
            )
        index_sha256 = {split: totals.index_sha256 for split, totals in manifest.splits.items()}
        if manifest.splits != _split_totals(manifest.shards, index_sha256):
            raise ShardFormatError(
                f"{where}: the totals of its splits are not the sums of its shards; it was "
                "edited: ingest again"
            )
        return manifest


def build_manifest(
    settings: Settings,
    shards: Sequence[ShardEntry],
    *,
    index_sha256: Mapping[str, str],
    provenance: Json,
) -> Manifest:
    """Merge manifest parts into a manifest."""
    ordered = tuple(sorted(shards, key=lambda shard: (shard.split, shard.tar)))
    splits = _split_totals(ordered, index_sha256)
    return Manifest(settings=settings, splits=splits, shards=ordered, provenance=provenance)


def _split_totals(
    shards: Sequence[ShardEntry], index_sha256: Mapping[str, str]
) -> dict[str, SplitTotals]:
    by_split: dict[str, list[ShardEntry]] = defaultdict(list)
    for shard in shards:
        by_split[shard.split].append(shard)
    return {
        split: SplitTotals(
            num_shards=len(entries),
            num_samples=sum(entry.num_samples for entry in entries),
            num_bytes=sum(entry.num_bytes for entry in entries),
            duration_seconds=sum(entry.duration_seconds for entry in entries),
            index_sha256=index_sha256.get(split, ""),
        )
        for split, entries in sorted(by_split.items())
    }


def load_manifest(store: Store) -> Manifest:
    """Load and check the manifest of a dataset.

    Raises:
        ConfigError: there is no dataset at the store's URL, or an ingest has not finished.
        ShardFormatError: the manifest is damaged or of another version.
    """
    if not store.exists(MANIFEST_NAME):
        unfinished = _has_parts(store)
        raise ConfigError(
            f"{store.url} has manifest parts but no {MANIFEST_NAME}: its ingest did not finish; "
            "run the same ingest command again, it goes on where it stopped"
            if unfinished
            else f"no dataset at {store.url} ({MANIFEST_NAME} is not there); "
            "make one with `melstream ingest`"
        )
    return Manifest.from_json_bytes(store.read(MANIFEST_NAME), where=f"{store.url}/{MANIFEST_NAME}")


def _has_parts(store: Store) -> bool:
    try:
        return any(True for _ in store.names("parts/"))
    except ReadOnlyError:  # web servers list nothing
        return False


def load_parts(store: Store, *, lane: str = "") -> list[ShardEntry]:
    """Load the manifest parts: the shards that are done, of all or one lane, in order of name."""
    entries = []
    for name in sorted(name for name in store.names("parts/") if f"-{lane}-" in name or not lane):
        row = parse_json(store.read(name), where=f"{store.url}/{name}")
        check_version(row, where=f"{store.url}/{name}")
        entry = ShardEntry.from_json(row, where=f"{store.url}/{name}")
        if part_name(entry.tar) != name:
            raise ShardFormatError(f"{store.url}/{name} describes {entry.tar}: it was moved")
        entries.append(entry)
    return entries
