"""Which clip goes to which part, so that groups stay together and classes are spread evenly.

A part should hold of each class, and of all clips, the share that is its weight. How far off a
split is, is measured as in a chi-square test, each class counting alike however rare it is::

    sum over parts p and classes c of (held[p, c] - share[p] * total[c])^2 / (share[p] * total[c]^2)

plus the same for the number of clips, which counts as all classes together. Groups are dealt out
largest first, each where it adds least; then single groups are moved as long as that helps. (The
iterative stratification of Sechidis, Tsoumakas and Vlahavas, 2011, looks at one class at a time.
That is as good for single clips, but of groups it gives too many to small parts: it split
MagnaTagATune's artists 66:10:24 where 75:6:19 was asked for, and this rule gives 75:6:19.)

Ties are decided by a hash of the seed and the group's name, so the outcome is the same on every
machine and in whatever order the clips come.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_MAX_PASSES = 5
"""Over all groups, to move them; a few are enough, and each takes as long as dealing them out."""
_MIN_GAIN = 1e-12
"""Of a move; less is rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitClip:
    """What the rule needs to know of a clip."""

    id: str
    labels: tuple[str, ...]
    group: str | None = None
    """None: the clip may go anywhere by itself."""


@dataclass(slots=True, kw_only=True)
class _Unit:
    """The clips that stay together."""

    name: str
    order: bytes
    """A hash: what decides between equals."""
    clips: list[str] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)


def split_clips(
    clips: Iterable[SplitClip], weights: Mapping[str, int], *, seed: int = 0
) -> dict[str, str]:
    """Return the part of each clip, by id.

    Args:
        clips: All clips, in any order.
        weights: How much each part gets, e.g. `{"train": 8, "val": 1, "test": 1}`.
        seed: Another seed gives another split of the same quality.

    Returns:
        The part by clip. No group is in two parts.

    Raises:
        ValueError: no part, a weight below 1, or a clip that is there twice.
    """
    if not weights or min(weights.values()) < 1:
        raise ValueError(f"expected parts with weights from 1, got {dict(weights)}")
    units = _units(clips, seed=seed)
    spread = _Spread(units, weights)
    parts = {unit.name: spread.add(unit, spread.best(unit)) for unit in units}
    for _ in range(_MAX_PASSES):
        if not _improve(units, parts, spread):
            break
    return {clip: parts[unit.name] for unit in units for clip in unit.clips}


def _improve(units: Sequence[_Unit], parts: dict[str, str], spread: "_Spread") -> bool:
    """Move each unit to where it adds least; return whether any was moved."""
    is_better = False
    for unit in units:
        old = parts[unit.name]
        spread.remove(unit, old)
        new = spread.best(unit)
        if spread.cost(unit, old) - spread.cost(unit, new) < _MIN_GAIN:
            new = old
        parts[unit.name] = spread.add(unit, new)
        is_better = is_better or new != old
    return is_better


def _units(clips: Iterable[SplitClip], *, seed: int) -> list[_Unit]:
    """Return the units, largest first, in an order that does not depend on that of the clips."""
    units: dict[str, _Unit] = {}
    ids: set[str] = set()
    for clip in clips:
        if clip.id in ids:
            raise ValueError(f"clip {clip.id!r} is there twice")
        ids.add(clip.id)
        # A group may be called as a clip is.
        name = f"clip {clip.id}" if clip.group is None else f"group {clip.group}"
        if name not in units:
            order = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=16).digest()
            units[name] = _Unit(name=name, order=order)
        units[name].clips.append(clip.id)
        units[name].labels.update(clip.labels)
    return sorted(units.values(), key=lambda unit: (-len(unit.clips), unit.order))


class _Spread:
    """What each part holds so far, and what it should hold in the end."""

    def __init__(self, units: Sequence[_Unit], weights: Mapping[str, int]) -> None:
        totals: Counter[str] = Counter()
        for unit in units:
            totals.update(unit.labels)
        self._totals = totals
        self._num_clips = sum(len(unit.clips) for unit in units)
        self._shares = {part: weight / sum(weights.values()) for part, weight in weights.items()}
        self._labels: dict[str, Counter[str]] = {part: Counter() for part in weights}
        self._clips = dict.fromkeys(weights, 0)

    def best(self, unit: _Unit) -> str:
        """Return the part to which a unit adds least; of equal ones the first."""
        return min(self._shares, key=lambda part: self.cost(unit, part))

    def cost(self, unit: _Unit, part: str) -> float:
        """Return what a unit would add to the sum in this part; less than 0 where it is lacking."""
        share = self._shares[part]
        held = self._labels[part]
        cost = max(1, len(self._totals)) * _added(
            len(unit.clips), self._clips[part], share * self._num_clips, self._num_clips
        )
        for label, count in unit.labels.items():
            total = self._totals[label]
            cost += _added(count, held[label], share * total, total)
        return cost / share

    def add(self, unit: _Unit, part: str) -> str:
        """Put a unit into a part, and return the part."""
        self._labels[part].update(unit.labels)
        self._clips[part] += len(unit.clips)
        return part

    def remove(self, unit: _Unit, part: str) -> None:
        """Take a unit out of a part."""
        self._labels[part].subtract(unit.labels)
        self._clips[part] -= len(unit.clips)


def _added(count: int, held: int, wanted: float, total: int) -> float:
    """Return by how much `count` more change the squared deviation, relative to the total."""
    return (2 * count * (held - wanted) + count * count) / (total * total)
