"""Many writers on one S3 prefix, and clips that lie on S3 themselves."""

import subprocess
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.verify import verify
from shardwriter.index import index_rows
from shardwriter.manifest import load_manifest
from shardwriter.publish import load_idx
from shardwriter.s3 import S3Store
from shardwriter.storage import Store, open_store
from tests.s3.builders import NUM_CLIPS, make_source, s3_store
from tests.s3.test_ingest_s3 import command

TIMEOUT_SECONDS = 240


def keys_of(store: Store) -> list[str]:
    """The keys of all shards that the manifest names."""
    shards = load_manifest(store).shards
    return [row.key for shard in shards for row in index_rows(load_idx(store, shard.tar))]


def test_parts_that_race_on_one_prefix_make_one_whole_dataset(
    source: Path, near: S3Store, url: str, tmp_path: Path
) -> None:
    racing = [
        subprocess.Popen(
            [*command(source, url), "--part", f"{number}/3", "--work", str(tmp_path / str(number))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for number in (1, 2, 3)
    ]
    errors = [one.communicate(timeout=TIMEOUT_SECONDS)[1].decode() for one in racing]
    assert [one.returncode for one in racing] == [0, 0, 0], errors
    keys = keys_of(near)
    assert len(keys) == len(set(keys)) == NUM_CLIPS
    assert sum(shard.num_samples for shard in load_manifest(near).shards) == NUM_CLIPS
    assert verify(url) == 0


def test_clips_that_lie_on_s3_are_read_from_there_by_workers(
    source: Path, url: str, prefix: str, tmp_path: Path
) -> None:
    held = s3_store(f"{prefix}-published")
    for path in source.rglob("*.*"):
        held.put(path.relative_to(source).as_posix(), path.read_bytes())
    out = tmp_path / "out"
    chosen = ["--source", f"{url}-published", "--out", str(out), "--workers", "2"]
    assert main(["ingest", "esc50", "--subset", "esc10", "--sample-rate", "8000", *chosen]) == 0
    assert len(keys_of(open_store(str(out)))) == NUM_CLIPS


@pytest.mark.slow
def test_ray_writes_to_s3_what_one_process_writes(near: S3Store, url: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "source").mkdir()
    source = make_source(tmp_path / "source")
    flags = ["--subset", "esc10", "--sample-rate", "8000", "--shard-clips", "5"]
    chosen = ["--source", str(source), "--out", url, "--executor", "ray"]
    assert main(["ingest", "esc50", *chosen, *flags]) == 0
    assert len(set(keys_of(near))) == NUM_CLIPS
    assert verify(url) == 0
