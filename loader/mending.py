"""A clip that can't be read: read once more, then another one in its place, marked as padding.

Axes: B rows of a batch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from loader.batch import ClipBatch
from loader.config import LoaderConfig
from loader.crop import choose_windows
from loader.dataset import DatasetIndex
from loader.encoded_clips import ClipWindow, EncodedClips
from loader.quarantine import READ_ERRORS, Quarantine
from loader.replacement import Clip, Replaced
from loader.rows import Rows
from shardwriter.errors import ErrorBudgetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Mender:
    """Fills places of batches whose clips failed. Holds nothing that changes but the quarantine."""

    config: LoaderConfig
    index: DatasetIndex
    quarantine: Quarantine
    read_again: Callable[[int], bytes]
    """Returns a row's encoded audio, straight from its store."""
    rows: Rows[Any]

    def mend(
        self,
        batch: ClipBatch,
        place: int,
        clip: Clip,
        stand_ins: Iterator[Clip],
        *,
        epoch: int,
    ) -> Replaced | None:
        """Fill a place with its own clip, or with the first other one that can be read.

        Args:
            batch: Written in place, but for its keys.
            place: Which row of it.
            clip: Whose place it is.
            stand_ins: The other clips, best first.
            epoch: Number of the epoch.

        Returns:
            What came in its place; `None` if the clip itself could be read this time.

        Raises:
            ErrorBudgetError: there are more such clips than the budget allows, or no other ones.
        """
        if self._fill(batch, place, clip, epoch=epoch):
            return None
        for other in stand_ins:
            if other.row not in self.quarantine and self._fill(batch, place, other, epoch=epoch):
                self._mark(batch, place, other)
                return Replaced(place=place, key=str(self.index.keys[other.row]))
        raise ErrorBudgetError(
            f"{self.index.where(clip.row)}: it can't be read, nor can any other clip that this "
            "rank has left in the epoch; `melstream verify URL` tells what is damaged"
        )

    def _fill(self, batch: ClipBatch, place: int, clip: Clip, *, epoch: int) -> bool:
        """Read a clip anew and decode it into a row; if that fails, quarantine it."""
        if clip.row in self.quarantine:
            self.quarantine.count(clip.row, epoch=epoch)
            return False
        try:
            data = self.read_again(clip.row)
            window = self._window(clip, data, place=place, epoch=epoch)
            self.rows.decode(EncodedClips.of([window]), batch)
        except READ_ERRORS as err:
            self.quarantine.add(clip.row, err, epoch=epoch)
            return False
        return True

    def _window(self, clip: Clip, data: bytes, *, place: int, epoch: int) -> ClipWindow:
        rows_B = np.array([clip.row])
        windows = choose_windows(
            self.index.keys_of(rows_B),
            self.rows.clip_lengths_N[rows_B],
            window_num_samples=self.rows.window_length,
            crop=self.config.crop,
            seed=self.config.seed,
            epoch=epoch,
            copies_B=np.array([clip.copy]),
        )
        return ClipWindow(
            data=data,
            row=place,
            start=int(windows.start_B[0]),
            num_samples=int(windows.num_samples_B[0]),
            clip_num_samples=int(self.rows.clip_lengths_N[clip.row]),
            where=self.index.where(clip.row),
        )

    def _mark(self, batch: ClipBatch, place: int, clip: Clip) -> None:
        target_BK: NDArray[np.float32] = self.index.targets_of(np.array([clip.row]))
        batch.target_BK[place] = torch.from_numpy(target_BK[0])
        length = min(int(self.rows.clip_lengths_N[clip.row]), self.rows.window_length)
        self.rows.set_length(batch, place, length)
        batch.copy_B[place] = clip.copy
        rows_B = np.array([clip.row])
        for name, column in self.index.targets.items():
            batch.targets[name][place] = column.of(rows_B)[0]
        label_B = self.index.single_labels_of(rows_B)
        if batch.single_label_B is not None and label_B is not None:
            batch.single_label_B[place] = int(label_B[0])
        batch.is_padding_B[place] = True
