"""`kill -9` at random moments of a real ingest: no half shard is seen, a re-run ends the same."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.jobs.crash_builders import (
    MAX_WAIT_SECONDS,
    Reference,
    check_as_reader,
    make_reference,
    shards_tree,
    start,
    wait_until_writing,
)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return make_reference(tmp_path_factory.mktemp("crash"))


def kill_at_random_moments(
    reference: Reference, folder: Path, num_kills: int, *, kills_a_phase: int, seed: int
) -> None:
    """Kill each phase so often, then let it through, so that there are endings to compare."""
    rng = random.Random(seed)
    killed = 0
    run = 0
    while killed < num_kills:
        target = folder / str(run)
        run += 1
        for source, expected in zip(reference.sources, reference.trees, strict=True):
            had_manifest = target.exists()
            for _ in range(kills_a_phase):
                killed += kill_once(source, target, reference, rng)
                assert check_as_reader(target) or not had_manifest
            process = start(source, target)
            _, errors = process.communicate(timeout=MAX_WAIT_SECONDS)
            assert process.returncode == 0, errors.decode()
            assert shards_tree(target) == expected
    assert killed >= num_kills


def kill_once(source: Path, target: Path, reference: Reference, rng: random.Random) -> bool:
    process = start(source, target)
    wait_until_writing(process, target)
    time.sleep(rng.uniform(0, 1.1 * reference.seconds))
    os.kill(process.pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=MAX_WAIT_SECONDS)
    assert process.returncode in (-signal.SIGKILL, 0), errors.decode()
    return process.returncode == -signal.SIGKILL


def test_ingest_killed_four_times_ends_as_if_nothing_had_been(
    reference: Reference, tmp_path: Path
) -> None:
    kill_at_random_moments(reference, tmp_path, 4, kills_a_phase=3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ingest_killed_two_hundred_times_ends_as_if_nothing_had_been(
    reference: Reference, tmp_path: Path
) -> None:
    kill_at_random_moments(reference, tmp_path, 200, kills_a_phase=4, seed=2)
