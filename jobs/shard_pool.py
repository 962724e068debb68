"""Work on many shards, one process a core: results in order, a bounded number under way."""

import collections
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from shardwriter.errors import MelstreamError

Item = TypeVar("Item")
Result = TypeVar("Result")

_IN_FLIGHT_PER_WORKER = 2


def map_shards(
    work: Callable[[Item], Result], items: Sequence[Item], *, num_workers: int
) -> Iterator[Result]:
    """Yield `work(item)` for each item, in order.

    Args:
        work: A function that can be pickled; it opens its own store.
        items: What it is called with.
        num_workers: Processes; with 0 or 1, or fewer than two items, none is started.

    Raises:
        MelstreamError: a process died, or what `work` raised.
    """
    num_workers = min(num_workers, len(items))
    if num_workers < 2:
        yield from map(work, items)
        return
    # spawn, not fork: the parent may hold threads (pyarrow) that a fork would break.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context) as pool:
        in_flight: collections.deque[Future[Result]] = collections.deque()
        try:
            for item in items:
                in_flight.append(pool.submit(work, item))
                if len(in_flight) > num_workers * _IN_FLIGHT_PER_WORKER:
                    yield in_flight.popleft().result()
            while in_flight:
                yield in_flight.popleft().result()
        except BrokenProcessPool as err:
            raise MelstreamError(
                "a process that read a shard died (out of memory, or a crash in a decoder); run "
                "again with --workers 1 to see at which shard"
            ) from err
        finally:
            for future in in_flight:
                future.cancel()
