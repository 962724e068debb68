"""Which of how many processes this is. The one place in `loader` that reads the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from shardwriter.errors import ConfigError

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One process among those that train together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Number of the process on its machine: its device."""
    local_size: int | None = None
    """Processes on this machine; `None`: all of them."""

    def __post_init__(self) -> None:
        """Refuse ranks outside the world."""
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")
        if not 0 <= self.rank < self.size:
            raise ValueError(f"rank must be in 0..{self.size - 1}, got {self.rank}")
        if not 0 <= self.local_rank < self.size:
            raise ValueError(f"local_rank must be in 0..{self.size - 1}, got {self.local_rank}")
        if self.local_size is not None and not self.local_rank < self.local_size <= self.size:
            raise ValueError(
                f"local_size must be in {self.local_rank + 1}..{self.size}, got {self.local_size}"
            )

    @property
    def ranks_of_node(self) -> range:
        """The ranks on this machine, which torchrun numbers one after the other."""
        if self.local_size is None:
            return range(self.size)
        first = self.rank - self.local_rank
        return range(max(first, 0), min(first + self.local_size, self.size))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "World":
        """Return the world that torchrun describes, or a single process when it didn't start us.

        Args:
            environ: The variables to read, by default those of this process.

        Raises:
            ConfigError: only some of RANK, WORLD_SIZE and LOCAL_RANK are set, or one is nonsense.
        """
        variables = os.environ if environ is None else environ
        missing = [name for name in _VARIABLES if name not in variables]
        if len(missing) == len(_VARIABLES):
            return cls()
        if missing:
            raise ConfigError(
                f"{' and '.join(missing)} not set while other variables of torchrun are: start "
                f"with torchrun, or set all of {', '.join(_VARIABLES)}, or none"
            )
        size = _parse("WORLD_SIZE", variables, low=1, high=None)
        return cls(
            rank=_parse("RANK", variables, low=0, high=size - 1),
            size=size,
            local_rank=_parse("LOCAL_RANK", variables, low=0, high=size - 1),
            local_size=(
                _parse("LOCAL_WORLD_SIZE", variables, low=1, high=size)
                if "LOCAL_WORLD_SIZE" in variables
                else None
            ),
        )


def _parse(name: str, variables: Mapping[str, str], *, low: int, high: int | None) -> int:
    text = variables[name]
    bounds = f"of at least {low}" if high is None else f"in {low}..{high}"
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"{name} must be a whole number {bounds}, got {text!r}")
    value = int(text)
    if value < low or (high is not None and value > high):
        raise ConfigError(f"{name} must be a whole number {bounds}, got {text!r}")
    return value
