"""Messages without what must not be kept: credentials, cookies, addresses, signed URLs."""

import re
from typing import Final

from jobs.availability.outcome import MAX_TEXT_BYTES

_MAX_INPUT_CHARACTERS: Final = 16_384
"""Beyond this nothing is read; bounds the time that the patterns take."""
_HIDDEN: Final = "***"

_URL = re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]{1,15}://)([^\s'\"<>)\]]+)")
_VIDEO_PARAMETER = re.compile(r"(?:^|&)(v=[\w-]{1,64})(?=&|$)")
_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-(?:[a-z]{1,16}-){0,3}(?:token|key|auth))"
    r"(['\"]?\s{0,4}[:=]\s{0,4})[^\r\n]+"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9+/=._~-]{8,}")
_PARAMETER = re.compile(
    r"(?i)\b(ip|l?sig|signature|x-amz-[a-z-]{1,32}|awsaccesskeyid|(?:[a-z]{1,16}_)?(?:token|key)|pot"
    r"|pass(?:word|wd)?|user(?:name)?|secret|session(?:id)?|login_info|(?:__secure-)?[\w-]{0,16}sid"
    r"|__secure-[\w-]{1,32}|visitor_?(?:data|info\w{0,16}))(\s?[=]\s?)['\"]?[^\s&;,'\"]+"
)
_OPTION = re.compile(r"(?i)(--(?:username|password|twofactor|video-password|ap-\w+))[ =]\S+")
_AWS_KEY = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")


def redact(text: str) -> str:
    """Return a message without secrets, of at most `MAX_TEXT_BYTES` bytes of UTF-8.

    Of a URL's query only a video's `v=` stays: media URLs carry the caller's address and
    signatures under many names.
    """
    text = text[:_MAX_INPUT_CHARACTERS]
    text = _URL.sub(lambda match: match[1] + _without_secrets(match[2]), text)
    text = _HEADER.sub(rf"\1\2{_HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {_HIDDEN}", text)
    text = _PARAMETER.sub(rf"\1\2{_HIDDEN}", text)
    text = _OPTION.sub(rf"\1 {_HIDDEN}", text)
    return cut(_AWS_KEY.sub(_HIDDEN, text), MAX_TEXT_BYTES)


def cut(text: str, num_bytes: int) -> str:
    """Return the beginning of a text, at most so many bytes of valid UTF-8."""
    return text.encode("utf-8", "replace")[:num_bytes].decode("utf-8", "ignore")


def _without_secrets(rest: str) -> str:
    """Return what follows a URL's scheme, without user, password, query and fragment."""
    place, mark, query = rest.partition("?")
    authority, slash, path = place.partition("/")
    if "@" in authority:
        authority = f"{_HIDDEN}@{authority.rpartition('@')[2]}"
    shown = authority + slash + path.partition("#")[0]
    if not mark:
        return shown
    video = _VIDEO_PARAMETER.search(query.partition("#")[0])
    return f"{shown}?{video[1]}" if video and query.startswith(video[1]) else f"{shown}?{_HIDDEN}"
