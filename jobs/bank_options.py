"""Which datasets an augmentation takes clips from, as `melstream train` is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

BANK_FLAGS = {
    "noise": ("--noise", "--noise-split", "noises; a kind of the recipe is a label there"),
    "room": ("--rirs", "--rir-split", "room impulse responses"),
    "device": ("--device-irs", "--device-ir-split", "impulse responses of devices"),
}
"""Table of an augmentation recipe → the flags of its dataset, and what it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BankSource:
    """A dataset of shards that a bank is filled from."""

    url: str
    splits: tuple[str, ...] = ()
    """Empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BankOptions:
    """The banks of a training."""

    sources: Mapping[str, BankSource] = field(default_factory=dict)
    """Table of an augmentation recipe, of `BANK_FLAGS`, → what its bank is filled from."""
    num_bytes: int = 10**9
    """Of each bank on each device; each process holds as much again while it makes the next."""
