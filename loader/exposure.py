"""How often each class and clip comes in an epoch: as intended, as planned, as delivered. Pure.

Axes: N rows of the index, K labels, M places of an epoch's order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.balance import label_incidence
from loader.dataset import DatasetIndex
from loader.plan import EpochOrder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """The exposure of an epoch, over all ranks. A clip of two labels exposes both."""

    labels: tuple[str, ...]
    num_clips_K: NDArray[np.int64]
    """Clips of each class in the selection."""
    target_K: NDArray[np.float64]
    """Copies of clips of each class in an epoch, on average over epochs."""
    planned_K: NDArray[np.int64]
    """... in this epoch: each clip's copies differ from its target by less than 1."""
    delivered_K: NDArray[np.int64]
    """... that all ranks together have received so far, without padding."""
    num_delivered: int
    num_distinct: int
    """Clips of the selection that come in this epoch at all."""
    max_copies: int
    """Most copies of one clip in this epoch."""
    effective_num_clips: float
    """(sum of copies)^2 / sum of copies^2: Kish's effective sample size; with every clip once,
    their number."""

    def report(self, *, num_rows: int = 10) -> str:
        """Return a table of the classes whose share is raised and lowered most."""
        share_K = self.num_clips_K / max(int(self.num_clips_K.sum()), 1)
        target_share_K = self.target_K / max(float(self.target_K.sum()), 1e-300)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio_K = np.where(share_K > 0, target_share_K / share_K, 0.0)
        present = np.flatnonzero(self.num_clips_K)
        ranked = present[np.argsort(-ratio_K[present], kind="stable")]
        shown = (
            ranked
            if len(ranked) <= 2 * num_rows
            else np.r_[ranked[:num_rows], -1, ranked[-num_rows:]]
        )
        lines = [
            f"{self.num_distinct} of the selection's clips come in this epoch, at most "
            f"{self.max_copies} times each; effective number of clips "
            f"{self.effective_num_clips:.0f}; {self.num_delivered} delivered",
            f"{'label':32} {'clips':>9} {'target':>11} {'planned':>9} {'delivered':>9}   share",
        ]
        lines += [self._line(int(k), float(ratio_K[k])) if k >= 0 else "..." for k in shown]
        return "\n".join(lines)

    def _line(self, k: int, ratio: float) -> str:
        return (
            f"{self.labels[k][:32]:32} {self.num_clips_K[k]:9d} {self.target_K[k]:11.1f} "
            f"{self.planned_K[k]:9d} {self.delivered_K[k]:9d} {f'x {ratio:.2f}':>7}"
        )


def exposure_of(
    index: DatasetIndex,
    order: EpochOrder,
    *,
    expected_N: NDArray[np.float64] | None,
    delivered: slice,
    num_cycled: int = 0,
    target: str | None = None,
) -> Exposure:
    """Return the exposure of an epoch.

    Because the plan is known, what all ranks have received needs no communication: it is a
    stretch of the order.

    Args:
        index: The selected samples.
        order: The epoch's order.
        expected_N: Copies of each row on average over epochs; `None`: as in this epoch.
        delivered: The stretch of the order that was delivered.
        num_cycled: Samples from the order's start that were delivered once more at its end.
        target: Name of the class target whose classes are counted; None: the labels.
    """
    copies_N = np.bincount(order.rows_M, minlength=len(index))
    delivered_N = np.bincount(order.rows_M[delivered], minlength=len(index))
    again = np.arange(num_cycled) % len(order)
    delivered_N += np.bincount(order.rows_M[again], minlength=len(index))
    incidence = label_incidence(index, np.arange(len(index), dtype=np.int64), target)
    labels = index.labels if target is None else index.targets[target].labels or ()

    def per_label(values_N: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
        counts_N = np.diff(np.append(incidence.starts, len(incidence.ids)))
        sums = np.bincount(
            incidence.ids,
            weights=np.repeat(values_N, counts_N),
            minlength=incidence.num_classes,
        )
        return sums[: len(labels)].astype(np.float64)

    target_N = copies_N if expected_N is None else expected_N
    return Exposure(
        labels=labels,
        num_clips_K=per_label(np.ones(len(index))).astype(np.int64),
        target_K=per_label(target_N),
        planned_K=per_label(copies_N).astype(np.int64),
        delivered_K=per_label(delivered_N).astype(np.int64),
        num_delivered=int(delivered_N.sum()),
        num_distinct=int(np.count_nonzero(copies_N)),
        max_copies=int(copies_N.max()),
        effective_num_clips=float(copies_N.sum()) ** 2 / float(np.square(copies_N).sum()),
    )
