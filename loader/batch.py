"""What a training step receives.

Axes: B clips, T samples, K labels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import torch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipBatch:
    """What batches of audio and of features have in common: which clips they hold, and labels."""

    keys: tuple[str, ...]
    target_BK: torch.Tensor
    """float32 of 0 and 1: the labels, multi-hot."""
    copy_B: torch.Tensor
    """int64: which of the epoch's copies of its clip each row is, from 0. Above 0 only with
    balance, mixing by weight, an epoch size or group batches; random numbers of an own
    augmentation should depend on it (`loader.randomness.sample_ids`)."""
    is_padding_B: torch.Tensor
    """bool: rows that repeat a clip to fill the batch, or because their own clip could not be read
    (`LoaderConfig.error_budget`); leave them out of losses and metrics."""
    targets: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """What can be learned beside the labels, by name: int64 ids (B) for classes, -1 where a clip
    has none; float32 (B) for numbers, NaN where it has none. `ShardLoader.target_labels` names the
    classes."""
    single_label_B: torch.Tensor | None = None
    """What `label_B` returns; None where some clip of the selection has no or several labels."""

    @property
    def label_B(self) -> torch.Tensor:
        """int64: the label of each clip, for selections whose clips have exactly one each.

        Raises:
            AttributeError: some clip of the selection has none, or several.
        """
        if self.single_label_B is None:
            raise AttributeError(
                "label_B needs exactly one label a clip, and some clip of the selection has none "
                "or several: use target_BK, or choose clips by include_labels, exclude_labels or "
                "label_map"
            )
        return self.single_label_B

    def __len__(self) -> int:
        return len(self.keys)

    def label_fields(self) -> dict[str, Any]:
        """Return what stands here, by name, for a batch of another kind of the same clips."""
        return {each.name: getattr(self, each.name) for each in fields(ClipBatch)}

    def to(self, device: torch.device | str | int, *, non_blocking: bool = False) -> Self:
        """Return the batch on a device; the keys stay where they are.

        Args:
            device: Where to.
            non_blocking: Don't wait for the copy; it takes pinned memory to make a difference.
        """
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return the batch in pinned memory, from which copies to the device run at full speed."""
        return self._mapped(torch.Tensor.pin_memory)

    def _mapped(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        moved: dict[str, Any] = {
            each.name: move(getattr(self, each.name))
            for each in fields(self)
            if isinstance(getattr(self, each.name), torch.Tensor)
        }
        targets = {name: move(tensor) for name, tensor in self.targets.items()}
        return replace(self, **moved, targets=targets)

    def _shown(self, name: str, values: torch.Tensor) -> str:
        targets = f"targets={', '.join(self.targets)}, " if self.targets else ""
        return (
            f"{type(self).__name__}({name}={values.dtype}{list(values.shape)}, "
            f"target_BK={self.target_BK.dtype}{list(self.target_BK.shape)}, "
            f"{targets}num_padding={int(self.is_padding_B.sum())}, device={values.device})"
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class AudioBatch(ClipBatch):
    """A batch of clips with their labels."""

    wave_BT: torch.Tensor
    """int16; divided by 32768 it lies in [-1, 1). Zero beyond `num_samples_B`."""
    num_samples_B: torch.Tensor
    """int64: how many samples of each row are audio."""
    noise_snr_db_B: torch.Tensor | None = None
    """float32: at which ratio noise was mixed in, NaN where none was; None without noise in the
    loader's settings."""

    def __repr__(self) -> str:
        return self._shown("wave_BT", self.wave_BT)
