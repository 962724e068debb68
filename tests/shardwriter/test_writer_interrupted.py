"""A writer that is stopped or killed leaves whole shards only; run again, it ends alike."""

import contextlib
import json
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shardwriter import ShardWriter
from shardwriter.errors import ConfigError, StorageError
from shardwriter.keys import to_key
from shardwriter.manifest import load_manifest
from shardwriter.object_names import TEMPORARY_PREFIX
from shardwriter.storage import LocalStore
from tests.audio import noise
from tests.shardwriter.builders import (
    NUM_CLIPS,
    SETTINGS,
    make_clip,
    make_clips,
    tree,
    write_dataset,
)
from tests.shardwriter.disk import full_disk
from tests.shardwriter.writing import FailingStore, write_all, write_and_fail, writer_on

ROOT = Path(__file__).parents[2]


def visible(folder: Path) -> dict[str, str]:
    return {name: sha for name, sha in tree(folder).items() if TEMPORARY_PREFIX not in name}


@pytest.mark.parametrize("num_written", range(NUM_CLIPS + 1))
def test_interrupted_and_repeated_run_gives_the_same_tree(
    dataset: Path, tmp_path: Path, num_written: int
) -> None:
    folder = tmp_path / "made"
    write_and_fail(writer_on(folder), make_clips(range(num_written)))
    left = tree(folder) if folder.exists() else {}
    assert left.items() <= tree(dataset).items()
    assert "dataset.json" not in left
    hint = "run the same ingest command again" if left else "no dataset at"
    with pytest.raises(ConfigError, match=hint):
        load_manifest(LocalStore(folder))
    write_dataset(folder)
    assert tree(folder) == tree(dataset)


def test_readers_see_only_whole_shards_while_a_writer_works(dataset: Path, tmp_path: Path) -> None:
    reference = tree(dataset).items()
    with writer_on(tmp_path / "made") as writer:
        for clip in make_clips():
            writer.write_clip(clip)
            seen = visible(tmp_path / "made")
            assert seen.items() <= reference
            assert "dataset.json" not in seen
            assert not any(name.startswith("index/") for name in seen)


def test_writer_knows_what_is_written(tmp_path: Path) -> None:
    keys = [to_key(clip.id) for clip in make_clips(range(5))]
    writer = writer_on(tmp_path / "made")
    write_and_fail(writer, make_clips(range(5)))
    with writer:  # the same object, used again
        # Clips 0, 1 and 3 filled the first shard of `train`; 2 and 4 were thrown away.
        assert [writer.is_written(key) for key in keys] == [True, True, False, True, False]
        writer.write_clip(make_clip(2))
        assert writer.is_written(keys[2])


@pytest.mark.parametrize("fail_at", range(1, 16))
def test_publication_that_fails_and_a_repeated_run_give_the_same_tree(
    dataset: Path, tmp_path: Path, fail_at: int
) -> None:
    """The dataset is 15 publications: four shards of three files, two indexes, the manifest."""
    folder = tmp_path / "made"
    writer = writer_on(FailingStore(folder, fail_at=fail_at))
    with pytest.raises(StorageError, match="No space left"):
        write_all(writer, make_clips())
    assert writer.manifest is None
    left = tree(folder) if folder.exists() else {}
    assert left.items() <= tree(dataset).items()
    assert "dataset.json" not in left
    write_dataset(folder)
    assert tree(folder) == tree(dataset)


def test_writer_that_failed_refuses_to_go_on(tmp_path: Path) -> None:
    """Else the samples of the shard that was lost would be missing without a word."""
    folder = tmp_path / "made"
    writer = ShardWriter(FailingStore(folder, fail_at=1), SETTINGS, max_samples_per_shard=1)
    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.raises(StorageError, match="failed before"))
        stack.enter_context(writer)
        with pytest.raises(StorageError, match="No space left"):
            writer.write_clip(make_clip(0))
        with pytest.raises(StorageError, match=r"failed before.*open a new writer"):
            writer.write_clip(make_clip(1))
    assert not folder.exists() or visible(folder) == {}


def test_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    pcm_T = noise(40_000)
    writer = writer_on(tmp_path / "made")
    with (
        pytest.raises(StorageError, match="File too large"),
        full_disk(max_file_bytes=20_000),
    ):
        write_all(writer, [replace(make_clip(0), pcm_T=pcm_T)])
    assert not (tmp_path / "made").exists()


def test_writer_that_is_killed_at_random_and_repeated_gives_the_same_tree(
    tmp_path: Path,
) -> None:
    num_clips, rng = 40, random.Random(5)
    folder = tmp_path / "made"
    command = [sys.executable, "-m", "tests.shardwriter.killed_writer", "steps", folder, "40"]
    for kill in range(5):
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            # It may write so many clips, and is killed while it works on the last of them.
            num_allowed = rng.randrange(4 + 6 * kill, 10 + 6 * kill)
            process.stdin.write(bytes(num_allowed))
            process.stdin.flush()
            for _ in range(num_allowed - rng.randrange(1, 4)):
                assert process.stdout.readline()
            process.kill()
        assert process.returncode == -signal.SIGKILL
        with pytest.raises(ConfigError):
            load_manifest(LocalStore(folder))
    write_dataset(folder, make_clips(range(num_clips)))
    write_dataset(tmp_path / "reference", make_clips(range(num_clips)))
    assert tree(folder) == tree(tmp_path / "reference")


def kill_points(folder: Path, *, step: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.shardwriter.killed_writer", "points", folder, str(step)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_writer_that_is_killed_at_a_file_operation_leaves_whole_shards_only(
    tmp_path: Path,
) -> None:
    found = kill_points(tmp_path, step=9)
    assert found["problems"] == {}
    assert found["num_points"] >= 10


@pytest.mark.slow
def test_writer_that_is_killed_at_any_file_operation_leaves_whole_shards_only(
    tmp_path: Path,
) -> None:
    found = kill_points(tmp_path, step=1)
    assert found["problems"] == {}
    assert found["num_points"] >= 90


def test_shard_of_a_killed_run_with_other_content_is_named_not_replaced(
    own_dataset: Path,
) -> None:
    """The tar is published before its part; a run in another order finds it in the way."""
    (own_dataset / "dataset.json").unlink()
    (own_dataset / "parts" / "test" / "made-000000.json").unlink()
    before = (own_dataset / "test" / "made-000000.tar").read_bytes()
    with pytest.raises(StorageError, match=r"test/made-000000\.tar is there already with other"):
        write_dataset(own_dataset, make_clips()[::-1])
    assert (own_dataset / "test" / "made-000000.tar").read_bytes() == before
