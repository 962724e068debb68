"""What a try at a clip came to: a code, the group that decides what follows, and the evidence.

A group says what the outcome tells about the clip and what to do next; a code says what happened.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Group(StrEnum):
    """What an outcome says about the clip, and so what follows from it."""

    OK = "ok"  # it is there, and its audio holds what the catalogue says
    PERMANENT = "permanent"  # gone, once a second window confirms it; not retried in this run
    GATED = "gated"  # it exists, but not for us: age, members, country; not retried as we are
    BLOCKED = "blocked"  # we are blocked; says nothing about the clip; the session backs off
    TRANSIENT = "transient"  # the network; retried with a back-off
    OURS = "ours"  # our configuration, disk, tools or code: stops the job, no clip is judged
    UNCLEAR = "unclear"  # asks for a second, different look
    ABSENT = "absent"  # this source does not hold it, which says nothing about other sources


class Code(StrEnum):
    """What happened. A code never changes its meaning: old logs are read with new tables."""

    OK = "ok"
    # Blocked: IP, session or client.
    RATE_LIMITED_SESSION = "rate_limited_session"
    BOT_CHECK = "bot_check"
    IP_BLOCKED = "ip_blocked"
    HTTP_429 = "http_429"
    HTTP_403 = "http_403"  # of a page or a plain file; busy hosts answer so too
    SESSION_BLOCKED = "session_blocked"
    EMBED_DISABLED = "embed_disabled"
    NO_FORMATS = "no_formats"
    HTTP_403_MEDIA = "http_403_media"
    HTTP_404_MEDIA = "http_404_media"
    # Gated: it exists, not for us.
    AGE_GATED = "age_gated"
    MEMBERS_ONLY = "members_only"
    PAID = "paid"
    LOGIN_REQUIRED = "login_required"
    COPYRIGHT_GEO = "copyright_geo"
    GEO_BLOCKED = "geo_blocked"
    HTTP_401 = "http_401"
    # Permanent.
    PRIVATE = "private"
    COPYRIGHT = "copyright"
    ACCOUNT_TERMINATED = "account_terminated"
    REMOVED_TOS = "removed_tos"
    REMOVED_BY_UPLOADER = "removed_by_uploader"
    LIVE_GONE = "live_gone"
    DRM = "drm"
    INVALID_ID = "invalid_id"
    HTTP_404 = "http_404"  # of a plain file on a server, 410 too
    # Permanent, by our own check of what came.
    CLIP_PAST_END = "clip_past_end"
    SHORT_CLIP = "short_clip"
    SILENT = "silent"
    WRONG_DURATION = "wrong_duration"
    DECODE_ERROR = "decode_error"
    TOO_LONG = "too_long"
    # Transient: the network.
    HTTP_5XX = "http_5xx"
    DNS = "dns"
    CONNECTION_REFUSED = "connection_refused"
    TIMEOUT = "timeout"
    RESET = "reset"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    TRUNCATED = "truncated"
    LIVE_PENDING = "live_pending"
    # Ours.
    PROXY = "proxy"
    JS_RUNTIME = "js_runtime"
    FFMPEG_FAILED = "ffmpeg_failed"
    DISK = "disk"  # full, or no rights; memory and missing programs too
    CONFIG = "config"  # a setting, credentials or rights on a store
    EXTRACTOR_BUG = "extractor_bug"
    REFUSED_URL = "refused_url"  # our own rule: not http(s), or not a public host
    CHECKSUM_MISMATCH = "checksum_mismatch"
    # Unclear.
    UNAVAILABLE_UNSPECIFIED = "unavailable_unspecified"
    HTTP_OTHER = "http_other"  # a status that says neither who is at fault nor for how long
    UNKNOWN = "unknown"
    # Absent.
    MEMBER_MISSING = "member_missing"


GROUPS: Final[dict[Code, Group]] = {
    Code.OK: Group.OK,
    Code.RATE_LIMITED_SESSION: Group.BLOCKED,
    Code.BOT_CHECK: Group.BLOCKED,
    Code.IP_BLOCKED: Group.BLOCKED,
    Code.HTTP_429: Group.BLOCKED,
    Code.HTTP_403: Group.BLOCKED,
    Code.SESSION_BLOCKED: Group.BLOCKED,
    Code.EMBED_DISABLED: Group.BLOCKED,
    Code.NO_FORMATS: Group.BLOCKED,
    Code.HTTP_403_MEDIA: Group.BLOCKED,
    Code.HTTP_404_MEDIA: Group.BLOCKED,
    Code.AGE_GATED: Group.GATED,
    Code.MEMBERS_ONLY: Group.GATED,
    Code.PAID: Group.GATED,
    Code.LOGIN_REQUIRED: Group.GATED,
    Code.COPYRIGHT_GEO: Group.GATED,
    Code.GEO_BLOCKED: Group.GATED,
    Code.HTTP_401: Group.GATED,
    Code.PRIVATE: Group.PERMANENT,
    Code.COPYRIGHT: Group.PERMANENT,
    Code.ACCOUNT_TERMINATED: Group.PERMANENT,
    Code.REMOVED_TOS: Group.PERMANENT,
    Code.REMOVED_BY_UPLOADER: Group.PERMANENT,
    Code.LIVE_GONE: Group.PERMANENT,
    Code.DRM: Group.PERMANENT,
    Code.INVALID_ID: Group.PERMANENT,
    Code.HTTP_404: Group.PERMANENT,
    Code.CLIP_PAST_END: Group.PERMANENT,
    Code.SHORT_CLIP: Group.PERMANENT,
    Code.SILENT: Group.PERMANENT,
    Code.WRONG_DURATION: Group.PERMANENT,
    Code.DECODE_ERROR: Group.PERMANENT,
    Code.TOO_LONG: Group.PERMANENT,
    Code.HTTP_5XX: Group.TRANSIENT,
    Code.DNS: Group.TRANSIENT,
    Code.CONNECTION_REFUSED: Group.TRANSIENT,
    Code.TIMEOUT: Group.TRANSIENT,
    Code.RESET: Group.TRANSIENT,
    Code.UNREACHABLE: Group.TRANSIENT,
    Code.TLS: Group.TRANSIENT,
    Code.TRUNCATED: Group.TRANSIENT,
    Code.LIVE_PENDING: Group.UNCLEAR,
    Code.PROXY: Group.OURS,
    Code.JS_RUNTIME: Group.OURS,
    Code.FFMPEG_FAILED: Group.OURS,
    Code.DISK: Group.OURS,
    Code.CONFIG: Group.OURS,
    Code.EXTRACTOR_BUG: Group.OURS,
    Code.REFUSED_URL: Group.OURS,
    Code.CHECKSUM_MISMATCH: Group.OURS,
    Code.UNAVAILABLE_UNSPECIFIED: Group.UNCLEAR,
    Code.HTTP_OTHER: Group.UNCLEAR,
    Code.UNKNOWN: Group.UNCLEAR,
    Code.MEMBER_MISSING: Group.ABSENT,
}
"""The group of each code."""

CHECKS_OF_AUDIO: Final = frozenset(
    {
        Code.CLIP_PAST_END,
        Code.SHORT_CLIP,
        Code.SILENT,
        Code.WRONG_DURATION,
        Code.DECODE_ERROR,
        Code.TOO_LONG,
    }
)
"""What our own look at the bytes says: the same bytes give the same answer at any time."""

OUR_CODES: Final = CHECKS_OF_AUDIO | {
    Code.OK,
    Code.REFUSED_URL,
    Code.CHECKSUM_MISMATCH,
    Code.MEMBER_MISSING,
}
"""Codes that rest on what we did ourselves, not on a message: no other table changes them."""

MAX_TEXT_BYTES: Final = 2048
"""Longer messages are cut; what yt-dlp adds at the end is advice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an outcome was judged by, kept so that a later table can judge it anew."""

    text: str = ""
    """The raw message, at most `MAX_TEXT_BYTES` of UTF-8, without credentials."""
    exceptions: tuple[str, ...] = ()
    """Class names from the exception that was caught down to its root cause."""
    http_status: int | None = None
    errno: int | None = None
    is_media: bool = False
    """Whether it failed at the media itself, after the page or the API had answered."""
    is_expected: bool | None = None
    """yt-dlp's `ExtractorError.expected`; False: a bug of the extractor."""
    playability: tuple[str, ...] = ()
    """YouTube's playability status by client, e.g. `web:UNPLAYABLE`."""
    countries: tuple[str, ...] = ()
    """Where a geo-restricted video may be seen, if the site says."""
    warnings: tuple[str, ...] = ()
    """yt-dlp's warnings during the try; they explain many a missing format."""
    retry_after_seconds: float | None = None
    """The pause that the server asked for, if it did."""
    expected: str = ""
    """For our own checks: what the catalogue says, e.g. `10.000 s`."""
    got: str = ""
    """For our own checks: what came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a try came to."""

    code: Code
    group: Group
    evidence: Evidence
    rules_version: int
    """Version of the classifier's table that chose the code."""
