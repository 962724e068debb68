"""How a training reads its shards: what suits the machines, beside the recipe."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingOptions:
    """Settings of the loader, named, meant and preset as in `loader.LoaderConfig`.

    That one isn't imported, because torch comes with it and `--help` shows these.
    """

    num_threads: int = 2
    open_shards: int = 16
    num_streams: int = 1
    cache_dir: str | None = None
    """Where the node keeps the shards of a remote dataset."""
    cache_bytes: int = 100 * 10**9
    fetch_connections: int = 32
    error_budget: float = 0
    tail: Literal["drop", "cycle"] = "drop"
    """Not `pad`, whose rows would count in the loss."""
