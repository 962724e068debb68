"""What a catalogue listed, kept beside the dataset: what is lost shows only against it."""

import pyarrow as pa

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
"""In the order of the catalogue. The vocabulary, as JSON, is in the schema's metadata: `labels`."""
