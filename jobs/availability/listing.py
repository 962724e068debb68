"""What a catalogue listed, kept beside the dataset: what is lost shows only against it."""

import io
import json
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.catalogues.catalogue import Catalogue, ClipRef
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.parquet import read_parquet
from shardwriter.storage import Store

LISTING_NAME = "availability/listing.parquet"
LISTING_SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("labels", pa.list_(pa.string()), nullable=False),
        pa.field("fold", pa.int32()),
        pa.field("group", pa.string()),
        pa.field("video_id", pa.string()),
        pa.field("start_seconds", pa.float64()),
        pa.field("stop_seconds", pa.float64()),
        pa.field("seconds", pa.float64()),  # how long the catalogue says the clip is
    ]
)
"""In the order of the catalogue. The vocabulary, as JSON, is in the schema's metadata: `labels`.

So is `published`: for each set that was listed its title, its splits and the publisher's count.
"""

_LABELS, _PUBLISHED = b"labels", b"published"


def listing_table(catalogue: Catalogue) -> pa.Table:
    """Return what the catalogue lists as a table of `LISTING_SCHEMA`, in its order.

    A clip's `seconds` are those of its duration rule, or else of its cut; null if it has neither.
    """
    clips = catalogue.clips

    def column(name: str, value_of: Callable[[ClipRef], Any]) -> pa.Array:
        return pa.array((value_of(clip) for clip in clips), LISTING_SCHEMA.field(name).type)

    columns = [
        column("clip_id", lambda clip: clip.id),
        column("split", lambda clip: clip.split),
        _label_lists(clips),
        column("fold", lambda clip: clip.fold),
        column("group", lambda clip: clip.group),
        column("video_id", lambda clip: clip.video_id),
        column("start_seconds", lambda clip: clip.cut.start_seconds if clip.cut else None),
        column("stop_seconds", lambda clip: clip.cut.stop_seconds if clip.cut else None),
        column("seconds", _seconds),
    ]
    splits = sorted({clip.split for clip in clips})
    schema = _schema(catalogue.labels, [[catalogue.title, splits, catalogue.expected_num_clips]])
    return pa.Table.from_arrays(columns, schema=schema)


def write_listing(store: Store, catalogue: Catalogue) -> None:
    """Publish what the catalogue lists; what an earlier ingest listed beside it stays listed.

    So a dataset that grows split by split has one listing, and a clip that a later catalogue
    leaves out is still known to have been promised.

    Raises:
        ConfigError: the store's listing has other classes.
    """
    table = listing_table(catalogue)
    if store.exists(LISTING_NAME):
        table = _merged(*read_listing(store), table, where=store.url)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    store.put(LISTING_NAME, sink.getvalue(), replace=True)


def read_listing(store: Store) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the listing of a dataset, and its classes in order of their ids.

    Raises:
        ConfigError: the dataset has no listing.
        ShardFormatError: it is damaged.
    """
    where = f"{store.url}/{LISTING_NAME}"
    if not store.exists(LISTING_NAME):
        raise ConfigError(
            f"{where} is not there, so nothing says what the dataset should hold; "
            "`melstream ingest` writes it: run the ingest command of this dataset again"
        )
    try:
        table = read_parquet(store.read(LISTING_NAME))
        labels = json.loads((table.schema.metadata or {})[_LABELS])
        is_sound = table.schema.equals(LISTING_SCHEMA) and isinstance(labels, list)
    except (pa.ArrowException, OSError, ValueError, KeyError) as err:
        raise ShardFormatError(f"{where}: not a listing: {err!r}; ingest again") from err
    if not is_sound:
        raise ShardFormatError(
            f"{where}: columns {table.schema.names}, expected {LISTING_SCHEMA.names}; ingest again"
        )
    return table, tuple(str(label) for label in labels)


def published_num_clips(listing: pa.Table) -> dict[str, int]:
    """Return how many clips the publishers count, by the title and splits of what was listed."""
    return {
        f"{title} ({', '.join(splits)})" if splits else title: num_clips
        for title, splits, num_clips in _published(listing)
    }


def _published(listing: pa.Table) -> list[Any]:
    rows: list[Any] = json.loads((listing.schema.metadata or {}).get(_PUBLISHED, b"[]"))
    return rows


def _schema(labels: tuple[str, ...], published: list[Any]) -> pa.Schema:
    return LISTING_SCHEMA.with_metadata(
        {_LABELS: json.dumps(labels).encode(), _PUBLISHED: json.dumps(published).encode()}
    )


def _label_lists(clips: tuple[ClipRef, ...]) -> pa.Array:
    """Return the lists of labels, built flat: a fifth of the time of nested lists."""
    counts = np.fromiter((len(clip.labels) for clip in clips), dtype=np.int32, count=len(clips))
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int32)]).astype(np.int32)
    flat = pa.array(chain.from_iterable(clip.labels for clip in clips), pa.string())
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def _seconds(clip: ClipRef) -> float | None:
    if clip.duration is not None:
        return clip.duration.seconds
    if clip.cut is not None and clip.cut.stop_seconds is not None:
        return clip.cut.stop_seconds - clip.cut.start_seconds
    return None


def _merged(before: pa.Table, labels: tuple[str, ...], listed: pa.Table, *, where: str) -> pa.Table:
    if json.dumps(labels).encode() != listed.schema.metadata[_LABELS]:
        raise ConfigError(
            f"{where}/{LISTING_NAME} lists clips of other classes ({len(labels)} of them); "
            "ingest into a folder of its own"
        )
    is_new = pc.invert(pc.is_in(listed["clip_id"], value_set=before["clip_id"]))
    place = pc.index_in(before["clip_id"], value_set=listed["clip_id"])
    # A clip that is listed again keeps its place and takes its new row.
    rows = pc.coalesce(pc.add(place, len(before)), pa.array(range(len(before)), pa.int32()))
    everything = pa.concat_tables([before, listed.replace_schema_metadata()])
    merged = pa.concat_tables([everything.take(rows), listed.filter(is_new)])
    (new,) = _published(listed)
    # A count stands until one comes that covers a split of it too: two would count that twice.
    standing = [row for row in _published(before) if not set(row[1]) & set(new[1]) and row != new]
    return merged.cast(_schema(labels, [*standing, new]))
