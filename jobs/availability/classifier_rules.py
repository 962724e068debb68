"""The table that turns evidence into a code: the first rule that holds decides.

Where a library gives a status, an errno or a class, rules look at that before they look at words;
YouTube's own reasons are words only. Phrases are written as `normalise` leaves a message: small
letters, straight apostrophes, single spaces. The specific stand before the general: what a blocked
session gets often begins like what a deleted video gets.

A change of any rule raises `RULES_VERSION`; `melstream availability reclassify` then reads the old
logs with the new table.
"""

import errno
from typing import Final

from jobs.availability.classifier_facts import (
    Test,
    all_of,
    answered,
    any_of,
    has_errno,
    is_bug,
    is_media,
    not_,
    player_says,
    raised,
    says,
    warned,
)
from jobs.availability.outcome import Code

RULES_VERSION: Final = 1


_NO_PLAYER = says("failed to extract any player response")


def _network(*phrases: str) -> Test:
    """Words of the error; of the warnings, where the error only says that nothing came."""
    return any_of(says(*phrases), all_of(_NO_PLAYER, warned(*phrases)))


_NO_FORMATS = says(
    "no video formats found",
    "only images are available",
    "requested format is not available",
    "this video is not available in any of the requested formats",
)
_API = says("api page", "api json", "player api")
_STORE = raised("StorageError", "TransientStorageError")
_CONNECTION_LOST = raised("TransportError", "URLError", "ConnectionError", "ProtocolError")

RULES: Final[tuple[tuple[Code, Test], ...]] = (
    # Our own errors, which say what they mean.
    (Code.TRUNCATED, all_of(raised("AudioError"), says("truncated:"))),
    (Code.SILENT, all_of(raised("AudioError"), says("silent:"))),
    (Code.TOO_LONG, all_of(raised("AudioError"), says("too_long:"))),
    (Code.WRONG_DURATION, all_of(raised("AudioError"), says("wrong_duration:"))),
    (Code.DECODE_ERROR, raised("AudioError")),
    (Code.MEMBER_MISSING, all_of(_STORE, says("is not there"))),
    (Code.MEMBER_MISSING, says("there is no item named")),  # zipfile
    (
        Code.CONFIG,
        any_of(
            raised("ConfigError", "NoCredentialsError", "PartialCredentialsError"),
            says("no usable credentials", "no such bucket", "nosuchbucket"),
            says("is in another region", "machine's clock is wrong"),
            all_of(any_of(_STORE, raised("ClientError")), says("denied")),
        ),
    ),
    # Blocked: who asks, not what for. Several begin with "Video unavailable".
    (
        Code.RATE_LIMITED_SESSION,
        any_of(
            says("rate-limited by youtube", "rate-limit reached"),
            all_of(says("isn't available"), says("try again later")),
        ),
    ),
    (
        Code.BOT_CHECK,
        says("not a bot", "captcha", "anti-bot challenge", "unusual traffic", "you are human"),
    ),
    (
        Code.IP_BLOCKED,
        any_of(
            says("ip is likely being blocked", "your ip address is blocked"),
            all_of(
                _NO_PLAYER,
                not_(warned("resolve", "timed out", "refused", "reset", "unreachable", "proxy")),
            ),
        ),
    ),
    (Code.HTTP_429, any_of(answered({429}), says("too many requests"))),
    (
        Code.SESSION_BLOCKED,
        any_of(
            says("content isn't available", "page needs to be reloaded"),
            says("not available on this app", "administrator restrictions"),
            says("restricted mode enabled", "cookies are no longer valid"),
            all_of(_API, answered({400, 401, 403, 404})),
        ),
    ),
    (
        Code.EMBED_DISABLED,
        says("playback on other websites has been disabled", "blocked it from display on this"),
    ),
    # It exists, but not for us.
    (
        Code.AGE_GATED,
        any_of(
            says("confirm your age", "age-restricted", "age restricted"),
            says("inappropriate for some users", "inappropriate or offensive"),
            player_says("AGE_VERIFICATION_REQUIRED", "AGE_CHECK_REQUIRED"),
        ),
    ),
    (Code.PRIVATE, says("private video", "video is private")),
    (
        Code.MEMBERS_ONLY,
        says("members-only", "channel's members", "join this channel", "members only"),
    ),
    (
        Code.PAID,
        any_of(
            says("requires payment", "premium members", "youtube premium", "requires a purchase"),
            answered({402}),
        ),
    ),
    (
        Code.LOGIN_REQUIRED,
        says(
            "registered users",
            "please sign in",
            "login details are needed",
            "protected by a password",
            "login required",
        ),
    ),
    (Code.COPYRIGHT_GEO, says("blocked it in your country")),
    (
        Code.GEO_BLOCKED,
        any_of(
            raised("GeoRestrictedError"),
            says("available in your country", "from your location", "geo restriction"),
            says("geo-restricted", "available in your region"),
            answered({451}),
        ),
    ),
    # Gone, by the site's own words.
    (Code.COPYRIGHT, says("blocked it on copyright grounds", "copyright claim")),
    (
        Code.ACCOUNT_TERMINATED,
        says(
            "account associated with this video has been terminated",
            "account has been terminated",
        ),
    ),
    (Code.REMOVED_TOS, says("removed for violating")),
    (
        Code.REMOVED_BY_UPLOADER,
        says("removed by the uploader", "removed by the user", "uploader has closed"),
    ),
    (
        Code.LIVE_PENDING,
        any_of(
            says("live event will begin", "premieres in", "premiere will begin"),
            says("processing this video", "live event has ended", "unavailable pending review"),
            player_says("LIVE_STREAM_OFFLINE"),
        ),
    ),
    (Code.LIVE_GONE, says("live stream recording is not available")),
    (
        Code.UNAVAILABLE_UNSPECIFIED,
        any_of(
            says("video unavailable", "video is unavailable", "video is not available"),
            says("isn't available anymore", "video is no longer available"),
            says("video does not exist", "video has been removed", "video doesn't exist"),
            says("not made this video available"),
        ),
    ),
    (Code.DRM, says("drm protected", "drm-protected")),
    # No way to the media: an old tool, a missing runtime, or a client that is refused.
    (
        Code.JS_RUNTIME,
        any_of(
            says("no supported javascript runtime"),
            all_of(
                _NO_FORMATS,
                warned("no supported javascript runtime", "challenge solving failed"),
            ),
            all_of(_NO_FORMATS, warned("signature solving failed", "signature extraction failed")),
        ),
    ),
    (Code.NO_FORMATS, _NO_FORMATS),
    (Code.HTTP_403_MEDIA, all_of(is_media, answered({401, 403}))),
    (Code.HTTP_404_MEDIA, all_of(is_media, answered({404, 410, 416}))),
    (Code.HTTP_403, answered({403})),
    (Code.HTTP_401, answered({401})),
    (Code.HTTP_404, answered({404, 410})),
    (Code.TIMEOUT, answered({408})),
    (
        Code.HTTP_5XX,
        any_of(
            answered(range(500, 600)),
            says("server returned 5xx", "internalerror", "slowdown", "serviceunavailable"),
        ),
    ),
    # The network.
    (
        Code.PROXY,
        any_of(
            raised("ProxyError", "ProxyConnectionError", "ProxySchemeUnknown"),
            _network("unable to connect to proxy", "tunnel connection failed", "proxyerror"),
            says("socks5 error", "missing dependencies for socks"),
            answered({407}),
        ),
    ),
    (
        Code.DNS,
        any_of(
            raised("gaierror", "NameResolutionError"),
            _network("failed to resolve", "name or service not known", "getaddrinfo failed"),
            _network("temporary failure in name resolution", "nodename nor servname"),
            _network("no address associated with hostname"),
        ),
    ),
    (
        Code.UNREACHABLE,
        any_of(
            has_errno(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN),
            _network("network is unreachable", "no route to host", "unreachable host"),
        ),
    ),
    (
        Code.CONNECTION_REFUSED,
        any_of(
            raised("ConnectionRefusedError"),
            has_errno(errno.ECONNREFUSED),
            _network("connection refused", "actively refused"),
        ),
    ),
    (
        Code.TIMEOUT,
        any_of(
            raised("TimeoutError", "ConnectTimeout", "ReadTimeout", "Timeout"),
            raised("ConnectTimeoutError", "ReadTimeoutError"),
            has_errno(errno.ETIMEDOUT),
            _network("timed out", "timeout", "did not properly respond after a period of time"),
        ),
    ),
    (
        Code.TRUNCATED,
        any_of(
            raised("IncompleteRead", "IncompleteReadError", "ContentTooShortError"),
            raised("ChunkedEncodingError", "ResponseStreamingError"),
            says("more expected", "content too short", "did not get any data blocks"),
            says("downloaded file is empty", "stream ends prematurely", "incompleteread"),
            all_of(says("bytes, expected"), says("downloaded")),
        ),
    ),
    (
        Code.TLS,
        any_of(
            raised("SSLError", "CertificateVerifyError", "SSLCertVerificationError"),
            raised("SSLEOFError", "SSLZeroReturnError"),
            _network("[ssl", "unexpected_eof", "eof occurred in violation", "certificate verify"),
            _network("tls/ssl connection", "_ssl.c:", "secure connection was refused"),
        ),
    ),
    (
        Code.RESET,
        any_of(
            raised("ConnectionResetError", "ConnectionAbortedError", "BrokenPipeError"),
            raised("RemoteDisconnected", "TransportError", "ProtocolError", "URLError"),
            raised("TransientStorageError", "ConnectionError", "EndpointConnectionError"),
            has_errno(errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED),
            _network("connection reset", "connection aborted", "remote end closed connection"),
            _network("forcibly closed", "connection broken", "broken pipe", "urlopen error"),
        ),
    ),
    # This machine. Before the words of ffmpeg, which fails where the disk is full.
    (
        Code.DISK,
        all_of(
            not_(_CONNECTION_LOST),
            any_of(
                has_errno(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
                has_errno(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
                has_errno(errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM),
                raised("MemoryError"),
                says("no space left", "disk quota exceeded", "permission denied"),
                says("read-only file system", "too many open files", "unable to create directory"),
                says("ffmpeg not found", "ffprobe not found", "ffmpeg is not installed"),
                says("cannot allocate memory", "no such file or directory", "unable to open for"),
            ),
        ),
    ),
    (
        Code.FFMPEG_FAILED,
        any_of(
            raised("PostProcessingError", "FFmpegPostProcessorError"),
            says("ffmpeg exited with code", "postprocessing:", "conversion failed!"),
            says("invalid data found", "audio conversion failed"),
        ),
    ),
    (
        Code.INVALID_ID,
        any_of(
            raised("UnsupportedError", "InvalidURL", "MissingSchema", "InvalidSchema"),
            says("incomplete youtube id", "unsupported url", "is not a valid url"),
            says("invalid url", "video id not found", "no video id found"),
        ),
    ),
    (
        Code.EXTRACTOR_BUG,
        any_of(
            is_bug,
            says("please report this issue", "an extractor error has occurred"),
            says("unable to extract", "failed to parse json"),
        ),
    ),
    # Nothing but a status.
    (
        Code.HTTP_OTHER,
        any_of(answered(range(100, 500)), says("server returned 4xx", "redirect loop")),
    ),
    (Code.LOGIN_REQUIRED, player_says("LOGIN_REQUIRED")),
    (Code.UNAVAILABLE_UNSPECIFIED, player_says("ERROR", "UNPLAYABLE")),
)
