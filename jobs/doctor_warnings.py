"""What is wrong or wasteful about a set-up that would work: one line each, with the way out."""

from collections.abc import Iterator

from jobs.console import counted, human_bytes
from jobs.doctor import S3_REQUESTS_PER_SECOND, Diagnosis
from loader import LoaderConfig

_TINY_SHARD_BYTES = 4_000_000
_HUGE_CLIP_BYTES = 50_000_000
_SMALL_FILL_SHARE = 0.7
_DROPPED_SHARE = 0.05
_UNEVEN_FOLDS = 1.5
_WELL_MIXED_SHARE = 0.75
_FETCHED_ONCE = 1.1
_NETWORK_BYTES_PER_SECOND = 1.25e9
"""10 Gbit/s."""


def warnings_about(
    diagnosis: Diagnosis, config: LoaderConfig, *, min_clips: int, free_disk_bytes: int | None
) -> tuple[str, ...]:
    """Return the warnings, the gravest kinds first.

    Args:
        diagnosis: The figures.
        config: The set-up.
        min_clips: Classes with fewer clips are warned about.
        free_disk_bytes: What the cache's disk has left; None if there is no cache.
    """
    return (
        *_about_needs(diagnosis, config, free_disk_bytes),
        *_about_steps(diagnosis),
        *_about_shards(diagnosis),
        *_about_nodes(diagnosis, config),
        *_about_mixing(diagnosis),
        *_about_clips(diagnosis, config),
        *_about_classes(diagnosis, min_clips),
    )


def _about_needs(
    diagnosis: Diagnosis, config: LoaderConfig, free_disk_bytes: int | None
) -> Iterator[str]:
    needs = diagnosis.needs
    if not needs.is_remote:
        return
    if needs.requests_per_second > S3_REQUESTS_PER_SECOND:
        yield (
            f"{needs.requests_per_second:.0f} GET requests a second are more than the "
            f"{S3_REQUESTS_PER_SECOND} that S3 serves for a prefix: give --cache-dir"
        )
    elif config.cache_dir is None:
        yield ("no --cache-dir: every epoch fetches every clip again, with a request for each")
    if needs.network_bytes_per_second > _NETWORK_BYTES_PER_SECOND:
        yield (
            f"each node would receive {human_bytes(needs.network_bytes_per_second)}/s, more than "
            "10 Gbit/s: fill the cache with `melstream sync` beforehand, or use fewer GPUs a node"
        )
    if config.cache_dir is None:
        return
    if config.cache_bytes < needs.cache_num_bytes_per_node:
        yield (
            f"the cache may take {human_bytes(config.cache_bytes)}, the selection has "
            f"{human_bytes(needs.cache_num_bytes_per_node)}: shards are fetched again in each "
            "epoch; raise --cache-gb"
        )
    if free_disk_bytes is not None and free_disk_bytes < needs.cache_num_bytes_per_node:
        yield (
            f"the cache's disk here has {human_bytes(free_disk_bytes)} left, the selection has "
            f"{human_bytes(needs.cache_num_bytes_per_node)}; choose another --cache-dir"
        )


def _about_steps(diagnosis: Diagnosis) -> Iterator[str]:
    steps = diagnosis.steps
    if steps.num_dropped > _DROPPED_SHARE * steps.num_samples:
        yield (
            f"{steps.num_dropped} of {steps.num_samples} samples "
            f"({steps.num_dropped / steps.num_samples:.0%}) are dropped in each epoch: use "
            "--tail cycle, or a smaller --batch-size"
        )
    if steps.num_repeated > steps.num_samples:
        yield (
            f"a step takes {steps.samples_per_step} samples and the epoch has "
            f"{steps.num_samples}: most rows are repeats; use a smaller --batch-size or --world"
        )


def _about_shards(diagnosis: Diagnosis) -> Iterator[str]:
    shards, cluster = diagnosis.shards, diagnosis.cluster
    if diagnosis.needs.is_remote and shards.num < 4 * cluster.num_nodes:
        yield (
            f"{counted(shards.num, 'shard')} for {counted(cluster.num_nodes, 'node')}: all nodes "
            "fetch the same ones; ingest again with smaller shards, at least 4 for each node"
        )
    if shards.num > 1 and shards.max_samples > 0.5 * diagnosis.steps.num_samples:
        yield (
            f"one shard holds {shards.max_samples} of the samples: batches are mixed less than "
            "they look; ingest again with smaller shards"
        )
    if diagnosis.needs.is_remote and shards.num > 1 and shards.median_num_bytes < _TINY_SHARD_BYTES:
        yield (
            f"shards are small (median {human_bytes(shards.median_num_bytes)}): each costs "
            "requests of its own; ingest with larger ones, 64 MB to 1 GB"
        )


def _about_nodes(diagnosis: Diagnosis, config: LoaderConfig) -> Iterator[str]:
    num_nodes, num_shards = diagnosis.cluster.num_nodes, diagnosis.shards.num
    num_fetches = diagnosis.needs.num_fetches_per_shard
    if not diagnosis.needs.is_remote or num_fetches <= _FETCHED_ONCE or num_shards < 4 * num_nodes:
        return
    way_out = f"--num-streams {num_nodes}"
    if num_shards < num_nodes * config.open_shards:
        way_out += f" --open-shards {num_shards // num_nodes}"
    yield (
        f"each shard is fetched by {num_fetches:.1f} of {num_nodes} nodes: give {way_out}, and "
        "each is fetched by one"
    )


def _about_mixing(diagnosis: Diagnosis) -> Iterator[str]:
    mixing = diagnosis.mixing
    if mixing.num_classes < _WELL_MIXED_SHARE * mixing.num_classes_if_mixed:
        yield (
            f"shards are sorted by class: the {mixing.num_open_shards} that are mixed at a time "
            f"hold {mixing.num_classes:.1f} classes (effectively), as many clips taken at random "
            f"{mixing.num_classes_if_mixed:.1f}: batches are one-sided; raise --open-shards, or "
            "ingest the clips again, which mixes them"
        )


def _about_clips(diagnosis: Diagnosis, config: LoaderConfig) -> Iterator[str]:
    lengths = diagnosis.lengths
    if lengths.fill_share < _SMALL_FILL_SHARE:
        way_out = (
            "give --crop-seconds" if config.crop_seconds is None else "make --crop-seconds smaller"
        )
        yield (
            f"{1 - lengths.fill_share:.0%} of each batch is padding: rows have "
            f"{lengths.window_seconds:.2f} s, the median clip {lengths.median_seconds:.2f} s; "
            f"{way_out}"
        )
    if lengths.largest_clip_num_bytes > _HUGE_CLIP_BYTES:
        yield (
            f"the largest clip has {human_bytes(lengths.largest_clip_num_bytes)}: crops of it are "
            "read alone only as FLAC in a folder or the cache, else all of it for each; cut such "
            "clips when ingesting"
        )


def _about_classes(diagnosis: Diagnosis, min_clips: int) -> Iterator[str]:
    classes = diagnosis.classes
    rare = [label for label, count in classes.clips_by_label.items() if count < min_clips]
    absent = [label for label in rare if not classes.clips_by_label[label]]
    if absent:
        yield f"{_named(absent)} without any clip in the selection"
    present = [label for label in rare if classes.clips_by_label[label]]
    if present:
        yield f"{_named(present)} with under {min_clips} clips"
    if classes.num_unlabelled:
        yield f"{classes.num_unlabelled} clips have no label"
    folds = classes.clips_by_fold.values()
    if folds and max(folds) > _UNEVEN_FOLDS * min(folds):
        yield f"folds are uneven: from {min(folds)} to {max(folds)} clips"


def _named(labels: list[str]) -> str:
    shown = ", ".join(repr(label) for label in labels[:5])
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return f"{len(labels)} {'class' if len(labels) == 1 else 'classes'} ({shown}{more})"
