"""The loader in the Hugging Face Trainer, with AST: python examples/hf_trainer.py DATASET.

The Trainer takes any iterable dataset; this one yields batches that are already made, so its own
DataLoader gets `batch_size=None` and no worker processes: the loader's threads do that work. Each
rank's loader reads its own part, so the Trainer must not deal the batches out once more.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from transformers import ASTConfig, ASTForAudioClassification, Trainer, TrainingArguments

from loader import LoaderConfig, ShardLoader
from loader.features import LogMel, LogMelConfig


@dataclass(frozen=True)
class Clips(IterableDataset):
    """The loader's batches as the arguments of the model."""

    loader: ShardLoader
    log_mel: LogMel

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for batch in self.loader:
            mel_BMF = self.log_mel(batch.wave_BT)
            yield {"input_values": mel_BMF.transpose(1, 2), "labels": batch.target_BK.argmax(1)}

    def __len__(self) -> int:
        return len(self.loader)


class StreamingTrainer(Trainer):
    """A Trainer that leaves batching and sharding to the loader."""

    def get_train_dataloader(self) -> DataLoader:
        """Return the loader's batches as they come."""
        return DataLoader(self.train_dataset, batch_size=None)


def main(url: str, out: Path, max_steps: int = 4) -> None:
    """Train a tiny AST with random weights for some steps."""
    loader = ShardLoader(LoaderConfig(url=url, split="train", batch_size=4, crop_seconds=1.0))
    rate_hz = loader.sample_rate_hz
    # For a pretrained AST: LogMel.preset("ast") on shards of 16 kHz, and from_pretrained(FOLDER).
    features = LogMelConfig(sample_rate_hz=rate_hz, max_hz=rate_hz / 2)
    torch.manual_seed(0)
    model = ASTForAudioClassification(
        ASTConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            num_mel_bins=features.num_mels,
            max_length=features.num_frames(rate_hz),
            num_labels=len(loader.labels),
        )
    )
    arguments = TrainingArguments(
        output_dir=str(out),
        max_steps=max_steps,
        learning_rate=1e-3,
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    trainer = StreamingTrainer(
        model=model, args=arguments, train_dataset=Clips(loader, LogMel(features))
    )
    loss = trainer.train().training_loss
    print(f"{trainer.state.global_step} steps, loss {loss:.3f}")  # noqa: T201  # an example may


if __name__ == "__main__":
    main(sys.argv[1], Path("out/hf"))
