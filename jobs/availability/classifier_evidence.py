"""What an exception tells, taken out of it without importing who raised it.

yt-dlp, requests, urllib, urllib3 and botocore are known by their classes' names and attributes, so
that none of them need be installed. Attributes are looked up in the instance, never computed:
nothing that an exception carries is run.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from jobs.availability.classifier_redaction import cut, redact
from jobs.availability.outcome import Evidence

_MAX_EXCEPTIONS: Final = 16
_MAX_WARNINGS: Final = 16
_MAX_WARNING_BYTES: Final = 400
_MAX_ITEMS: Final = 300  # there are 249 countries
_MAX_ITEM_BYTES: Final = 64


def collect_evidence(
    problem: BaseException | str,
    *,
    is_media: bool = False,
    warnings: Sequence[str] = (),
    playability: Sequence[str] = (),
    retry_after_seconds: float | None = None,
) -> Evidence:
    """Return what is kept of a problem: bounded, redacted, and all that the rules look at."""
    chain = [] if isinstance(problem, str) else list(causes(problem))
    text = problem if isinstance(problem, str) else _text(chain)
    return Evidence(
        text=redact(text),
        exceptions=tuple(type(error).__name__ for error in chain),
        http_status=_first(_http_status(error) for error in chain),
        errno=_first(error.errno for error in chain if isinstance(error, OSError)),
        is_media=is_media,
        is_expected=_is_expected(chain),
        playability=_bounded(playability),
        countries=_bounded(_countries(chain)),
        retry_after_seconds=retry_after_seconds,
        warnings=tuple(cut(redact(line), _MAX_WARNING_BYTES) for line in warnings[-_MAX_WARNINGS:]),
    )


def _bounded(items: Sequence[str]) -> tuple[str, ...]:
    return tuple(cut(str(item), _MAX_ITEM_BYTES) for item in items[:_MAX_ITEMS])


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it came from, each once, nearest first."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting and len(seen) < _MAX_EXCEPTIONS:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting.extend(_origins(current))


def _origins(error: BaseException) -> Iterator[BaseException]:
    """Yield what an exception says it came from: Python's links, and those of the libraries."""
    own = vars(error)
    exc_info = own.get("exc_info")  # yt-dlp: what sys.exc_info() gave
    candidates = [
        *(exc_info if isinstance(exc_info, tuple) else ()),
        own.get("cause"),  # yt-dlp
        error.__cause__,
        None if error.__suppress_context__ else error.__context__,
        own.get("reason"),  # urllib and urllib3
        *error.args,  # requests
    ]
    for candidate in candidates:
        if isinstance(candidate, BaseException):
            yield candidate


def _text(chain: Sequence[BaseException]) -> str:
    """Return the first message, and the causes' messages that are not part of it."""
    text = ""
    for error in chain:
        message = str(error).strip() or type(error).__name__
        if not text:
            text = message
        elif message not in text:
            text += f" (from {type(error).__name__}: {message})"
    return text


def _http_status(error: BaseException) -> int | None:
    own = vars(error)
    response = own.get("response")
    if isinstance(response, dict):  # botocore
        metadata = response.get("ResponseMetadata")
        candidates: list[Any] = [
            metadata.get("HTTPStatusCode") if isinstance(metadata, dict) else None
        ]
    else:  # yt-dlp and aiohttp, urllib, requests
        answer = getattr(response, "__dict__", {})
        candidates = [own.get("status"), own.get("code"), answer.get("status_code")]
    return _first(number for number in candidates if type(number) is int and 100 <= number < 600)


def _is_expected(chain: Sequence[BaseException]) -> bool | None:
    """Return yt-dlp's `expected`; one that calls the failure expected is enough."""
    values = [vars(error).get("expected") for error in chain]
    said = [value for value in values if isinstance(value, bool)]  # elsewhere a number of bytes
    return any(said) if said else None


def _countries(chain: Sequence[BaseException]) -> list[str]:
    for error in chain:
        countries = vars(error).get("countries")
        if isinstance(countries, list | tuple):
            return [country for country in countries if isinstance(country, str)]
    return []


def _first(candidates: Iterator[int | None]) -> int | None:
    return next((candidate for candidate in candidates if candidate is not None), None)
