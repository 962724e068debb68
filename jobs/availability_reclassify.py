"""`melstream availability reclassify`: old tries judged by the rules of this version."""

from jobs.availability.listing import read_listing
from jobs.availability.reclassify import read_judged_attempts, reclassify
from jobs.availability.reduction import reduce_attempts
from jobs.availability.runs import load_run
from jobs.availability.snapshot import write_snapshot
from jobs.console import say, table
from shardwriter.storage import S3Options, open_store


def reclassify_dataset(url: str, *, s3: S3Options | None) -> None:
    """Judge the log anew, and write what follows as a snapshot of its own beside the others.

    Raises:
        ConfigError: the dataset has no listing or no snapshot.
        ShardFormatError: the log or one of these is damaged.
    """
    store = open_store(url, s3)
    latest = load_run(store)
    listing, _ = read_listing(store)
    summary = reclassify(store)
    rows = [
        ("rules", f"version {summary.rules_version}"),
        ("tries in the log", f"{summary.num_attempts:,}"),
        ("judged anew", f"{summary.num_judged:,}, made by other rules and with their evidence"),
        ("other verdicts", f"{summary.num_changed:,}"),
    ]
    rows += [(f"{old} -> {new}", f"{count:,}") for (old, new), count in summary.changes.items()]
    table(rows)
    if not summary.num_changed:
        return
    # Its name sorts right behind the run's: `diff URL` then says what the new rules change.
    run_id = f"{latest.run_id.partition('+')[0]}+rules-{summary.rules_version}"
    write_snapshot(store, run_id, reduce_attempts(read_judged_attempts(store), listing))
    say(f"\nthe tries: {store.url}/{summary.name}")
    say(f"snapshot by these rules: run {run_id}; `melstream availability diff {url}` compares")
