"""The loader inside Lightning and Accelerate, as an iterable of `AudioBatch`.

Plain DDP and the Hugging Face Trainer: tests/test_examples.py.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.builders import make_tones

# Processes of their own: the frameworks warn, log and keep state as they like.
LIGHTNING = """
import sys, torch, lightning
from loader import LoaderConfig, ShardLoader

loader = ShardLoader(LoaderConfig(url=sys.argv[1], split="train", batch_size=4, crop_seconds=0.5))
seen = []

class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4000, len(loader.labels))

    def training_step(self, batch, batch_idx):
        seen.extend(batch.keys)
        logits_BK = self.layer(batch.wave_BT / 32768)
        return torch.nn.functional.cross_entropy(logits_BK, batch.target_BK)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

trainer = lightning.Trainer(
    max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
)
trainer.fit(Module(), loader)
first, second = seen[:32], seen[32:]
print(trainer.global_step, len(seen), len(set(first)), len(set(second)), first != second)
"""
ACCELERATE = """
import sys, torch, accelerate
from loader import LoaderConfig, ShardLoader

accelerator = accelerate.Accelerator(cpu=True)
loader = ShardLoader(LoaderConfig(url=sys.argv[1], split="train", batch_size=4, crop_seconds=0.5))
layer = torch.nn.Linear(4000, len(loader.labels))
# The loader shares the work among ranks and is not prepared; batches go to the device themselves.
layer, optimizer = accelerator.prepare(layer, torch.optim.SGD(layer.parameters(), lr=0.1))
seen = []
for epoch in range(2):
    for batch in loader:
        batch = batch.to(accelerator.device)
        seen.extend(batch.keys)
        loss = torch.nn.functional.cross_entropy(layer(batch.wave_BT / 32768), batch.target_BK)
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
first, second = seen[:32], seen[32:]
print(2 * len(loader), len(seen), len(set(first)), len(set(second)), first != second)
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tones(tmp_path_factory.mktemp("frameworks") / "dataset")


@pytest.mark.slow
@pytest.mark.parametrize("script", [LIGHTNING, ACCELERATE], ids=["lightning", "accelerate"])
def test_framework_trains_two_epochs_from_the_loader(url: str, tmp_path: Path, script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script, url],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    # 33 clips: 8 steps of 4 an epoch, no clip twice in one, and another order in the next.
    assert done.stdout.splitlines()[-1] == "16 64 32 32 True"
