"""`melstream doctor`: opens a dataset as a training run would, and prints what would happen."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from jobs.console import counted, human_bytes, say, table
from jobs.doctor import S3_REQUESTS_PER_SECOND, Cluster, Diagnosis, diagnose
from jobs.doctor_warnings import warnings_about
from loader import LoaderConfig, ShardLoader, World
from shardwriter.storage import S3Options, open_store

_NUM_CLASSES_SHOWN = 5


def doctor(
    config: LoaderConfig,
    cluster: Cluster,
    *,
    min_clips: int,
    as_json: bool = False,
    s3: S3Options | None = None,
) -> int:
    """Print the diagnosis of a set-up.

    Returns:
        0: also with warnings.

    Raises:
        ConfigError: the set-up is impossible; the message tells the way out.
    """
    world = World(size=cluster.num_gpus)
    stores = [open_store(selection.url, s3) for selection in config.selections]
    loader = ShardLoader(config, world=world, store=stores)
    diagnosis = diagnose(loader, cluster)
    warnings = warnings_about(
        diagnosis, config, min_clips=min_clips, free_disk_bytes=_free_disk(config)
    )
    if as_json:
        row = {"url": config.url, **asdict(diagnosis), "warnings": list(warnings)}
        say(json.dumps(row, indent=1, ensure_ascii=False))
        return 0
    say(f"{config.url}: {diagnosis.steps.num_samples} samples an epoch, {_of_cluster(cluster)}\n")
    _print(diagnosis, config, loader.sample_rate_hz)
    for warning in warnings:
        say(f"warning: {warning}")
    say(
        "nothing stands in the way"
        if not warnings
        else f"{counted(len(warnings), 'warning')}; it would run"
    )
    return 0


def _free_disk(config: LoaderConfig) -> int | None:
    """Return what the disk of the cache has left; the folder itself need not be there yet."""
    if config.cache_dir is None:
        return None
    folder = Path(config.cache_dir).absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _of_cluster(cluster: Cluster) -> str:
    return (
        f"{counted(cluster.num_gpus, 'GPU')} on {counted(cluster.num_nodes, 'node')}, "
        f"{cluster.clips_per_second:g} clips/s each"
    )


def _print(diagnosis: Diagnosis, config: LoaderConfig, sample_rate_hz: int) -> None:
    steps, shards, lengths = diagnosis.steps, diagnosis.shards, diagnosis.lengths
    rows = [
        (
            "steps an epoch",
            f"{steps.num_steps} on every rank, {steps.samples_per_step} samples each",
        ),
        ("epoch takes", _duration(steps.epoch_seconds)),
        ("tail", _tail(diagnosis, config)),
        ("shards", f"{shards.num}, {human_bytes(shards.total_num_bytes)}"),
        ("  smallest", f"{shards.smallest} ({human_bytes(shards.smallest_num_bytes)})"),
        ("  largest", f"{shards.largest} ({human_bytes(shards.largest_num_bytes)})"),
        ("  samples in each", f"{shards.min_samples} to {shards.max_samples}"),
        (
            "clips",
            f"{lengths.min_seconds:.2f} to {lengths.max_seconds:.2f} s, median "
            f"{lengths.median_seconds:.2f} s, {sample_rate_hz} Hz",
        ),
        ("rows of a batch", f"{lengths.window_seconds:.2f} s, {lengths.fill_share:.0%} audio"),
        *_class_rows(diagnosis),
        *_need_rows(diagnosis, config),
    ]
    table(rows)
    say()


def _tail(diagnosis: Diagnosis, config: LoaderConfig) -> str:
    steps = diagnosis.steps
    if config.tail == "drop":
        return f"drop: {steps.num_dropped} samples left out, others in each epoch"
    what = "rows marked as padding" if config.tail == "pad" else "samples that come again"
    return f"{config.tail}: {steps.num_repeated} {what}"


def _class_rows(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    classes = diagnosis.classes
    ranked = list(classes.clips_by_label.items())
    top, bottom = ranked[:_NUM_CLASSES_SHOWN], ranked[_NUM_CLASSES_SHOWN:][-_NUM_CLASSES_SHOWN:]
    rows = [("classes", f"{len(ranked)}, most clips: {_counts(top)}")]
    if bottom:
        rows.append(("", f"fewest: {_counts(bottom)}"))
    if classes.max_copies > 1:
        rows.append(
            (
                "balance",
                f"a clip comes up to {classes.max_copies} times; effective number of clips "
                f"{classes.effective_num_clips:.0f}",
            )
        )
    if classes.clips_by_fold:
        counts = ", ".join(f"{fold}: {count}" for fold, count in classes.clips_by_fold.items())
        rows.append(("folds", counts))
    return rows


def _counts(pairs: list[tuple[str, int]]) -> str:
    return ", ".join(f"{label} {count}" for label, count in pairs)


def _need_rows(diagnosis: Diagnosis, config: LoaderConfig) -> list[tuple[str, str]]:
    needs = diagnosis.needs
    rows = []
    if needs.is_remote:
        first = "" if config.cache_dir is None else ", in the first epoch"
        rows = [
            (
                "GET requests",
                f"{needs.requests_per_second:.1f} a second of all nodes{first} "
                f"(S3 serves {S3_REQUESTS_PER_SECOND} a prefix)",
            ),
            ("network", f"{human_bytes(needs.network_bytes_per_second)}/s into each node{first}"),
            (
                "cache",
                f"{human_bytes(needs.cache_num_bytes_per_node)} on each node keep all, "
                f"{human_bytes(needs.min_cache_num_bytes)} are the least that works well",
            ),
        ]
    memory = human_bytes(needs.memory_num_bytes_per_rank)
    return [*rows, ("memory", f"{memory} a rank for batches, buffers and index")]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
