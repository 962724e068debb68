"""One clip of a dataset as people look at it: what its label says, its samples, its log-mel."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from loader.augment import units_per_db
from loader.feature_rows import log_mel_config
from loader.features import LogMel, LogMelConfig
from shardwriter.audio import clean_audio
from shardwriter.errors import AudioError, ConfigError, ShardFormatError
from shardwriter.index import crc32c, read_index
from shardwriter.keys import from_key, to_key
from shardwriter.manifest import Manifest
from shardwriter.schema import FeatureFormat, SampleRecord
from shardwriter.shard_names import index_name
from shardwriter.storage import Store


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownClip:
    """What is told and drawn of a clip."""

    name: str
    """Its identity; its key in shards that others made."""
    key: str
    labels: tuple[str, ...]
    told: dict[str, Any]
    """Its label; of shards that others made the index's row, as only they know their labels."""
    pcm_T: npt.NDArray[np.int16] | None
    """None where the dataset holds features."""
    mel_MF: npt.NDArray[np.float32]
    """In dB."""
    config: LogMelConfig
    """How the log-mel was made."""

    @property
    def file_stem(self) -> str:
        """What a file made of the clip is called; keys of others hold slashes."""
        return self.key.replace("/", "+")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Member:
    """A clip's place in the index, and the bytes of its audio or features, checked."""

    split: str
    row: dict[str, Any]
    data: bytes
    label: bytes
    where: str


def show_clip(store: Store, manifest: Manifest, key: str) -> ShownClip:
    """Return a clip, by its key or its identity; its log-mel as its dataset holds it, or else made.

    Raises:
        ConfigError: the dataset has no such clip.
        ShardFormatError: the bytes in the shard are not those that were indexed.
    """
    member = _read_member(store, manifest, key)
    row, names = member.row, manifest.settings.labels
    if manifest.settings.foreign is not None:
        labels = tuple(names[label_id] for label_id in row["label_ids"])
        name, told = row["key"], {"split": member.split, **row, "labels": labels}
    else:
        record = SampleRecord.from_json_bytes(member.label, where=member.where)
        labels, name, told = record.labels, record.id, json.loads(record.to_json_bytes())
    features = manifest.settings.features
    if features is None:
        pcm_T = _decode(member)
        rate = row["sample_rate_hz"]
        config = LogMelConfig(sample_rate_hz=rate, max_hz=min(14_000.0, rate / 2))
        mel_MF = log_mel_picture(pcm_T, config)
    else:
        pcm_T = None
        config, mel_MF = _held_log_mel(features, member, url=store.url)
    return ShownClip(
        name=name,
        key=row["key"],
        labels=labels,
        told=told,
        pcm_T=pcm_T,
        mel_MF=mel_MF,
        config=config,
    )


def _held_log_mel(
    features: FeatureFormat, member: _Member, *, url: str
) -> tuple[LogMelConfig, npt.NDArray[np.float32]]:
    """Return a log-mel as the dataset holds it, in dB, and how it was made."""
    num_frames = features.check_member(member.data, where=member.where)
    values = np.frombuffer(member.data, dtype="<f2", offset=features.header_num_bytes)
    config = log_mel_config(features, where=url)
    to_db = units_per_db(
        log_factor=config.log_factor, std=config.std, of_magnitude=config.magnitude
    )
    mel_FM = (values.reshape(num_frames, -1).astype(np.float32) + config.mean / config.std) / to_db
    return config, mel_FM.T


def log_mel_picture(pcm_T: npt.NDArray[np.int16], config: LogMelConfig) -> npt.NDArray[np.float32]:
    """Return a clip's log-mel; one shorter than half a window is followed by silence."""
    missing = max(0, config.min_samples - len(pcm_T))
    mel_BMF = LogMel(config)(torch.from_numpy(np.pad(pcm_T, (0, missing)))[None])
    mel_MF: npt.NDArray[np.float32] = mel_BMF[0].numpy()
    return mel_MF


def load_index(store: Store, split: str) -> pa.Table:
    """Load a split's planning index."""
    return read_index(store.read(index_name(split)), where=f"{store.url}/{index_name(split)}")


def _read_member(store: Store, manifest: Manifest, key: str) -> _Member:
    is_foreign = manifest.settings.foreign is not None
    wanted = [key] if is_foreign else _possible_keys(key)
    for split in manifest.splits:
        rows = load_index(store, split).filter(pc.field("key").isin(wanted)).to_pylist()
        if rows:
            row = rows[0]
            where = f"{store.url}/{row['shard']} at byte {row['audio_offset']}"
            audio = store.read_range(row["shard"], row["audio_offset"], row["audio_num_bytes"])
            label = store.read_range(row["shard"], row["json_offset"], row["json_num_bytes"])
            if (crc32c(audio), crc32c(label)) != (row["audio_crc32c"], row["json_crc32c"]):
                raise ShardFormatError(f"{where}: the bytes of {row['key']} have another checksum")
            return _Member(split=split, row=row, data=audio, label=label, where=where)
    example = load_index(store, next(iter(manifest.splits))).column("key")[0].as_py()
    identity = "" if is_foreign else f" ({from_key(example)})"
    raise ConfigError(f"{store.url} has no clip {key!r}; keys look like {example!r}{identity}")


def _possible_keys(key: str) -> list[str]:
    try:
        return [key, to_key(key)]
    except ValueError:  # too long to be an identity, or empty
        return [key]


def _decode(member: _Member) -> npt.NDArray[np.int16]:
    row = member.row
    rate = row["sample_rate_hz"]
    try:
        return clean_audio(  # Opus decodes to 48 kHz here, whatever went into it
            member.data,
            file=row["key"],
            sample_rate_hz=rate,
            max_seconds=row["num_samples"] / rate + 1.0,
        ).pcm_T
    except AudioError as err:
        raise ShardFormatError(
            f"{member.where}: the audio of {row['key']} is damaged: {err}"
        ) from err
