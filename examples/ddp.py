"""The loader in a plain training loop: torchrun --nproc-per-node 2 examples/ddp.py DATASET.

Every rank opens the same dataset and gets its own part of each step, with the same number of steps
on all. What the checkpoint needs of the loader is `loader.state_dict()`.
"""

import sys

import torch
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from loader import LoaderConfig, ShardLoader, World
from loader.features import LogMel, LogMelConfig


def main(url: str, epochs: int = 2) -> None:
    """Train a small network for some epochs."""
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    world = World.from_env()
    device = torch.device("cuda", world.local_rank) if torch.cuda.is_available() else "cpu"
    if torch.cuda.is_available():
        torch.cuda.set_device(device)  # or every rank takes memory of the first GPU
    loader = ShardLoader(
        LoaderConfig(url=url, split="train", batch_size=4, crop_seconds=1.0), world=world
    )
    rate_hz = loader.sample_rate_hz
    log_mel = LogMel(LogMelConfig(sample_rate_hz=rate_hz, max_hz=rate_hz / 2)).to(device)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.BatchNorm1d(64),
        torch.nn.Conv1d(64, 64, 5, padding=2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveMaxPool1d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(64, len(loader.labels)),
    ).to(device)
    model = DistributedDataParallel(network)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        for batch in loader:
            batch = batch.to(device, non_blocking=True)
            loss = cross_entropy(model(log_mel(batch.wave_BT)), batch.target_BK)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        line = f"rank {world.rank}: epoch {epoch}, {len(loader)} steps, loss {loss.item():.3f}"
        print(line)  # noqa: T201  # an example may
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
