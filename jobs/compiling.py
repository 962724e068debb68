"""Says on the console what is being compiled, which takes long and happens once on a machine."""

import logging
from collections.abc import Callable

from jobs.console import complain, complain_beside

_COMPILED = "shardwriter.compiled"  # not imported: numba takes 0.6 s


class _ToConsole(logging.Handler):
    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__()
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        self._show(f"melstream: {record.getMessage()}")


def show_compiling(*, is_worker: bool = False) -> None:
    """Have this process say what it compiles, from now on.

    Args:
        is_worker: Whether another process of the command may draw a progress bar.
    """
    logger = logging.getLogger(_COMPILED)
    logger.setLevel(logging.INFO)
    for handler in [each for each in logger.handlers if isinstance(each, _ToConsole)]:
        logger.removeHandler(handler)
    logger.addHandler(_ToConsole(complain_beside if is_worker else complain))
