"""What the values of a recipe have to be: messages name the operation and the key."""

import math


def check_share(where: str, value: float, name: str = "p") -> None:
    """Refuse what is no share, NaN too, with a ValueError."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{where}: {name} must be from 0 to 1, got {value}")


def check_range(
    where: str, low: float, high: float, name: str, *, least: float = -math.inf
) -> None:
    """Refuse ends that fall, are not finite, or lie below `least`, with a ValueError."""
    # Written so that NaN, which compares false with everything, is refused too.
    if not (least <= low <= high < math.inf and low > -math.inf):
        bound = "" if least == -math.inf else f" of at least {least:g}"
        raise ValueError(f"{where}: {name} must be a rising range{bound}, got {low:g} to {high:g}")


def check_count(where: str, value: int, name: str, *, least: int) -> None:
    """Refuse fewer than `least`, with a ValueError."""
    if value < least:
        raise ValueError(f"{where}: {name} must be at least {least}, got {value}")


def check_choice(where: str, value: str, name: str, choices: tuple[str, ...]) -> None:
    """Refuse another value than these, with a ValueError."""
    if value not in choices:
        raise ValueError(f"{where}: {name} must be one of {', '.join(choices)}, got {value!r}")
