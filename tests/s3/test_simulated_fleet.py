"""`melstream simulate` beside two nodes of loaders that stream from a store: the same counts.

Each node reaches the store by a proxy of its own, which counts what passes, and has a cache of its
own; its two ranks are threads.
"""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.fleet import EpochTraffic, Fleet
from jobs.simulate import SimulateOptions, Simulation, simulate
from loader import LoaderConfig, ShardLoader, World
from shardwriter.storage import S3Options
from tests.loader.builders import make_dataset
from tests.s3.builders import s3_store, through
from tests.s3.fault_proxy import FaultProxy
from tests.s3.shard_traffic import SeenTraffic, TrafficMeter
from tests.s3.weed import BUCKET

NUM_NODES = 2
GPUS_PER_NODE = 2
BATCH_SIZE = 4
OPEN_SHARDS = 4
NUM_EPOCHS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fleet") / "dataset"
    return Path(make_dataset(root, num_clips=192, clips_per_shard=8))


@pytest.fixture
def far(folder: Path, prefix: str) -> str:
    near = s3_store(prefix)
    for path in [folder / "dataset.json", *folder.glob("index/*"), *folder.glob("train/*.tar")]:
        near.put(path.relative_to(folder).as_posix(), path.read_bytes())
    return prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    proxy: FaultProxy
    meter: TrafficMeter


@pytest.fixture
def nodes(s3_port: int) -> Iterator[list[Node]]:
    with contextlib.ExitStack() as serving:
        made = []
        for _ in range(NUM_NODES):
            proxy, meter = FaultProxy(s3_port), TrafficMeter()
            proxy.on_request = meter.note
            made.append(Node(proxy=serving.enter_context(proxy.serving()), meter=meter))
        yield made


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredEpoch:
    by_node: list[SeenTraffic]
    num_shards_downloaded: int
    num_requests: int
    """As the loaders counted them."""
    num_bytes_fetched: int


def make_loaders(
    nodes: Sequence[Node], far: str, *, cache_dir: str | None = None
) -> list[ShardLoader]:
    loaders = []
    for number, node in enumerate(nodes):
        config = LoaderConfig(
            url=f"s3://{BUCKET}/{far}", split="train", batch_size=BATCH_SIZE, crop_seconds=0.02,
            open_shards=OPEN_SHARDS, num_streams=NUM_NODES, fetch_connections=4,
            cache_dir=None if cache_dir is None else f"{cache_dir}-{number}",
        )  # fmt: skip
        for local in range(GPUS_PER_NODE):
            world = World(
                rank=number * GPUS_PER_NODE + local,
                size=NUM_NODES * GPUS_PER_NODE,
                local_rank=local,
                local_size=GPUS_PER_NODE,
            )
            loaders.append(ShardLoader(config, world=world, store=through(node.proxy, far)))
    return loaders


def run_epochs(nodes: Sequence[Node], loaders: Sequence[ShardLoader]) -> list[MeasuredEpoch]:
    epochs = []
    before = [loader.stats().reader for loader in loaders]
    for _ in range(NUM_EPOCHS):
        with ThreadPoolExecutor(len(loaders)) as pool:
            assert set(pool.map(lambda loader: sum(1 for _ in loader), loaders)) == {12}
        after = [loader.stats().reader for loader in loaders]
        changes = [
            {
                name: getattr(now, name) - getattr(then, name)
                for name in ("num_shards_downloaded", "num_requests", "num_bytes_fetched")
            }
            for then, now in zip(before, after, strict=True)
        ]
        epochs.append(
            MeasuredEpoch(
                by_node=[node.meter.take() for node in nodes],
                **{name: sum(change[name] for change in changes) for name in changes[0]},
            )
        )
        before = after
    return epochs


def simulated(nodes: Sequence[Node], far: str, *, cache_num_bytes: int | None = None) -> Simulation:
    fleet = Fleet(
        num_gpus=NUM_NODES * GPUS_PER_NODE,
        gpus_per_node=GPUS_PER_NODE,
        batch_size=BATCH_SIZE,
        clips_per_gpu=100.0,
        cache_num_bytes=cache_num_bytes,
    )
    options = SimulateOptions(
        fleet=fleet,
        url=f"s3://{BUCKET}/{far}",
        s3=S3Options(endpoint_url=nodes[0].proxy.url),
        open_shards=OPEN_SHARDS,
        num_streams=NUM_NODES,
        num_epochs=NUM_EPOCHS,
    )
    simulation = simulate(options)
    for node in nodes:
        node.meter.take()
    return simulation


def check_bounds(expected: EpochTraffic, measured: MeasuredEpoch) -> None:
    """What a node fetches lies between its shards and the streamed share above them."""
    num_requests = sum(seen.num_requests for seen in measured.by_node)
    num_bytes = [seen.num_bytes for seen in measured.by_node]
    most = expected.max_extra_num_requests
    assert expected.num_requests <= num_requests <= expected.num_requests + most
    for predicted, fetched in zip(expected.node_num_bytes, num_bytes, strict=True):
        assert predicted <= fetched <= predicted + expected.max_extra_num_bytes
    assert sum(num_bytes) <= expected.num_bytes_fetched + expected.max_extra_num_bytes


def test_requests_and_bytes_of_two_streaming_nodes_are_those_simulated(
    nodes: list[Node], far: str
) -> None:
    simulation = simulated(nodes, far)
    loaders = make_loaders(nodes, far)
    opened = [node.meter.take() for node in nodes]
    assert sum(seen.num_others for seen in opened) == simulation.opening.num_requests
    measured = run_epochs(nodes, loaders)
    assert len(measured) == len(simulation.epochs) == NUM_EPOCHS
    for expected, epoch in zip(simulation.epochs, measured, strict=True):
        assert sum(seen.num_requests for seen in epoch.by_node) == expected.num_requests
        assert [seen.num_bytes for seen in epoch.by_node] == list(expected.node_num_bytes)
        assert epoch.num_requests == expected.num_requests
        assert epoch.num_bytes_fetched == expected.num_bytes_fetched


def test_downloads_and_cache_hits_of_two_nodes_are_those_simulated(
    nodes: list[Node], far: str, tmp_path: Path
) -> None:
    simulation = simulated(nodes, far, cache_num_bytes=1 << 40)
    loaders = make_loaders(nodes, far, cache_dir=str(tmp_path / "cache"))
    for node in nodes:
        node.meter.take()
    measured = run_epochs(nodes, loaders)
    assert len(measured) == len(simulation.epochs) == NUM_EPOCHS
    for expected, epoch in zip(simulation.epochs, measured, strict=True):
        assert epoch.num_shards_downloaded == expected.num_shards_downloaded
        check_bounds(expected, epoch)
    first, second = simulation.epochs
    assert first.num_cache_hits == 0
    # Streams are made of other shards in each epoch, so that a node has met only some of them.
    assert 0 < second.num_cache_hits < second.num_cache_visits
