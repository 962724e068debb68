"""What a training step receives.

Axes: B clips, T samples, K labels.
"""

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AudioBatch:
    """A batch of clips with their labels."""

    keys: tuple[str, ...]
    wave_BT: torch.Tensor
    """int16; divided by 32768 it lies in [-1, 1). Zero beyond `num_samples_B`."""
    num_samples_B: torch.Tensor
    """int64: how many samples of each row are audio."""
    target_BK: torch.Tensor
    """float32 of 0 and 1: the labels, multi-hot."""
    copy_B: torch.Tensor
    """int64: which of the epoch's copies of its clip each row is, from 0. Above 0 only with
    balance, mixing by weight, an epoch size or group batches; random numbers of an own
    augmentation should depend on it (`loader.randomness.sample_ids`)."""
    is_padding_B: torch.Tensor
    """bool: rows that repeat a clip to fill the batch, or because their own clip could not be read
    (`LoaderConfig.error_budget`); leave them out of losses and metrics."""

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return (
            f"AudioBatch(wave_BT={self.wave_BT.dtype}{list(self.wave_BT.shape)}, "
            f"target_BK={self.target_BK.dtype}{list(self.target_BK.shape)}, "
            f"num_padding={int(self.is_padding_B.sum())}, device={self.wave_BT.device})"
        )

    def to(self, device: torch.device | str | int, *, non_blocking: bool = False) -> "AudioBatch":
        """Return the batch on a device; the keys stay where they are.

        Args:
            device: Where to.
            non_blocking: Don't wait for the copy; it takes pinned memory to make a difference.
        """
        return replace(
            self,
            wave_BT=self.wave_BT.to(device, non_blocking=non_blocking),
            num_samples_B=self.num_samples_B.to(device, non_blocking=non_blocking),
            target_BK=self.target_BK.to(device, non_blocking=non_blocking),
            copy_B=self.copy_B.to(device, non_blocking=non_blocking),
            is_padding_B=self.is_padding_B.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "AudioBatch":
        """Return the batch in pinned memory, from which copies to the device run at full speed."""
        return replace(
            self,
            wave_BT=self.wave_BT.pin_memory(),
            num_samples_B=self.num_samples_B.pin_memory(),
            target_BK=self.target_BK.pin_memory(),
            copy_B=self.copy_B.pin_memory(),
            is_padding_B=self.is_padding_B.pin_memory(),
        )
