"""`melstream verify`: is a dataset what its manifest says, byte for byte?"""

from jobs.console import complain, human_bytes, progress, say
from shardwriter.check import check_indexes, check_shards
from shardwriter.manifest import load_manifest
from shardwriter.storage import S3Options, open_store

_MAX_PROBLEMS_SHOWN = 20


def verify(url: str, *, decode: bool = True, s3: S3Options | None = None) -> int:
    """Check a dataset and print what is wrong; return 0 if it is whole, 1 if it is not."""
    store = open_store(url, s3)
    manifest = load_manifest(store)
    problems: list[str] = []
    reports = check_shards(store, manifest, manifest.shards, decode=decode)
    for report in progress(reports, total=len(manifest.shards), what="verify", unit="shard"):
        problems.extend(report.problems)
    problems.extend(check_indexes(store, manifest))
    for problem in problems[:_MAX_PROBLEMS_SHOWN]:
        complain(f"  {problem}")
    if len(problems) > _MAX_PROBLEMS_SHOWN:
        complain(f"  ... and {len(problems) - _MAX_PROBLEMS_SHOWN} more")
    num_samples = sum(shard.num_samples for shard in manifest.shards)
    checked = f"{len(manifest.shards)} shards, {num_samples} clips, " + human_bytes(
        sum(shard.num_bytes for shard in manifest.shards)
    )
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        say(f"{url}: {len(problems)} {noun} in {checked}; ingest it again, or restore a copy")
        return 1
    how = "hashes, structure, labels and decoded audio agree" if decode else "hashes agree"
    say(f"{url}: whole. {checked}: {how}")
    return 0
