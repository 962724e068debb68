"""`melstream inspect`: what a dataset holds, and what one of its clips looks like."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.console import human_bytes, say, table
from jobs.shown_clip import load_index, show_clip
from jobs.sound_plots import MelTile, clip_picture, mel_grid
from shardwriter.errors import ConfigError
from shardwriter.manifest import Manifest, load_manifest
from shardwriter.storage import S3Options, open_store

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
    config = clip.config
    say(json.dumps(clip.told, indent=2, ensure_ascii=False))
    title = f"{', '.join(clip.labels)}   {clip.name}"
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
            sample_rate_hz=config.sample_rate_hz,
            hop_seconds=config.hop_seconds,
            mel_centres_hz=config.mel_centres_hz(),
            title=title,
        )
    path = png or Path(f"{clip.file_stem}.png")
    try:
        path.write_bytes(picture)
    except OSError as err:
        raise ConfigError(f"can't write the picture to {path}: {err.strerror}") from err
    say(f"{'log-mel' if clip.pcm_T is None else 'waveform and log-mel'}: {path}")
    return path


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
