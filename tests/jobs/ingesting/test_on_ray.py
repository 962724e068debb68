"""Ray: slices as tasks; a node that is lost loses no clip, and none is there twice."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402  # after it is known that there is Ray

from jobs.ingesting.lane import Waiting  # noqa: E402
from jobs.ingesting.on_ray import slices_of  # noqa: E402
from jobs.verify import verify  # noqa: E402
from tests.jobs.ingesting.site import catalogue, clip_id, requests, run_site, write_site  # noqa: E402
from tests.jobs.ingesting.test_parts import samples  # noqa: E402

OBJECT_STORE_BYTES = 80 << 20
NUM_CLIPS = 120


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head without CPUs for tasks, so that those are on nodes that can be lost."""
    made = Cluster(
        initialize_head=True,
        connect=False,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
        },
    )
    ray.init(address=made.address, log_to_driver=False)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def add_node(cluster: Cluster) -> object:
    return cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES)


def test_slices_are_of_one_split_and_cover_everything_in_order() -> None:
    clips = catalogue(100).clips
    waiting = [Waiting(clip=clip) for clip in clips]
    slices = list(slices_of(waiting, num_clips=8, first=3))
    assert [one.number for one in slices] == list(range(3, 3 + len(slices)))
    assert all(len({waits.clip.split for waits in one.waiting}) == 1 for one in slices)
    assert all(0 < len(one.waiting) <= 8 for one in slices)
    train = [
        waits.clip.id for one in slices for waits in one.waiting if waits.clip.split == "train"
    ]
    assert train == [clip.id for clip in clips if clip.split == "train"]
    assert sum(len(one.waiting) for one in slices) == 100


@pytest.mark.slow
def test_node_that_is_lost_midway_loses_no_clip(cluster: Cluster, tmp_path: Path) -> None:
    flaky = {clip_id(number): ["timeout", "ok"] for number in range(5)}
    gone = {clip_id(number): ["private"] for number in range(50, 60)}
    site = write_site(tmp_path / "site", flaky | gone)
    doomed = add_node(cluster)
    add_node(cluster)
    cluster.wait_for_nodes()
    killed = threading.Thread(target=_kill_midway, args=(cluster, doomed, site))
    killed.start()
    summary = run_site(site, tmp_path / "out", NUM_CLIPS, executor="ray", seconds_per_request=0.05)
    killed.join()
    assert summary.num_written == NUM_CLIPS - len(gone)
    assert len(samples(tmp_path / "out")) == NUM_CLIPS - len(gone)
    run_site(write_site(tmp_path / "again", gone), tmp_path / "one", NUM_CLIPS)
    assert samples(tmp_path / "out") == samples(tmp_path / "one")
    assert verify(str(tmp_path / "out")) == 0


def _kill_midway(cluster: Cluster, node: object, site: Path) -> None:
    while requests(site).total() < NUM_CLIPS // 3:
        time.sleep(0.02)
    cluster.remove_node(node, allow_graceful=False)
