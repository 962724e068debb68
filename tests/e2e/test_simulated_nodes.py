"""`melstream simulate` beside two `torchrun` nodes that stream from a store through proxies."""

import contextlib
from pathlib import Path

import pytest

from benchmarks import simulate as measuring
from benchmarks.simulate import Case
from tests.s3.weed import running_weed

pytestmark = pytest.mark.slow


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give back what the benchmark sets."""
    for name in (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL",
        "OMP_NUM_THREADS",
    ):  # fmt: skip
        monkeypatch.setenv(name, "")


def test_two_real_nodes_ask_for_what_was_simulated(tmp_path: Path, aws_environment: None) -> None:
    cases = [
        Case(name="streamed", clips_per_gpu=400, num_connections=8),
        Case(name="cached", clips_per_gpu=400, num_connections=8, cache_share=2.0),
    ]
    with contextlib.ExitStack() as running:
        port = running.enter_context(running_weed(tmp_path))
        measuring.set_environment(port)
        measuring.make_dataset(tmp_path / "dataset", num_clips=640)
        measuring.upload(tmp_path / "dataset")
        nodes = running.enter_context(measuring.proxies(port))
        streamed, cached = (measuring.run_case(case, nodes, tmp_path / case.name) for case in cases)
    for expected, seen in zip(streamed.simulation.epochs, streamed.epochs, strict=True):
        assert sum(node.num_requests for node in seen.by_node) == expected.num_requests
        assert tuple(node.num_bytes for node in seen.by_node) == expected.node_num_bytes
    for expected, seen in zip(cached.simulation.epochs, cached.epochs, strict=True):
        assert seen.num_shards_downloaded == expected.num_shards_downloaded
        num_bytes = sum(node.num_bytes for node in seen.by_node)
        most = expected.num_bytes_fetched + expected.max_extra_num_bytes
        assert expected.num_bytes_fetched <= num_bytes <= most
