"""The state of each clip, reduced from all attempts: what is there, what is gone, how sure that is.

States: `alive`; `gone`; `gated` (exists, not for us); `blocked` (we were; unknown otherwise);
`absent` (not in a source of one's own); `unknown` (transient, unclear, never tried or suspect).

`gone` is a strong word: papers drop clips on it. It takes either a look at whole bytes that are not
what the catalogue lists, or the same answer in two windows at least 20 hours apart. Until then the
state is `unknown` with strength `claimed`. The rules are in `jobs.availability.reduction`.
"""

import io
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.parquet import open_parquet
from shardwriter.storage import LocalStore, Store

SNAPSHOTS_FOLDER: Final = "availability/snapshots"
SNAPSHOT_SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("code", pa.string()),  # of the attempt that decided; null: never tried
        pa.field("first_seen", pa.string()),  # time_utc of the first attempt that came out alive
        pa.field("last_seen", pa.string()),
        pa.field("last_attempt", pa.string()),
        pa.field("num_attempts", pa.int32(), nullable=False),
        # claimed; confirmed (seen alive, two windows, or whole bytes); suspect; null: no verdict
        pa.field("verdict_strength", pa.string()),
        pa.field("source_sha256", pa.string()),
        pa.field("pcm_sha256", pa.string()),
    ]
)

_LAST_ATTEMPT: Final = b"last_attempt"
"""Key of the schema's metadata: time of the newest attempt that the snapshot knows."""
_FOOTER_BYTES: Final = 1 << 16


def snapshot_name(run_id: str) -> str:
    """Return the store name of a run's snapshot."""
    return f"{SNAPSHOTS_FOLDER}/{run_id}.parquet"


def write_snapshot(store: Store, run_id: str, table: pa.Table) -> None:
    """Write the snapshot at the end of a run, in place of one that the same run wrote before."""
    if not table.schema.equals(SNAPSHOT_SCHEMA):
        raise ValueError(f"not a snapshot: columns {table.schema.names}")
    times = table["last_attempt"].drop_null().to_pylist()
    metadata = {_LAST_ATTEMPT: max(times, default="").encode()}
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
    store.put(snapshot_name(run_id), sink.getvalue(), replace=True)


def snapshot_run_ids(store: Store) -> list[str]:
    """Return the runs that have a snapshot, by the newest attempt that each knows."""
    names = [name for name in store.names(SNAPSHOTS_FOLDER) if name.endswith(".parquet")]
    run_ids = [name.removeprefix(f"{SNAPSHOTS_FOLDER}/").removesuffix(".parquet") for name in names]
    return sorted(run_ids, key=lambda run_id: (_last_attempt(store, run_id), run_id))


def read_snapshot(
    store: Store, run_id: str | None = None, *, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return a run's snapshot; without a run the newest, whatever its run is called.

    Args:
        store: Where the dataset lies.
        run_id: Of the run.
        columns: Those wanted; the times and hashes are most of the bytes. None for all.

    Raises:
        ConfigError: there is none.
        ShardFormatError: it is damaged.
    """
    run_ids = snapshot_run_ids(store) if run_id is None else [run_id]
    if not run_ids or not store.exists(snapshot_name(run_ids[-1])):
        raise ConfigError(
            f"{store.url} has no snapshot{f' of run {run_id!r}' if run_id else ''}; a run writes "
            "one when it ends"
        )
    name = snapshot_name(run_ids[-1])
    try:
        file = _opened(store, name)
        schema = file.schema_arrow
        table = file.read(columns=None if columns is None else list(columns))
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as err:
        raise ShardFormatError(f"{store.url}/{name}: not a snapshot: {err}") from err
    if not schema.equals(SNAPSHOT_SCHEMA):
        raise ShardFormatError(
            f"{store.url}/{name}: not a snapshot: columns {schema.names}, expected "
            f"{SNAPSHOT_SCHEMA.names}"
        )
    return table.replace_schema_metadata(None)


def _opened(store: Store, name: str) -> pq.ParquetFile:
    """Open a snapshot; a local one is mapped, since its hashes don't compress and may be left."""
    if isinstance(store, LocalStore):
        return pq.ParquetFile(pa.memory_map(str(store.path(name))))
    return open_parquet(store.read(name))


def _last_attempt(store: Store, run_id: str) -> bytes:
    """Return the time in a snapshot's footer, which lies at the end of the file."""
    name = snapshot_name(run_id)
    size = store.size(name)
    footer = store.read_range(name, max(0, size - _FOOTER_BYTES), _FOOTER_BYTES)
    try:
        metadata = open_parquet(footer).schema_arrow.metadata or {}
    except (pa.ArrowException, OSError) as err:
        raise ShardFormatError(f"{store.url}/{name}: not a snapshot: {err}") from err
    return bytes(metadata.get(_LAST_ATTEMPT, b""))
