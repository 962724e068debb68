"""`melstream inspect`: what a dataset holds, and what one of its clips looks like."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from jobs.console import human_bytes, say, table
from jobs.sound_plots import MelTile, clip_picture, mel_grid
from loader.augment import units_per_db
from loader.feature_rows import log_mel_config
from loader.features import LogMel, LogMelConfig
from shardwriter.audio import clean_audio
from shardwriter.errors import AudioError, ConfigError, ShardFormatError
from shardwriter.index import crc32c, read_index
from shardwriter.keys import from_key, to_key
from shardwriter.manifest import Manifest, load_manifest
from shardwriter.schema import SampleRecord
from shardwriter.shard_names import index_name
from shardwriter.storage import S3Options, Store, open_store

_MAX_CLASSES_SHOWN = 60


def inspect_dataset(url: str, *, s3: S3Options | None = None) -> None:
    """Print splits, classes, folds, hours and bytes."""
    store = open_store(url, s3)
    manifest = load_manifest(store)
    say(f"{manifest.settings.name} at {store.url}")
    table(
        [
            ("digest", manifest.digest),
            *_content_rows(manifest),
            ("classes", str(len(manifest.settings.labels))),
            *_target_rows(manifest),
            ("licence", str(manifest.provenance.get("licence", "not stated"))),
        ]
    )
    for split, totals in manifest.splits.items():
        say(f"\nsplit {split}")
        index = load_index(store, split)
        table(
            [
                ("clips", str(totals.num_samples)),
                ("hours", f"{totals.duration_seconds / 3600:.2f}"),
                ("shards", str(totals.num_shards)),
                ("bytes", human_bytes(totals.num_bytes)),
                ("folds", _fold_counts(index)),
            ]
        )
        _print_classes(manifest, index)
    first = load_index(store, next(iter(manifest.splits))).column("key")[0].as_py()
    if manifest.settings.foreign is None:
        say(f"\na clip: melstream inspect {url} {first}")


def inspect_clip(url: str, key: str, *, png: Path | None, s3: S3Options | None = None) -> Path:
    """Print a clip's labels and draw its waveform and log-mel; return the picture's path.

    Args:
        url: Dataset.
        key: Key of the sample, or the clip's identity.
        png: Where the picture goes; None for `KEY.png` in the working folder.
        s3: How to reach S3.
    """
    store = open_store(url, s3)
    manifest = load_manifest(store)
    clip = show_clip(store, manifest, key)
    record, config = clip.record, clip.config
    say(json.dumps(json.loads(record.to_json_bytes()), indent=2, ensure_ascii=False))
    title = f"{', '.join(record.labels)}   {record.id}"
    if clip.pcm_T is None:
        picture = mel_grid(
            [MelTile(mel_MF=clip.mel_MF, label=manifest.settings.name)],
            hop_seconds=config.hop_seconds,
            mel_centres_hz=config.mel_centres_hz(),
            title=title,
        )
    else:
        picture = clip_picture(
            clip.pcm_T,
            clip.mel_MF,
            sample_rate_hz=record.sample_rate_hz,
            hop_seconds=config.hop_seconds,
            mel_centres_hz=config.mel_centres_hz(),
            title=title,
        )
    path = png or Path(f"{record.key}.png")
    try:
        path.write_bytes(picture)
    except OSError as err:
        raise ConfigError(f"can't write the picture to {path}: {err.strerror}") from err
    say(f"{'log-mel' if clip.pcm_T is None else 'waveform and log-mel'}: {path}")
    return path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownClip:
    """What is drawn of a clip."""

    record: SampleRecord
    pcm_T: npt.NDArray[np.int16] | None
    """None where the dataset holds features."""
    mel_MF: npt.NDArray[np.float32]
    """In dB."""
    config: LogMelConfig
    """How the log-mel was made."""


def show_clip(store: Store, manifest: Manifest, key: str) -> ShownClip:
    """Return a clip's log-mel: as its dataset holds it, or else made of its audio.

    Raises:
        ConfigError: the dataset has no such clip.
        ShardFormatError: the bytes in the shard are not those that were indexed.
    """
    features = manifest.settings.features
    if features is None:
        record, pcm_T = read_clip(store, manifest, key)
        config = LogMelConfig(
            sample_rate_hz=record.sample_rate_hz, max_hz=min(14_000.0, record.sample_rate_hz / 2)
        )
        mel_MF = log_mel_picture(pcm_T, config)
        return ShownClip(record=record, pcm_T=pcm_T, mel_MF=mel_MF, config=config)
    record, data, where = _read_member(store, manifest, key)
    num_frames = features.check_member(data, where=where)
    values = np.frombuffer(data, dtype="<f2", offset=features.header_num_bytes)
    config = log_mel_config(features, where=store.url)
    to_db = units_per_db(
        log_factor=config.log_factor, std=config.std, of_magnitude=config.magnitude
    )
    mel_FM = (values.reshape(num_frames, -1).astype(np.float32) + config.mean / config.std) / to_db
    return ShownClip(record=record, pcm_T=None, mel_MF=mel_FM.T, config=config)


def log_mel_picture(pcm_T: npt.NDArray[np.int16], config: LogMelConfig) -> npt.NDArray[np.float32]:
    """Return a clip's log-mel; one shorter than half a window is followed by silence."""
    missing = max(0, config.min_samples - len(pcm_T))
    mel_BMF = LogMel(config)(torch.from_numpy(np.pad(pcm_T, (0, missing)))[None])
    mel_MF: npt.NDArray[np.float32] = mel_BMF[0].numpy()
    return mel_MF


def load_index(store: Store, split: str) -> pa.Table:
    """Load a split's planning index."""
    return read_index(store.read(index_name(split)), where=f"{store.url}/{index_name(split)}")


def read_clip(
    store: Store, manifest: Manifest, key: str
) -> tuple[SampleRecord, npt.NDArray[np.int16]]:
    """Return a clip's record and samples, by its key or its identity.

    Raises:
        ConfigError: the dataset has no such clip.
        ShardFormatError: the bytes in the shard are not those that were indexed.
    """
    record, audio, where = _read_member(store, manifest, key)
    return record, _decode(audio, record, where=where)


def _read_member(store: Store, manifest: Manifest, key: str) -> tuple[SampleRecord, bytes, str]:
    """Return a clip's record, the bytes of its audio or features, and where they are."""
    if manifest.settings.foreign is not None:
        raise ConfigError(
            f"{store.url} holds shards that others made, without labels of ours to show; "
            f"`tar -xf` gets {key!r} out of one"
        )
    wanted = _possible_keys(key)
    for split in manifest.splits:
        rows = load_index(store, split).filter(pc.field("key").isin(wanted)).to_pylist()
        if rows:
            row = rows[0]
            where = f"{store.url}/{row['shard']} at byte {row['audio_offset']}"
            audio = store.read_range(row["shard"], row["audio_offset"], row["audio_num_bytes"])
            label = store.read_range(row["shard"], row["json_offset"], row["json_num_bytes"])
            if (crc32c(audio), crc32c(label)) != (row["audio_crc32c"], row["json_crc32c"]):
                raise ShardFormatError(f"{where}: the bytes of {row['key']} have another checksum")
            record = SampleRecord.from_json_bytes(label, where=where)
            return record, audio, where
    example = load_index(store, next(iter(manifest.splits))).column("key")[0].as_py()
    raise ConfigError(
        f"{store.url} has no clip {key!r}; keys look like {example!r} ({from_key(example)})"
    )


def _possible_keys(key: str) -> list[str]:
    try:
        return [key, to_key(key)]
    except ValueError:  # too long to be an identity, or empty
        return [key]


def _decode(data: bytes, record: SampleRecord, *, where: str) -> npt.NDArray[np.int16]:
    # Opus decodes to 48 kHz here, whatever went into it.
    try:
        return clean_audio(
            data,
            file=f"{record.key}.{record.audio_suffix}",
            sample_rate_hz=record.sample_rate_hz,
            max_seconds=record.duration_seconds + 1.0,
        ).pcm_T
    except AudioError as err:
        raise ShardFormatError(f"{where}: the audio of {record.key} is damaged: {err}") from err


def _content_rows(manifest: Manifest) -> list[tuple[str, str]]:
    audio, features = manifest.settings.audio.description, manifest.settings.features
    if features is None:
        return [("audio", audio)]
    made_of = manifest.provenance.get("features", {}).get("source_digest", "not stated")
    return [("features", features.description), ("made of", audio), ("  digest", str(made_of))]


def _target_rows(manifest: Manifest) -> list[tuple[str, str]]:
    return [
        (f"target {name}", f"{len(target.labels):,} classes" if target.labels else "a number")
        for name, target in manifest.settings.targets.items()
    ]


def _fold_counts(index: pa.Table) -> str:
    counts = {
        row["values"]: row["counts"]
        for row in pc.value_counts(index.column("fold")).to_pylist()
        if row["values"] is not None
    }
    if not counts:
        return "none"
    return ", ".join(f"{fold}: {count}" for fold, count in sorted(counts.items()))


def _print_classes(manifest: Manifest, index: pa.Table) -> None:
    labels = manifest.settings.labels
    label_ids = index.column("label_ids").combine_chunks().flatten().to_numpy()
    counts = np.bincount(label_ids, minlength=len(labels))
    order = np.argsort(-counts, kind="stable")[:_MAX_CLASSES_SHOWN]
    say("  clips per class")
    width = max((len(label) for label in labels), default=0)
    for label_id in order:
        bar = "#" * round(30 * counts[label_id] / max(counts.max(), 1))
        say(f"    {labels[label_id]:<{width}}  {counts[label_id]:>7}  {bar}")
    if len(labels) > len(order):
        say(f"    ... and {len(labels) - len(order)} more classes")
