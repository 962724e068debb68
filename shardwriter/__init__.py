"""shardwriter owns the shard format: clips in, tar shards with JSON labels out, published whole.

keys        the tar-safe, reversible spelling of a clip's identity
schema      the format: types, version, JSON forms (shard_names: what objects are called)
sniff       bytes → their container, and who decodes it
decode      bytes → mono samples at the source's rate, by libsndfile or FFmpeg's libraries
            (decode_wav, decode_aac with mp4 and aac: what is decoded without them)
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

import importlib
from typing import TYPE_CHECKING, Any

from shardwriter.audio_format import AudioFormat, Codec
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

if TYPE_CHECKING:
    from shardwriter.encode import CleanClip, SourceBytes, encode_clip, encode_clips
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
    "encode_clips",
]

# Who only reads shards, as the loader does, goes without what encodes: FFmpeg's libraries take
# 17 MB of memory.
_MODULE_OF = {
    "CleanClip": "shardwriter.encode",
    "ShardWriter": "shardwriter.writer",
    "SourceBytes": "shardwriter.encode",
    "encode_clip": "shardwriter.encode",
    "encode_clips": "shardwriter.encode",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
