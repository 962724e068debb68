"""shardwriter owns the shard format: clips in, tar shards with JSON labels out, published whole.

keys        the tar-safe, reversible spelling of a clip's identity
schema      the format: types, version, JSON forms (shard_names: what objects are called)
sniff       bytes → their container, and who decodes it
decode      bytes → mono samples at the source's rate, by libsndfile or FFmpeg's libraries
audio       source bytes → mono 16-bit samples: decode, trim, resample, gain, round
flac        samples → FLAC with frame offsets; wav and opus likewise
encode      a clean clip → an encoded sample
tarshard    encoded samples → one deterministic tar
index       `.idx` and `index/<split>.parquet`
manifest    `dataset.json`: build, publish last, load and check
storage     where datasets lie: `local` folders, or S3 by the `s3` modules
writer      ShardWriter, which puts these together
publish     which shards make the dataset, its indexes and manifest; the merge of several writers
overlaps    groups that straddle splits, audio that is there twice
untar       a tar read as a stream, strictly (tarheader: its header blocks)
check       a dataset against its manifest
repair      indexes and manifest from the tars alone (rebuild: of one shard; flac_frames)
foreign*    shards that others made: find, scan, label, index and check them
"""

from shardwriter.audio_format import AudioFormat, Codec
from shardwriter.encode import CleanClip, SourceBytes, encode_clip
from shardwriter.json_form import FORMAT_VERSION
from shardwriter.schema import (
    EncodedSample,
    Rejection,
    RejectionReason,
    SampleRecord,
    Settings,
    ShardEntry,
    SourceInfo,
)
from shardwriter.writer import ShardWriter

__all__ = [
    "FORMAT_VERSION",
    "AudioFormat",
    "CleanClip",
    "Codec",
    "EncodedSample",
    "Rejection",
    "RejectionReason",
    "SampleRecord",
    "Settings",
    "ShardEntry",
    "ShardWriter",
    "SourceBytes",
    "SourceInfo",
    "encode_clip",
]
