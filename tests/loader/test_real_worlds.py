"""Real processes that meet in every step, on one machine and on two nodes of a real network."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.loader.builders import make_dataset
from tests.s3.weed import free_ports

REPOSITORY = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("gloo_worker.py")
SECONDS = 240
NUM_CLIPS = 29


def environment(**more: str) -> dict[str, str]:
    outer = {
        name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")
    }
    return {**outer, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **more}


def torchrun(*flags: str, url: str, out: Path, settings: Sequence[str]) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", *flags]
    return [*launcher, str(WORKER), url, *settings, str(out)]


def results(out: Path, size: int) -> list[dict[str, Any]]:
    rows = [json.loads((out / f"rank-{rank}.json").read_text()) for rank in range(size)]
    assert len({json.dumps(row["state"]) for row in rows}) == 1
    assert {len(row["keys"]) for row in rows} == {rows[0]["num_steps"]}
    return rows


def counts_of(rows: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(key for row in rows for keys in row["keys"] for key in keys)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "num_threads"), [(1, 4), (2, 3), (3, 1), (5, 2), (8, 1)])
def test_ranks_of_a_real_world_make_equal_steps_also_when_a_shard_is_lost(
    tmp_path: Path, size: int, num_threads: int
) -> None:
    url = make_dataset(tmp_path / "set", num_clips=NUM_CLIPS, clips_per_shard=3)
    Path(url, "train/made-000004.tar").unlink()
    command = torchrun(
        "--standalone", f"--nproc-per-node={size}",
        url=url, out=tmp_path, settings=["2", str(num_threads), "pad", "3"],
    )  # fmt: skip
    subprocess.run(command, check=True, timeout=SECONDS, env=environment())
    counts = counts_of(results(tmp_path, size))
    assert (len(counts), set(counts.values())) == (NUM_CLIPS - 3, {1})


class Node:
    """A network namespace with one address on a wire to the other node."""

    def __init__(self, name: str, device: str, address: str) -> None:
        self.name, self.device, self.address = name, device, address

    def command(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]


@contextlib.contextmanager
def two_nodes() -> Iterator[tuple[Node, Node]]:
    """Make two namespaces joined by a wire; skip where that isn't allowed."""
    if shutil.which("ip") is None:
        pytest.skip("two nodes need the command ip (iproute2)")
    if os.geteuid() != 0:
        pytest.skip("two nodes need root, for network namespaces")
    tag = secrets.token_hex(3)
    nodes = tuple(Node(f"ms-{tag}-{n}", f"v{tag}{n}", f"10.213.77.{n + 1}") for n in range(2))
    first, second = nodes
    with contextlib.ExitStack() as undo:
        for node in nodes:
            made = subprocess.run(["ip", "netns", "add", node.name], capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f"two nodes need network namespaces: {made.stderr.strip()}")
            undo.callback(subprocess.run, ["ip", "netns", "del", node.name], check=True)
        wire = ["ip", "link", "add", first.device, "netns", first.name, "type", "veth", "peer",
                "name", second.device, "netns", second.name]  # fmt: skip
        joined = subprocess.run(wire, capture_output=True, text=True)
        if joined.returncode:
            pytest.skip(f"two nodes need veth devices: {joined.stderr.strip()}")
        for node in nodes:
            for command in (
                ["ip", "addr", "add", f"{node.address}/24", "dev", node.device],
                ["ip", "link", "set", node.device, "up"],
                ["ip", "link", "set", "lo", "up"],
            ):
                subprocess.run(node.command(*command), check=True)
        yield first, second


@pytest.mark.slow
@pytest.mark.parametrize("way", ["folder", "http"])
def test_two_nodes_share_an_epoch_over_a_network_of_their_own(tmp_path: Path, way: str) -> None:
    url = make_dataset(tmp_path / "set", num_clips=NUM_CLIPS, clips_per_shard=3)
    with two_nodes() as nodes, contextlib.ExitStack() as running:
        if way == "http":
            url = running.enter_context(served(Path(url), nodes[0]))
        port = free_ports(1)[0]
        processes = []
        for number, node in enumerate(nodes):
            flags = (
                "--nnodes=2", "--nproc-per-node=2", f"--node-rank={number}",
                f"--master-addr={nodes[0].address}", f"--master-port={port}",
            )  # fmt: skip
            command = torchrun(*flags, url=url, out=tmp_path, settings=["2", "2", "pad", "0"])
            process = subprocess.Popen(
                node.command(*command),
                env=environment(GLOO_SOCKET_IFNAME=node.device, TORCH_GLOO_LAZY_INIT="0"),
                start_new_session=True,
            )
            running.callback(end, process)
            processes.append(process)
        assert [process.wait(SECONDS) for process in processes] == [0, 0]
    counts = counts_of(results(tmp_path, 4))
    assert (len(counts), set(counts.values())) == (NUM_CLIPS, {1})


@contextlib.contextmanager
def served(folder: Path, node: Node) -> Iterator[str]:
    """Serve a folder, with ranges, at a node's address."""
    port = free_ports(1)[0]
    server = subprocess.Popen(
        node.command(sys.executable, "-m", "tests.loader.range_server", str(folder),
                     node.address, str(port)),
        env=environment(), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield f"http://{node.address}:{port}/"
    finally:
        end(server)
        server.stdout.close()


def end(process: "subprocess.Popen[Any]") -> None:
    """End a process and those that it started, which torchrun sees to when it is asked to end."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(15)
