"""`melstream availability diff` and `common-eval`: two copies, or two runs, side by side."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq

from jobs.availability.common_eval import alive_ids, common_alive
from jobs.availability.diff import Change, SnapshotDiff, diff_snapshots
from jobs.availability.runs import Run, in_split, load_run, run_before
from jobs.availability.standing import STATES
from jobs.availability.survey_json import diff_json
from jobs.console import complain, say, table
from shardwriter.errors import ConfigError
from shardwriter.manifest import load_manifest
from shardwriter.schema import MANIFEST_NAME
from shardwriter.storage import S3Options, Store, open_store

_WORDS = {
    Change.LOST: "lost",
    Change.RECOVERED: "recovered",
    Change.AUDIO: "other audio",
    Change.STATE: "other changes of state",
    Change.ONLY_FIRST: "only in A",
    Change.ONLY_SECOND: "only in B",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffOptions:
    """What the user chose."""

    first: str
    second: str | None
    """None: the same dataset."""
    first_run: str | None = None
    """None: the latest; of one dataset, the run before `second_run`."""
    second_run: str | None = None
    out: Path | None = None
    """A .csv or .parquet for the clips that differ."""
    as_json: bool = False
    s3: S3Options | None = None


def diff(options: DiffOptions) -> None:
    """Compare two datasets, or two runs of one, and print what differs.

    Raises:
        ConfigError: no snapshot or run of that name, nothing to compare, an unknown file type.
        ShardFormatError: a snapshot is damaged.
    """
    if options.out is not None and options.out.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"--out {options.out}: expected a .csv or .parquet")
    first, second = _runs(options)
    difference = diff_snapshots(first.snapshot, second.snapshot)
    if options.out is not None:
        _write_changes(difference, options.out)
    if options.as_json:
        names = {"a": _name(first), "b": _name(second)}
        say(json.dumps(names | diff_json(difference), indent=1, ensure_ascii=False))
        return
    say(f"A: {_name(first)}\nB: {_name(second)}")
    _print_diff(difference)
    if difference.count(Change.AUDIO) and _formats_differ(options):
        say("A and B are of different audio formats or processing, so all their samples differ.")
    if difference.num_common == 0:
        complain("melstream availability diff: A and B have no clip id in common")
    if options.out is not None:
        say(f"\nclips that differ: {options.out}")


def common_eval(
    urls: Sequence[str],
    *,
    split: str | None,
    same_audio: bool,
    out: Path | None,
    as_json: bool,
    s3: S3Options | None,
) -> None:
    """List the clips that are alive in all datasets, with the digest that a paper can quote.

    Args:
        urls: The datasets; the latest run of each counts.
        split: Only clips that every dataset lists in this split.
        same_audio: Leave out clips whose samples differ.
        out: File of the list; None to write none.
        as_json: Print JSON.
        s3: How to reach the datasets on S3.

    Raises:
        ConfigError: no listing or snapshot, or no clip in common.
        ShardFormatError: one of them is damaged.
    """
    stores = [open_store(url, s3) for url in urls]
    runs = [load_run(store) for store in stores]
    snapshots = [
        run.snapshot if split is None else in_split(store, run.snapshot, split)
        for store, run in zip(stores, runs, strict=True)
    ]
    ids = common_alive(snapshots, same_audio=same_audio)
    if not len(ids.ids):
        raise ConfigError(
            f"no clip is alive in all of {', '.join(urls)}"
            + (" with the same audio; leave out --same-audio" if same_audio else "")
        )
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(ids.data)
    if as_json:
        datasets = [{"url": run.url, "run": run.run_id} for run in runs]
        row = {"clips": len(ids.ids), "sha256": ids.sha256, "split": split, "datasets": datasets}
        say(json.dumps(row, indent=1, ensure_ascii=False))
        return
    table(
        [
            *(
                (_name(run), f"{len(alive_ids(snapshot)):,} alive")
                for run, snapshot in zip(runs, snapshots, strict=True)
            ),
            ("in all of them", f"{len(ids.ids):,} clips"),
            ("SHA-256 of the id list", ids.sha256),
        ]
    )
    if out is not None:
        say(f"\nid list: {out} (sha256sum gives the same digest)")


def _runs(options: DiffOptions) -> tuple[Run, Run]:
    store = open_store(options.first, options.s3)
    if options.second is not None:
        other = open_store(options.second, options.s3)
        return load_run(store, options.first_run), load_run(other, options.second_run)
    second = load_run(store, options.second_run)
    earlier = options.first_run or run_before(store, second.run_id)
    if earlier is None:
        raise ConfigError(
            f"{store.url} has no run before {second.run_id} to compare with; name another dataset, "
            "or ingest again"
        )
    return load_run(store, earlier), second


def _print_diff(difference: SnapshotDiff) -> None:
    table(
        [
            ("in both", f"{difference.num_common:,} clips"),
            ("alive in both", f"{difference.num_common_alive:,}"),
            *((words, f"{difference.count(change):,}") for change, words in _WORDS.items()),
        ]
    )
    rows = [
        (f"{before} -> {after}", f"{difference.transitions_XY[row, column]:,}")
        for row, before in enumerate(STATES)
        for column, after in enumerate(STATES)
        if row != column and difference.transitions_XY[row, column]
    ]
    if rows:
        say("\nfrom state to state")
        table(rows)


def _write_changes(difference: SnapshotDiff, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(difference.changes, path)
    else:
        pq.write_table(difference.changes, path, compression="zstd")


def _formats_differ(options: DiffOptions) -> bool:
    if options.second is None:
        return False
    formats = [_format(open_store(url, options.s3)) for url in (options.first, options.second)]
    return None not in formats and formats[0] != formats[1]


def _format(store: Store) -> object:
    if not store.exists(MANIFEST_NAME):
        return None
    settings = load_manifest(store).settings
    return settings.audio, settings.processing


def _name(run: Run) -> str:
    return f"{run.url}, run {run.run_id}"
