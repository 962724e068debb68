"""One shard of audio → one of features, with the same clips in the same order.

Clip by clip and with one thread, so that the bytes depend on nothing but the audio, the front end
and the kind of processor. Axes: B one clip, T samples, M mel bands, F frames.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from loader.decode import decode_windows
from loader.encoded_clips import ClipWindow, EncodedClips
from loader.features import LogMel, LogMelConfig
from loader.features.whole_clips import frames_of_clip, whole_clip_config
from loader.flac_decoder import begin_loading
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.feature_format import FEATURE_SUFFIX
from shardwriter.object_stream import ObjectStream
from shardwriter.publish import publish_shard
from shardwriter.schema import EncodedSample, SampleRecord, Settings, ShardEntry
from shardwriter.storage import S3Options, Store, open_store
from shardwriter.tarshard import TarShard, stream_members


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTask:
    """What a process needs to know to make shards of features."""

    url: str
    out: str
    settings: Settings
    """Of the dataset of features."""
    log_mel: LogMelConfig
    device: str
    s3: S3Options | None = None
    out_s3: S3Options | None = None


def make_shard(task: FeatureTask, numbered: tuple[int, ShardEntry]) -> None:
    """Make and publish the features of one shard's clips, all of them or nothing.

    Args:
        task: What to make.
        numbered: The shard of audio, and its number among all of the dataset.

    Raises:
        ConfigError: a clip's features don't fit float16.
        ShardFormatError: the shard of audio is damaged.
        StorageError: a store can't be read or written, or another process makes the same shard.
    """
    number, shard = numbered
    source = open_store(task.url, task.s3)
    target = open_store(task.out, task.out_s3)
    log_mel = LogMel(whole_clip_config(task.log_mel)).to(task.device)
    with target.lock_for_writing(f"s{number:06d}"), _one_thread(), torch.inference_mode():
        made = TarShard(target.scratch_folder / "shard.tar")
        try:
            for sample in _samples(source, task, shard, log_mel):
                made.add(sample)

            def put_tar() -> str:
                target.put_file(shard.tar, made.path)
                return shard.tar

            publish_shard(target, made, put_tar=put_tar, split=shard.split, settings=task.settings)
        finally:
            made.discard()


def _samples(
    source: Store, task: FeatureTask, shard: ShardEntry, log_mel: LogMel
) -> Iterator[EncodedSample]:
    """Yield the features of a shard's clips; the whole shard has the manifest's hash at the end.

    Raises:
        ShardFormatError: it is damaged.
    """
    stream = ObjectStream(source, shard.tar)
    members = stream_members(stream, num_bytes=stream.num_bytes, where=stream.where)
    for audio in members:
        label = next(members, None)
        where = f"{stream.where} at byte {audio.offset}"
        if label is None:
            raise ShardFormatError(f"{where}: {audio.name} has no label")
        record = SampleRecord.from_json_bytes(label.data, where=where)
        yield _encoded(record, audio.data, task, log_mel, where=f"{where}: {record.key}")
    sha256 = stream.sha256()
    if sha256 != shard.sha256:
        raise ShardFormatError(
            f"{stream.where}: expected SHA-256 {shard.sha256}, got {sha256}; `melstream verify "
            f"{source.url}` tells what is damaged"
        )


def _encoded(
    record: SampleRecord, data: bytes, task: FeatureTask, log_mel: LogMel, *, where: str
) -> EncodedSample:
    features = task.settings.features
    if features is None:
        raise ValueError("the settings are not those of a dataset of features")
    wave_BT = np.empty((1, record.num_samples), dtype=np.int16)
    window = ClipWindow(
        data=data,
        row=0,
        start=0,
        num_samples=record.num_samples,
        clip_num_samples=record.num_samples,
        where=where,
    )
    decode_windows(
        EncodedClips.of([window]),
        wave_BT,
        sample_rate_hz=record.sample_rate_hz,
        verify_checksums=True,
    )
    begin_loading()
    try:
        frames_FM = frames_of_clip(log_mel, wave_BT[0])
    except ValueError as err:
        raise ConfigError(f"{where}: {err}") from err
    return EncodedSample(
        record=replace(record, audio_suffix=FEATURE_SUFFIX),
        audio=features.header(len(frames_FM)) + frames_FM.tobytes(),
        frame_offsets=(),
    )


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch sum in one order, whatever the machine; several shards keep the cores busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
