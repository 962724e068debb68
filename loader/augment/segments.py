"""Windows out of a bank of clips, without a table of indices and without waiting.

Axes: B samples of a batch, T samples of a window, N rows of a bank, S samples of a row.
"""

from torch import Tensor

INT16_FULL_SCALE = 32768.0


def segments_BT(bank_NS: Tensor, row_B: Tensor, share_B: Tensor, *, num_samples: int) -> Tensor:
    """Return a window of a bank's row for each sample, as float32 in [-1, 1).

    Args:
        bank_NS: int16, contiguous.
        row_B: Row of each window.
        share_B: Where it begins: 0 at the row's start, just below 1 at the last possible place.
        num_samples: Length T.

    Raises:
        ValueError: the rows are shorter than that.
    """
    row_samples = bank_NS.shape[1]
    last = row_samples - num_samples
    if last < 0:
        raise ValueError(
            f"the batch has {num_samples} samples and the bank's rows only {row_samples}; make "
            "the bank with a longer segment_seconds"
        )
    # The product can round up to last + 1 in float32.
    within_B = (share_B * (last + 1)).floor().clamp(max=last).long()
    start_B = row_B.long() * row_samples + within_B
    # Every possible window as a row of a view that takes no memory.
    windows = bank_NS.reshape(-1).unfold(0, num_samples, 1)
    return windows[start_B].float().div_(INT16_FULL_SCALE)
