"""What is left of a group of ranks once they have parted."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
RANK = """
from pathlib import Path
import torch
from jobs.distributed import distributed, gather_from_ranks, process_group
from loader import World

def num_threads():
    tasks = Path("/proc/self/task").glob("*/comm")
    return sum(task.read_text().startswith("pt_gloo") for task in tasks)

def work(world, device):
    network = distributed(torch.nn.Linear(3, 1), world=world, device=device)
    network(torch.ones(2, 3)).sum().backward()
    assert gather_from_ranks(world.rank, world) == [0, 1]
    return num_threads()

world = World.from_env()
with process_group(world) as device:
    num_inside = work(world, device)
print(num_inside, num_threads())
"""


def test_no_thread_that_ranks_talked_through_outlives_their_group(tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launcher, str(script)],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    # Those that are left are of the group that PyTorch keeps with a network.
    assert done.stdout.split() == ["4", "2"] * 2
