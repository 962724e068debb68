"""The state of each clip, reduced from all attempts: what is there, what is gone, how sure that is.

States: `alive`; `gone`; `gated` (exists, not for us); `blocked` (we were; unknown otherwise);
`absent` (not in a source of one's own); `unknown` (transient, unclear, never tried or suspect).
"""

import pyarrow as pa

SNAPSHOT_SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("code", pa.string()),  # of the attempt that decided; null: never tried
        pa.field("first_seen", pa.string()),  # time_utc of the first attempt that came out alive
        pa.field("last_seen", pa.string()),
        pa.field("last_attempt", pa.string()),
        pa.field("num_attempts", pa.int32(), nullable=False),
        pa.field("verdict_strength", pa.string()),  # claimed, confirmed (two windows), suspect
        pa.field("source_sha256", pa.string()),
        pa.field("pcm_sha256", pa.string()),
    ]
)


def snapshot_name(run_id: str) -> str:
    """Return the store name of a run's snapshot."""
    return f"availability/snapshots/{run_id}.parquet"
