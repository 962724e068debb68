"""`melstream index`: make shards that others made readable, without rewriting them."""

import collections
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jobs.console import counted, human_bytes, progress, say, table
from jobs.shard_pool import map_shards
from jobs.versions import tool_versions
from shardwriter.errors import ConfigError
from shardwriter.foreign import AUDIO_SUFFIXES, ForeignShard, scan_foreign_shard
from shardwriter.foreign_index import ForeignIndex, index_foreign
from shardwriter.foreign_tars import detect_label_field, find_tars, refuse_what_is_there
from shardwriter.schema import ForeignFormat
from shardwriter.storage import S3Options, open_store

REJECTIONS_NAME = "availability/rejections.jsonl"
_MAX_KINDS_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """What the user chose."""

    url: str
    splits: Mapping[str, str] = field(default_factory=dict)
    """Glob or folder by split; empty: all tars are one split, `train`."""
    label_field: str | None = None
    """None: the first of the usual ones that the first sample has."""
    audio_suffixes: tuple[str, ...] = AUDIO_SUFFIXES
    vocabulary: Path | None = None
    """A file with a label a line, in order of the ids."""
    name: str | None = None
    num_workers: int = 1
    s3: S3Options | None = None
    """How to reach `url`, if it is on S3."""
    quiet: bool = False


def index(options: IndexOptions) -> ForeignIndex:
    """Index foreign shards in one pass, and write the index beside them.

    Samples that can't be used are rows of `availability/rejections.jsonl`.

    Raises:
        ConfigError: nothing to index, or the settings don't fit what is there.
        ShardFormatError: a tar is damaged, or holds what a shard must not hold.
        StorageError: the store can't be read or written.
    """
    store = open_store(options.url, options.s3)
    split_of = find_tars(store, options.splits)
    refuse_what_is_there(store, split_of)
    vocabulary = None if options.vocabulary is None else read_vocabulary(options.vocabulary)
    tars = list(split_of)
    foreign = ForeignFormat(
        audio_suffixes=options.audio_suffixes,
        label_field=options.label_field
        or detect_label_field(store, tars[0], audio_suffixes=options.audio_suffixes),
    )
    with store.lock_for_writing():
        work = functools.partial(_scan, options.url, options.s3, foreign)
        shards = map_shards(work, tars, num_workers=options.num_workers)
        found = index_foreign(
            store,
            split_of,
            progress(shards, total=len(tars), what="index", unit="shard", hidden=options.quiet),
            name=options.name or store.url.rstrip("/").rpartition("/")[2],
            foreign=foreign,
            vocabulary=vocabulary,
            provenance={"made_by": "others; indexed by melstream", "tools": tool_versions()},
        )
        rows = [json.dumps(rejected.to_json(), sort_keys=True) for rejected in found.rejections]
        store.put(REJECTIONS_NAME, "".join(f"{row}\n" for row in rows).encode(), replace=True)
    return found


def print_index(found: ForeignIndex, url: str) -> None:
    """Print what was indexed, what was left out, and what the loader would refuse."""
    manifest = found.manifest
    foreign = manifest.settings.foreign
    rows = [("label field", foreign.label_field if foreign else "")]
    for split, totals in manifest.splits.items():
        rows.append(
            (
                f"split {split}",
                f"{counted(totals.num_shards, 'shard')}, {counted(totals.num_samples, 'clip')}, "
                f"{totals.duration_seconds / 3600:.2f} hours, {human_bytes(totals.num_bytes)}",
            )
        )
    rows.append(("classes", str(len(manifest.settings.labels))))
    kinds = collections.Counter(dict(found.audio_kinds)).most_common()
    for (container, sample_rate_hz, num_channels), count in kinds[:_MAX_KINDS_SHOWN]:
        rows.append(
            (
                "audio",
                f"{count} x {container} {sample_rate_hz} Hz, {counted(num_channels, 'channel')}",
            )
        )
    if len(kinds) > _MAX_KINDS_SHOWN:
        rows.append(("audio", f"and {len(kinds) - _MAX_KINDS_SHOWN} more kinds"))
    reasons = collections.Counter(rejected.reason.value for rejected in found.rejections)
    rows += [
        (f"rejected: {reason}", counted(count, "clip")) for reason, count in reasons.most_common()
    ]
    if found.num_ignored_members:
        rows.append(("other files", f"{found.num_ignored_members} that belong to no sample"))
    if found.rejections:
        rows.append(("every rejection", f"{url}/{REJECTIONS_NAME}"))
    table(rows)
    for obstacle in obstacles(found):
        say(f"note: {obstacle}")


def obstacles(found: ForeignIndex) -> list[str]:
    """Say what of the audio the loader can't batch, and the way out."""
    rates = sorted({sample_rate_hz for _, sample_rate_hz, _ in found.audio_kinds})
    if len(rates) < 2:
        return []
    return [
        f"the clips have the sample rates {rates} Hz, the loader refuses a split that mixes rates; "
        "`melstream ingest huggingface --source THIS_FOLDER --out OTHER --sample-rate HZ` makes "
        "shards of one rate"
    ]


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """Read a file with a label a line.

    Raises:
        ConfigError: not there, not UTF-8, empty, or a label is there twice.
    """
    try:
        labels = tuple(path.read_text("utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path}: can't read the vocabulary: {err}") from err
    repeated = [label for label, count in collections.Counter(labels).items() if count > 1]
    if not labels or repeated or "" in labels:
        problem = f"{repeated[0]!r} is there twice" if repeated else "a line is empty, or all"
        raise ConfigError(f"{path}: expected a label a line, each once; {problem}")
    return labels


def _scan(url: str, s3: S3Options | None, foreign: ForeignFormat, tar: str) -> ForeignShard:
    return scan_foreign_shard(open_store(url, s3), tar, foreign)
