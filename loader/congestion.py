"""How many requests a store bears at a time, learnt from its answers. A pure state machine."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class CongestionWindow:
    """Additive increase, multiplicative decrease, as TCP has it (RFC 5681).

    A request carries the `generation` in which it began. When a store throttles, it throttles
    all that is under way; only the first such answer halves the limit, and begins a new
    generation. The others tell nothing new.
    """

    limit: float
    """Requests at a time; the whole part of it counts."""
    max_limit: int
    generation: int = 0

    def after_success(self) -> "CongestionWindow":
        """Grow by one when as many requests as the limit allows have succeeded."""
        return replace(self, limit=min(self.limit + 1.0 / self.limit, float(self.max_limit)))

    def after_throttling(self, generation: int) -> "CongestionWindow":
        """Halve, down to one request at a time."""
        if generation != self.generation:
            return self
        return replace(self, limit=max(self.limit / 2.0, 1.0), generation=self.generation + 1)
