"""What a network receives: features of a batch of clips, with their labels, on the device.

Axes: B clips, M mel bands, F frames, K labels.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureBatch:
    """A batch of features; the counterpart of `AudioBatch`."""

    keys: tuple[str, ...]
    mel_BMF: Tensor
    num_frames_B: Tensor
    """int64: how many frames of each row belong to the clip."""
    target_BK: Tensor
    """float32: the labels, multi-hot, or mixed by augmentation."""
    is_padding_B: Tensor
    """bool: rows that fill the batch; leave them out of losses and metrics."""

    def __len__(self) -> int:
        return len(self.keys)

    def tensors(self) -> tuple[Tensor, ...]:
        """Return all that lies on the device."""
        return self.mel_BMF, self.num_frames_B, self.target_BK, self.is_padding_B
