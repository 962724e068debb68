"""What a network receives: features of a batch of clips, with their labels.

Axes: B clips, M mel bands, F frames.
"""

from dataclasses import dataclass

from torch import Tensor

from loader.batch import ClipBatch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class FeatureBatch(ClipBatch):
    """A batch of features, made on the device of an `AudioBatch`, or read from their own shards.

    `target_BK` may hold what augmentation has mixed.
    """

    mel_BMF: Tensor
    num_frames_B: Tensor
    """int64: how many frames of each row belong to the clip."""

    def __repr__(self) -> str:
        return self._shown("mel_BMF", self.mel_BMF)

    def tensors(self) -> tuple[Tensor, ...]:
        """Return all that lies on the device."""
        found = [self.mel_BMF, self.num_frames_B, self.target_BK, self.copy_B, self.is_padding_B]
        if self.single_label_B is not None:
            found.append(self.single_label_B)
        return (*found, *self.targets.values())
