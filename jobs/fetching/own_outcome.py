"""Outcomes of our own checks, where nothing is left to classify."""

from jobs.availability.classifier import RULES_VERSION
from jobs.availability.outcome import GROUPS, MAX_TEXT_BYTES, Code, Evidence, Outcome


def own_outcome(
    code: Code, *, text: str = "", expected: str = "", got: str = "", is_media: bool = False
) -> Outcome:
    """Return the outcome with this code, in its group.

    Args:
        code: What happened.
        text: In words; without credentials.
        expected: What the catalogue or our bound says.
        got: What came.
        is_media: Whether the page or API had answered before.
    """
    return Outcome(
        code=code,
        group=GROUPS[code],
        evidence=Evidence(
            text=text.encode()[:MAX_TEXT_BYTES].decode(errors="ignore"),
            is_media=is_media,
            expected=expected,
            got=got,
        ),
        rules_version=RULES_VERSION,
    )
