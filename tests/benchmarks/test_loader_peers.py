import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmarks.loader_clips import make_clips
from benchmarks.loader_peers import BATCH_SIZE, CLIP_SAMPLES, CROP_SAMPLES, melstream
from benchmarks.loader_peers.run import problem_of


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    make_clips(folder, num_recordings=4, copies=BATCH_SIZE // 4)
    return folder


@pytest.mark.parametrize("num_samples", [None, CROP_SAMPLES])
def test_our_loader_passes_the_check_that_every_peer_has_to(
    clips: Path, num_samples: int | None
) -> None:
    batches = melstream.open_batches(clips / "shards", num_samples, num_threads=1)
    first = next(batches)
    assert first.shape == (BATCH_SIZE, num_samples or CLIP_SAMPLES)
    assert problem_of(itertools.repeat(first), clips / "clips.npy", 1) == ""
    batches.close()


def test_samples_that_are_not_the_source_s_are_noticed(clips: Path) -> None:
    batches = melstream.open_batches(clips / "shards", CROP_SAMPLES, num_threads=1)
    wrong = next(batches) ^ 1
    assert "not the source's" in problem_of(iter([wrong]), clips / "clips.npy", 1)
    assert not np.array_equal(wrong[0], wrong[1])
    batches.close()
