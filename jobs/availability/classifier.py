"""From a failure to its code: what happened, what that says of the clip, and by what we know."""

from collections.abc import Sequence

from jobs.availability.classifier_evidence import collect_evidence
from jobs.availability.classifier_facts import facts_of
from jobs.availability.classifier_rules import RULES, RULES_VERSION
from jobs.availability.outcome import GROUPS, Code, Evidence, Group, Outcome

__all__ = ["RULES_VERSION", "classify", "classify_evidence"]


def classify(
    problem: BaseException | str,
    *,
    is_media: bool = False,
    warnings: Sequence[str] = (),
    playability: Sequence[str] = (),
    retry_after_seconds: float | None = None,
) -> Outcome:
    """Return what a failure means.

    Args:
        problem: What was raised (by yt-dlp, requests, urllib, botocore, or ourselves), or what a
            tool wrote.
        is_media: Whether it failed at a video's media, after the page or the API had answered:
            there 403 and 404 speak of the media's URL, not of the video.
        warnings: yt-dlp's warnings during the try.
        playability: YouTube's playability status by client, e.g. `web:UNPLAYABLE`.
        retry_after_seconds: The pause that the server asked for, if it did.

    Returns:
        The outcome; code `unknown` where no rule knows the failure. The evidence holds all that
        the rules looked at, so that `classify_evidence` can judge it again.
    """
    evidence = collect_evidence(
        problem,
        is_media=is_media,
        warnings=warnings,
        playability=playability,
        retry_after_seconds=retry_after_seconds,
    )
    code, group = classify_evidence(evidence)
    return Outcome(code=code, group=group, evidence=evidence, rules_version=RULES_VERSION)


def classify_evidence(evidence: Evidence) -> tuple[Code, Group]:
    """Return the code of the first rule that holds, and its group; depends on nothing else."""
    facts = facts_of(evidence)
    code = next((code for code, holds in RULES if holds(facts)), Code.UNKNOWN)
    return code, GROUPS[code]
