"""Class balance in a stream without an index: reservoirs of encoded clips, one for each class.

For foreign shards that nobody has indexed. Where there is an index, `LoaderConfig.balance` plans
the same with every clip known, exact counts and exact resume; here each clip is known only once
it has come by, and rare classes are repeated from what is in memory.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

Sample = TypeVar("Sample")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservoirReport:
    """What came out of a resampled stream so far."""

    num_in: int
    num_out: int
    num_unlabelled: int
    """Samples without labels: they have no reservoir, and are left out."""
    num_never_used: int
    """Samples that left their reservoirs without having been drawn: their classes overflow."""
    draws_by_label: dict[str, int]
    """Draws through each class; a sample of several classes exposes the others as well."""
    num_bytes_held: int
    """Of the samples in the reservoirs, as `num_bytes_of` tells; 0 without."""
    starved_by_label: dict[str, int]
    """Draws of a class that had no sample left below the reuse cap; another class was drawn."""


@dataclass(slots=True, eq=False)
class _Held(Generic[Sample]):
    sample: Sample
    labels: tuple[str, ...]
    num_bytes: int
    num_uses: int = 0
    num_reservoirs: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class ClassReservoirs(Generic[Sample]):
    """Turns a stream of samples into one whose classes are drawn evenly.

    Each sample is put into the reservoir of each of its classes; a full reservoir lets its most
    used sample go, the oldest of several. For each sample that comes in one goes out: a class is
    drawn, uniformly among those seen so far, and of its samples the least used one, the oldest of
    several. So between two draws of a sample through one class, all others of its reservoir come
    once. A sample that has been drawn `max_uses` times leaves all its reservoirs.

    Memory holds at most `capacity` samples for each class, and `max_bytes` of all: where these are
    reached, the reservoir with the most samples lets one go, so that rare classes keep theirs. The
    output is a function of the stream and the seed alone.
    """

    capacity: int
    """Samples in each class's reservoir."""
    max_uses: int
    """Draws of one sample, at most, through all of its classes together."""
    seed: int
    warm_up: int = 0
    """Samples that come in before the first goes out; this many fewer go out at the end."""
    max_bytes: int | None = None
    """Bound on the samples held, at least the largest one; needs `num_bytes_of`. None: `capacity`
    is the only bound."""
    num_bytes_of: Callable[[Sample], int] | None = None
    """Tells a sample's size, e.g. `lambda sample: len(sample["flac"])`."""
    _reservoirs: dict[str, list[_Held[Sample]]] = field(default_factory=dict, init=False)
    _draws: Counter[str] = field(default_factory=Counter, init=False)
    _starved: Counter[str] = field(default_factory=Counter, init=False)
    _num_in: int = field(default=0, init=False)
    _num_unlabelled: int = field(default=0, init=False)
    _num_never_used: int = field(default=0, init=False)
    _num_bytes_held: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for name, least in (("capacity", 1), ("max_uses", 1), ("warm_up", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value}")
        if self.max_bytes is not None and (self.max_bytes < 1 or self.num_bytes_of is None):
            raise ValueError(
                f"max_bytes={self.max_bytes!r} must be at least 1, and needs num_bytes_of, which "
                "tells the size of a sample"
            )

    def resample(self, samples: Iterable[tuple[Sequence[str], Sample]]) -> Iterator[Sample]:
        """Yield balanced samples for a stream of (labels, sample); ends with the stream.

        Raises:
            ValueError: a sample with labels is larger than `max_bytes`.
        """
        random = np.random.Philox(key=np.array([self.seed, 0], dtype=np.uint64))
        for labels, sample in samples:
            self._num_in += 1
            self._admit(tuple(dict.fromkeys(labels)), sample)
            if self._num_in > self.warm_up and self._reservoirs:
                drawn = self._draw(random)
                if drawn is not None:
                    yield drawn

    def report(self) -> ReservoirReport:
        """Return what came out so far."""
        return ReservoirReport(
            num_in=self._num_in,
            num_out=self._draws.total(),
            num_unlabelled=self._num_unlabelled,
            num_never_used=self._num_never_used,
            num_bytes_held=self._num_bytes_held,
            draws_by_label=dict(self._draws),
            starved_by_label=dict(self._starved),
        )

    def _admit(self, labels: tuple[str, ...], sample: Sample) -> None:
        if not labels:
            self._num_unlabelled += 1
            return
        num_bytes = 0 if self.num_bytes_of is None else self.num_bytes_of(sample)
        if self.max_bytes is not None and num_bytes > self.max_bytes:
            # It would push all others out of their reservoirs, and then itself.
            raise ValueError(
                f"sample {self._num_in} of the stream, labelled {', '.join(labels)}, has "
                f"{num_bytes} bytes, more than max_bytes={self.max_bytes} holds at all; raise "
                "max_bytes to many samples of a class, or leave such samples out of the stream"
            )
        held = _Held(sample=sample, labels=labels, num_bytes=num_bytes)
        self._num_bytes_held += num_bytes
        for label in labels:
            reservoir = self._reservoirs.setdefault(label, [])
            if len(reservoir) == self.capacity:
                self._remove(max(reservoir, key=lambda item: item.num_uses), label)
            reservoir.append(held)
            held.num_reservoirs += 1
        while self.max_bytes is not None and self._num_bytes_held > self.max_bytes:
            fullest = max(self._reservoirs, key=lambda label: len(self._reservoirs[label]))
            self._remove(max(self._reservoirs[fullest], key=lambda item: item.num_uses), fullest)

    def _draw(self, random: np.random.Philox) -> Sample | None:
        """Draw a class until one has a sample; each empty one is counted and left out."""
        candidates = list(self._reservoirs)
        while candidates:
            # 64 random bits modulo the number of classes: uneven by less than 2**-50.
            label = candidates.pop(int(random.random_raw()) % len(candidates))
            reservoir = self._reservoirs[label]
            if not reservoir:
                self._starved[label] += 1
                continue
            held = min(reservoir, key=lambda item: item.num_uses)
            held.num_uses += 1
            self._draws[label] += 1
            if held.num_uses == self.max_uses:
                for other in held.labels:
                    if held in self._reservoirs[other]:
                        self._remove(held, other)
            else:
                # To the end, so that among equally used ones the longest unused goes first.
                reservoir.remove(held)
                reservoir.append(held)
            return held.sample
        return None

    def _remove(self, held: _Held[Sample], label: str) -> None:
        self._reservoirs[label].remove(held)
        held.num_reservoirs -= 1
        if not held.num_reservoirs:
            self._num_bytes_held -= held.num_bytes
            self._num_never_used += not held.num_uses
