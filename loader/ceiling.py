"""Ceiling mode: the first batches of an iteration, over and over, as fast as they are asked for."""

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")
Report = TypeVar("Report")


def replayed(
    made: Generator[tuple[Result, list[Report]], None, None], *, num_kept: int
) -> Generator[tuple[Result, list[Report]], None, None]:
    """Yield the first results, end what makes them, and then yield the same ones without end.

    What is yielded again has no reports: it took nothing.

    Args:
        made: Closed when it has yielded that many, so that no thread works in the background.
        num_kept: How many are kept.
    """
    kept: list[Result] = []
    try:
        for result, reports in made:
            kept.append(result)
            yield result, reports
            if len(kept) == num_kept:
                break
    finally:
        made.close()
    while kept:
        for result in kept:
            yield result, []
