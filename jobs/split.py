"""`melstream split`: a split of a dataset by groups, for sets that lack one."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.split_file import Part, write_splits
from jobs.console import say
from jobs.equal_audio import with_equal_audio_grouped
from jobs.split_rule import SplitClip, split_clips
from shardwriter.errors import ConfigError
from shardwriter.keys import from_key
from shardwriter.manifest import load_manifest
from shardwriter.publish import load_idx
from shardwriter.shard_names import check_split
from shardwriter.storage import S3Options, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """What the user chose."""

    weights: Mapping[str, int]
    """Parts, and how much each gets; with folds one part, whose clips get the folds."""
    num_folds: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartTotals:
    """What one split or fold of the outcome holds."""

    name: str
    num_clips: int
    num_groups: int
    num_classes: int
    """Of the classes that occur at all, how many occur here."""


def split_dataset(
    url: str, options: SplitOptions, *, out: Path, s3: S3Options | None = None
) -> int:
    """Split a published dataset's clips anew, write the file, and print what it holds.

    The dataset stays as it is: ingest it again with the file to get it by these splits.
    """
    published, hashes = published_clips(url, s3)
    clips = with_equal_audio_grouped(published, hashes)
    parts = split_parts(clips, options)
    try:
        out.write_bytes(write_splits(parts))
    except OSError as err:
        raise ConfigError(f"{out}: {err.strerror}") from err
    num_classes = len({label for clip in clips for label in clip.labels})
    for totals in part_totals(clips, parts):
        say(
            f"  {totals.name}: clips {totals.num_clips:,}, groups {totals.num_groups:,}, "
            f"classes {totals.num_classes} of {num_classes}"
        )
    for split in sorted(options.weights.keys() - {part.split for part in parts.values()}):
        say(f"note: {split} got no clip: there are too few groups, or its weight is too small")
    if not any(clip.group is not None for clip in published):
        say("note: no clip has a group, so every clip was dealt out by itself")
    say(f"{out}: {len(parts):,} clips. Ingest the dataset again with --splits {out} to use it")
    return 0


def published_clips(
    url: str, s3: S3Options | None = None
) -> tuple[list[SplitClip], list[bytes | None]]:
    """Return a published dataset's clips, as its shards' indexes list them, and their hashes."""
    clips, hashes = [], []
    store = open_store(url, s3)
    manifest = load_manifest(store)
    labels = manifest.settings.labels
    for shard in manifest.shards:
        table = load_idx(store, shard.tar).select(["key", "label_ids", "group", "pcm_hash"])
        for row in table.to_pylist():
            try:
                clip = from_key(row["key"])
            except ValueError as err:
                raise ConfigError(
                    f"{url} holds {row['key']!r}, which is no key of melstream's: a dataset that "
                    "others made can't be ingested again by a split"
                ) from err
            names = tuple(labels[i] for i in row["label_ids"])
            clips.append(SplitClip(id=clip, labels=names, group=row["group"]))
            hashes.append(row["pcm_hash"])
    return clips, hashes


def catalogue_clips(catalogue: Catalogue) -> Iterator[SplitClip]:
    """Yield the clips that a catalogue lists, to split before anything is ingested."""
    for clip in catalogue.clips:
        yield SplitClip(id=clip.id, labels=clip.labels, group=clip.group)


def split_parts(clips: Iterable[SplitClip], options: SplitOptions) -> dict[str, Part]:
    """Return the split, or the fold, of each clip.

    Raises:
        ConfigError: parts that can't be splits, or folds of several splits.
    """
    try:
        for split in options.weights:
            check_split(split)
        if options.num_folds is None:
            parts = split_clips(clips, options.weights, seed=options.seed)
            return {clip: Part(split) for clip, split in parts.items()}
        (split,) = options.weights
        equal = {str(fold): 1 for fold in range(1, options.num_folds + 1)}
        folds = split_clips(clips, equal, seed=options.seed)
    except ValueError as err:
        raise ConfigError(f"can't split by {dict(options.weights)}: {err}") from err
    return {clip: Part(split, int(fold)) for clip, fold in folds.items()}


def part_totals(clips: Iterable[SplitClip], parts: Mapping[str, Part]) -> list[PartTotals]:
    """Return what each split or fold holds, in order of names."""
    num_clips: Counter[tuple[str, int]] = Counter()
    groups: dict[tuple[str, int], set[str]] = {}
    classes: dict[tuple[str, int], set[str]] = {}
    for clip in clips:
        part = parts[clip.id]
        place = (part.split, part.fold or 0)
        num_clips[place] += 1
        groups.setdefault(place, set()).add(clip.group or f"clip {clip.id}")
        classes.setdefault(place, set()).update(clip.labels)
    return [
        PartTotals(
            name=split if fold == 0 else f"{split} fold {fold}",
            num_clips=num_clips[split, fold],
            num_groups=len(groups[split, fold]),
            num_classes=len(classes[split, fold]),
        )
        for split, fold in sorted(num_clips)
    ]
