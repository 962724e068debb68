"""The table that turns evidence into a code: the first rule that holds decides.

Where a library gives a status, an errno or a class, rules look at that before they look at words;
YouTube's own reasons are words only. Phrases are written as `normalise` leaves a message: small
letters, straight apostrophes, single spaces. The specific stand before the general: what a blocked
session gets often begins like what a deleted video gets.

A change of any rule raises `RULES_VERSION`; `melstream availability reclassify` then reads the old
logs with the new table.
"""

import errno
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from jobs.availability.outcome import Code, Evidence

RULES_VERSION: Final = 1


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


def _says(*phrases: str) -> Test:
    return lambda facts: any(phrase in facts.text for phrase in phrases)


def _warned(*phrases: str) -> Test:
    return lambda facts: any(phrase in facts.warnings for phrase in phrases)


def _raised(*names: str) -> Test:
    return lambda facts: not facts.exceptions.isdisjoint(names)


def _answered(statuses: Collection[int]) -> Test:
    return lambda facts: facts.status in statuses


def _errno(*numbers: int) -> Test:
    return lambda facts: facts.errno in numbers


def _player_says(*statuses: str) -> Test:
    return lambda facts: not facts.playability.isdisjoint(statuses)


def _is_media(facts: Facts) -> bool:
    return facts.is_media


def _is_bug(facts: Facts) -> bool:
    return facts.is_expected is False


def _any(*tests: Test) -> Test:
    return lambda facts: any(test(facts) for test in tests)


def _all(*tests: Test) -> Test:
    return lambda facts: all(test(facts) for test in tests)


def _not(test: Test) -> Test:
    return lambda facts: not test(facts)


_NO_PLAYER = _says("failed to extract any player response")


def _network(*phrases: str) -> Test:
    """Words of the error; of the warnings, where the error only says that nothing came."""
    return _any(_says(*phrases), _all(_NO_PLAYER, _warned(*phrases)))


_NO_FORMATS = _says(
    "no video formats found",
    "only images are available",
    "requested format is not available",
    "this video is not available in any of the requested formats",
)
_API = _says("api page", "api json", "player api")
_STORE = _raised("StorageError", "TransientStorageError")
_CONNECTION_LOST = _raised("TransportError", "URLError", "ConnectionError", "ProtocolError")

RULES: Final[tuple[tuple[Code, Test], ...]] = (
    # Our own errors, which say what they mean.
    (Code.TRUNCATED, _all(_raised("AudioError"), _says("truncated:"))),
    (Code.SILENT, _all(_raised("AudioError"), _says("silent:"))),
    (Code.TOO_LONG, _all(_raised("AudioError"), _says("too_long:"))),
    (Code.WRONG_DURATION, _all(_raised("AudioError"), _says("wrong_duration:"))),
    (Code.DECODE_ERROR, _raised("AudioError")),
    (Code.MEMBER_MISSING, _all(_STORE, _says("is not there"))),
    (Code.MEMBER_MISSING, _says("there is no item named")),  # zipfile
    (
        Code.CONFIG,
        _any(
            _raised("ConfigError", "NoCredentialsError", "PartialCredentialsError"),
            _says("no usable credentials", "no such bucket", "nosuchbucket"),
            _says("is in another region", "machine's clock is wrong"),
            _all(_any(_STORE, _raised("ClientError")), _says("denied")),
        ),
    ),
    # Blocked: who asks, not what for. Several begin with "Video unavailable".
    (
        Code.RATE_LIMITED_SESSION,
        _any(
            _says("rate-limited by youtube", "rate-limit reached"),
            _all(_says("isn't available"), _says("try again later")),
        ),
    ),
    (
        Code.BOT_CHECK,
        _says("not a bot", "captcha", "anti-bot challenge", "unusual traffic", "you are human"),
    ),
    (
        Code.IP_BLOCKED,
        _any(
            _says("ip is likely being blocked", "your ip address is blocked"),
            _all(
                _NO_PLAYER,
                _not(_warned("resolve", "timed out", "refused", "reset", "unreachable", "proxy")),
            ),
        ),
    ),
    (Code.HTTP_429, _any(_answered({429}), _says("too many requests"))),
    (
        Code.SESSION_BLOCKED,
        _any(
            _says("content isn't available", "page needs to be reloaded"),
            _says("not available on this app", "administrator restrictions"),
            _says("restricted mode enabled", "cookies are no longer valid"),
            _all(_API, _answered({400, 401, 403, 404})),
        ),
    ),
    (
        Code.EMBED_DISABLED,
        _says("playback on other websites has been disabled", "blocked it from display on this"),
    ),
    # It exists, but not for us.
    (
        Code.AGE_GATED,
        _any(
            _says("confirm your age", "age-restricted", "age restricted"),
            _says("inappropriate for some users", "inappropriate or offensive"),
            _player_says("AGE_VERIFICATION_REQUIRED", "AGE_CHECK_REQUIRED"),
        ),
    ),
    (Code.PRIVATE, _says("private video", "video is private")),
    (
        Code.MEMBERS_ONLY,
        _says("members-only", "channel's members", "join this channel", "members only"),
    ),
    (
        Code.PAID,
        _any(
            _says("requires payment", "premium members", "youtube premium", "requires a purchase"),
            _answered({402}),
        ),
    ),
    (
        Code.LOGIN_REQUIRED,
        _says(
            "registered users",
            "please sign in",
            "login details are needed",
            "protected by a password",
            "login required",
        ),
    ),
    (Code.COPYRIGHT_GEO, _says("blocked it in your country")),
    (
        Code.GEO_BLOCKED,
        _any(
            _raised("GeoRestrictedError"),
            _says("available in your country", "from your location", "geo restriction"),
            _says("geo-restricted", "available in your region"),
            _answered({451}),
        ),
    ),
    # Gone, by the site's own words.
    (Code.COPYRIGHT, _says("blocked it on copyright grounds", "copyright claim")),
    (
        Code.ACCOUNT_TERMINATED,
        _says(
            "account associated with this video has been terminated",
            "account has been terminated",
        ),
    ),
    (Code.REMOVED_TOS, _says("removed for violating")),
    (
        Code.REMOVED_BY_UPLOADER,
        _says("removed by the uploader", "removed by the user", "uploader has closed"),
    ),
    (
        Code.LIVE_PENDING,
        _any(
            _says("live event will begin", "premieres in", "premiere will begin"),
            _says("processing this video", "live event has ended", "unavailable pending review"),
            _player_says("LIVE_STREAM_OFFLINE"),
        ),
    ),
    (Code.LIVE_GONE, _says("live stream recording is not available")),
    (
        Code.UNAVAILABLE_UNSPECIFIED,
        _any(
            _says("video unavailable", "video is unavailable", "video is not available"),
            _says("isn't available anymore", "video is no longer available"),
            _says("video does not exist", "video has been removed", "video doesn't exist"),
            _says("not made this video available"),
        ),
    ),
    (Code.DRM, _says("drm protected", "drm-protected")),
    # No way to the media: an old tool, a missing runtime, or a client that is refused.
    (
        Code.JS_RUNTIME,
        _any(
            _says("no supported javascript runtime"),
            _all(
                _NO_FORMATS,
                _warned("no supported javascript runtime", "challenge solving failed"),
            ),
            _all(_NO_FORMATS, _warned("signature solving failed", "signature extraction failed")),
        ),
    ),
    (Code.NO_FORMATS, _NO_FORMATS),
    (Code.HTTP_403_MEDIA, _all(_is_media, _answered({401, 403}))),
    (Code.HTTP_404_MEDIA, _all(_is_media, _answered({404, 410, 416}))),
    (Code.HTTP_403, _answered({403})),
    (Code.HTTP_401, _answered({401})),
    (Code.HTTP_404, _answered({404, 410})),
    (Code.TIMEOUT, _answered({408})),
    (
        Code.HTTP_5XX,
        _any(
            _answered(range(500, 600)),
            _says("server returned 5xx", "internalerror", "slowdown", "serviceunavailable"),
        ),
    ),
    # The network.
    (
        Code.PROXY,
        _any(
            _raised("ProxyError", "ProxyConnectionError", "ProxySchemeUnknown"),
            _network("unable to connect to proxy", "tunnel connection failed", "proxyerror"),
            _says("socks5 error", "missing dependencies for socks"),
            _answered({407}),
        ),
    ),
    (
        Code.DNS,
        _any(
            _raised("gaierror", "NameResolutionError"),
            _network("failed to resolve", "name or service not known", "getaddrinfo failed"),
            _network("temporary failure in name resolution", "nodename nor servname"),
            _network("no address associated with hostname"),
        ),
    ),
    (
        Code.UNREACHABLE,
        _any(
            _errno(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN),
            _network("network is unreachable", "no route to host", "unreachable host"),
        ),
    ),
    (
        Code.CONNECTION_REFUSED,
        _any(
            _raised("ConnectionRefusedError"),
            _errno(errno.ECONNREFUSED),
            _network("connection refused", "actively refused"),
        ),
    ),
    (
        Code.TIMEOUT,
        _any(
            _raised("TimeoutError", "ConnectTimeout", "ReadTimeout", "Timeout"),
            _raised("ConnectTimeoutError", "ReadTimeoutError"),
            _errno(errno.ETIMEDOUT),
            _network("timed out", "timeout", "did not properly respond after a period of time"),
        ),
    ),
    (
        Code.TRUNCATED,
        _any(
            _raised("IncompleteRead", "IncompleteReadError", "ContentTooShortError"),
            _raised("ChunkedEncodingError", "ResponseStreamingError"),
            _says("more expected", "content too short", "did not get any data blocks"),
            _says("downloaded file is empty", "stream ends prematurely", "incompleteread"),
            _all(_says("bytes, expected"), _says("downloaded")),
        ),
    ),
    (
        Code.TLS,
        _any(
            _raised("SSLError", "CertificateVerifyError", "SSLCertVerificationError"),
            _raised("SSLEOFError", "SSLZeroReturnError"),
            _network("[ssl", "unexpected_eof", "eof occurred in violation", "certificate verify"),
            _network("tls/ssl connection", "_ssl.c:", "secure connection was refused"),
        ),
    ),
    (
        Code.RESET,
        _any(
            _raised("ConnectionResetError", "ConnectionAbortedError", "BrokenPipeError"),
            _raised("RemoteDisconnected", "TransportError", "ProtocolError", "URLError"),
            _raised("TransientStorageError", "ConnectionError", "EndpointConnectionError"),
            _errno(errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED),
            _network("connection reset", "connection aborted", "remote end closed connection"),
            _network("forcibly closed", "connection broken", "broken pipe", "urlopen error"),
        ),
    ),
    # This machine. Before the words of ffmpeg, which fails where the disk is full.
    (
        Code.DISK,
        _all(
            _not(_CONNECTION_LOST),
            _any(
                _errno(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
                _errno(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
                _errno(errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM),
                _raised("MemoryError"),
                _says("no space left", "disk quota exceeded", "permission denied"),
                _says("read-only file system", "too many open files", "unable to create directory"),
                _says("ffmpeg not found", "ffprobe not found", "ffmpeg is not installed"),
                _says("cannot allocate memory", "no such file or directory", "unable to open for"),
            ),
        ),
    ),
    (
        Code.FFMPEG_FAILED,
        _any(
            _raised("PostProcessingError", "FFmpegPostProcessorError"),
            _says("ffmpeg exited with code", "postprocessing:", "conversion failed!"),
            _says("invalid data found", "audio conversion failed"),
        ),
    ),
    (
        Code.INVALID_ID,
        _any(
            _raised("UnsupportedError", "InvalidURL", "MissingSchema", "InvalidSchema"),
            _says("incomplete youtube id", "unsupported url", "is not a valid url"),
            _says("invalid url", "video id not found", "no video id found"),
        ),
    ),
    (
        Code.EXTRACTOR_BUG,
        _any(
            _is_bug,
            _says("please report this issue", "an extractor error has occurred"),
            _says("unable to extract", "failed to parse json"),
        ),
    ),
    # Nothing but a status.
    (
        Code.HTTP_OTHER,
        _any(_answered(range(100, 500)), _says("server returned 4xx", "redirect loop")),
    ),
    (Code.LOGIN_REQUIRED, _player_says("LOGIN_REQUIRED")),
    (Code.UNAVAILABLE_UNSPECIFIED, _player_says("ERROR", "UNPLAYABLE")),
)
