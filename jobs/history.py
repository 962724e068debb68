"""What a training run has seen so far, and where its time went."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class History:
    """What a run has seen so far; saved with the checkpoint."""

    losses: list[float] = field(default_factory=list)
    """Mean over the ranks' clips, one a step."""
    evaluations: list[dict[str, float | None]] = field(default_factory=list)
    """`step`, `accuracy` and `macro_map` (None without labels) of each evaluation in between."""
    num_clips: int = 0
    """Delivered to all ranks together."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of this rank by what it was spent on."""

    def spend(self, what: str, since: float) -> float:
        """Add the time since then to the account of where it went; return the time now."""
        now = time.perf_counter()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - since
        return now
