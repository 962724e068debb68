"""The statistics of all ranks as one. Pure: how they come together is the caller's affair."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from loader.histogram import merge_histograms
from loader.reader_stats import ReaderStats
from loader.resampling_buffer import BufferStats
from loader.stats import LoaderStats

_LARGEST = frozenset({"time_to_first_batch_seconds", "ceiling_batches", "max_bytes_held"})
_Sums = TypeVar("_Sums", LoaderStats, ReaderStats, BufferStats)


def merge_stats(ranks: Sequence[LoaderStats]) -> LoaderStats:
    """Return the sums over ranks, as `torch.distributed.all_gather_object` gave them.

    Counts, bytes and seconds add up; quantiles are those of all ranks' waits together. Of the
    time to the first batch and the number of ceiling batches it is the largest.

    Raises:
        ValueError: there are none.
    """
    if not ranks:
        raise ValueError("no statistics to merge: give those of at least one rank")
    return replace(
        _sum(ranks),
        waits=merge_histograms([rank.waits for rank in ranks]),
        reader=_sum([rank.reader for rank in ranks]),
        buffer=_sum([rank.buffer for rank in ranks]),
    )


def _sum(parts: Sequence[_Sums]) -> _Sums:
    merged: dict[str, Any] = {}
    for name in (field.name for field in fields(parts[0])):
        values = [getattr(part, name) for part in parts]
        if name in _LARGEST:
            merged[name] = max((value for value in values if value is not None), default=None)
        elif isinstance(values[0], int | float):
            merged[name] = sum(values)
    return replace(parts[0], **merged)
