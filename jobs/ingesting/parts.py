"""`--part 3/64`: which clips a job of an array has, and which of the jobs merges.

A part is a stretch of the catalogue, whatever has been written before, so that parts never overlap
and can begin at any time, on any machine. Each writes shards under names of its own. When a part
is done it leaves a note that says how many shards it has; who finds the notes of all parts, and no
shard beyond them, merges. Two may find that at once: merging is safe to do twice.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from shardwriter.errors import ShardFormatError
from shardwriter.shard_names import TarName
from shardwriter.storage import Store

Item = TypeVar("Item")

MAX_PARTS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A job of an array."""

    number: int
    """From 1."""
    count: int

    def __post_init__(self) -> None:
        """Refuse a part that is none."""
        if not 1 <= self.number <= self.count <= MAX_PARTS:
            raise ValueError(
                f"expected a part K/N with 1 <= K <= N <= {MAX_PARTS}, got "
                f"{self.number}/{self.count}"
            )

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read `3/64`; anything else is a `ValueError`."""
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal()):
            raise ValueError(f"expected a part such as 3/64, got {text!r}")
        return cls(number=int(number), count=int(count))

    @property
    def lane(self) -> str:
        """Name of its writer: `p003of064`."""
        width = max(3, len(str(self.count)))
        return f"p{self.number:0{width}d}of{self.count:0{width}d}"

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return the stretch that is this part's; lengths differ by at most 1."""
        start = (self.number - 1) * len(items) // self.count
        stop = self.number * len(items) // self.count
        return items[start:stop]


def note_done(store: Store, part: Part) -> None:
    """Say that a part is done, with the shards that it has now."""
    row = {"num_shards": _num_shards_by_lane(store)[part.lane]}
    store.put(_note_name(part), json.dumps(row).encode() + b"\n", replace=True)


def unfinished_parts(store: Store, count: int) -> list[int]:
    """Return the parts of an array of `count` that are not done, or have begun anew."""
    num_shards = _num_shards_by_lane(store)
    notes = set(store.names("availability/parts/"))
    unfinished = []
    for number in range(1, count + 1):
        part = Part(number=number, count=count)
        name = _note_name(part)
        if name not in notes or _noted(store, name) != num_shards[part.lane]:
            unfinished.append(number)
    return unfinished


def _note_name(part: Part) -> str:
    return f"availability/parts/{part.lane}.json"


def _noted(store: Store, name: str) -> int:
    try:
        return int(json.loads(store.read(name))["num_shards"])
    except (ValueError, KeyError, TypeError) as err:
        raise ShardFormatError(f"{store.url}/{name} is damaged: {err}; remove it") from err


def _num_shards_by_lane(store: Store) -> Counter[str]:
    tars = (
        name.removeprefix("parts/").removesuffix(".json") + ".tar" for name in store.names("parts/")
    )
    parsed = (TarName.parse(tar) for tar in tars)
    return Counter(tar.lane for tar in parsed if tar)
