"""What the rules look at, and what a rule can ask: the words of the table of rules."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from jobs.availability.outcome import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Evidence, made ready for the rules."""

    text: str
    warnings: str
    status: int | None
    errno: int | None
    exceptions: frozenset[str]
    is_media: bool
    is_expected: bool | None
    playability: frozenset[str]


Test = Callable[[Facts], bool]

_ANSI = re.compile(r"\x1b\[[0-9;]{0,16}[A-Za-z]")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u00b4`", "'") | {"\r": " "})
_STATUS = re.compile(
    r"\b(?:http error|server returned|status(?: code)?:?|too many"
    r"|the store answered(?: \w{1,40},)?)"
    r" ([1-5]\d\d)\b|\b([1-5]\d\d) (?:client|server) error\b"
)
_MEDIA = ("unable to download video data", "[download] got error", "fragment not found")


def normalise(text: str) -> str:
    """Return a message as the rules' phrases are written."""
    return " ".join(_ANSI.sub("", text).translate(_APOSTROPHES).casefold().split())


def facts_of(evidence: Evidence) -> Facts:
    """Return what the rules look at; a status that only the text tells is read from there."""
    text = normalise(evidence.text)
    status = evidence.http_status
    if status is None and (match := _STATUS.search(text)):
        status = int(match[1] or match[2])
    return Facts(
        text=text,
        warnings=normalise("\n".join(evidence.warnings)),
        status=status,
        errno=evidence.errno,
        exceptions=frozenset(evidence.exceptions),
        is_media=evidence.is_media or any(phrase in text for phrase in _MEDIA),
        is_expected=evidence.is_expected,
        playability=frozenset(item.rpartition(":")[2].upper() for item in evidence.playability),
    )


def says(*phrases: str) -> Test:
    """Ask whether the message has one of some phrases."""
    return lambda facts: any(phrase in facts.text for phrase in phrases)


def warned(*phrases: str) -> Test:
    """Ask whether a warning of the tool has one of some phrases."""
    return lambda facts: any(phrase in facts.warnings for phrase in phrases)


def raised(*names: str) -> Test:
    """Ask whether an exception of one of some classes was raised, or caused what was."""
    return lambda facts: not facts.exceptions.isdisjoint(names)


def answered(statuses: Collection[int]) -> Test:
    """Ask whether the server answered with one of some statuses."""
    return lambda facts: facts.status in statuses


def has_errno(*numbers: int) -> Test:
    """Ask for one of some error numbers of the system."""
    return lambda facts: facts.errno in numbers


def player_says(*statuses: str) -> Test:
    """Ask whether a client got one of some playability statuses."""
    return lambda facts: not facts.playability.isdisjoint(statuses)


def is_media(facts: Facts) -> bool:
    """Tell whether it failed at the media."""
    return facts.is_media


def is_bug(facts: Facts) -> bool:
    """Tell whether yt-dlp itself calls the failure unexpected."""
    return facts.is_expected is False


def any_of(*tests: Test) -> Test:
    """Ask whether one of some tests holds."""
    return lambda facts: any(test(facts) for test in tests)


def all_of(*tests: Test) -> Test:
    """Ask whether all of some tests hold."""
    return lambda facts: all(test(facts) for test in tests)


def not_(test: Test) -> Test:
    """Ask whether a test does not hold."""
    return lambda facts: not test(facts)
