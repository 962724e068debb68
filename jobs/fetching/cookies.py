"""A private copy of the user's cookies, in a form that yt-dlp takes without a word.

yt-dlp writes cookies back to the file that it is given, and of a line that it can't read it prints
the whole, secret and all. So each process has a copy of its own, checked here first.
"""

import re
from pathlib import Path

from shardwriter.errors import ConfigError

_HEADER = "# Netscape HTTP Cookie File\n"
_HTTP_ONLY = "#HttpOnly_"
_NUM_FIELDS = 7  # domain, subdomains too, path, https only, time of expiry, name, value
_TIME = re.compile(r"(\d+(\.\d+)?)?")
_MAX_BYTES = 4 << 20


def copy_cookies(cookies: Path, folder: Path) -> Path:
    """Copy the cookies of a file in Netscape's format.

    Args:
        cookies: The user's file; only read.
        folder: A folder of this process alone.

    Returns:
        The copy, readable and writable by this user only.

    Raises:
        ConfigError: the file can't be read, or is not of that format. Nothing of its content is
            in the message.
    """
    try:
        with cookies.open(encoding="utf-8") as file:
            text = file.read(_MAX_BYTES)
    except OSError as err:
        raise ConfigError(f"cookies file {cookies}: {err.strerror}") from err
    except UnicodeDecodeError:
        raise ConfigError(f"cookies file {cookies} is not UTF-8 text") from None
    if text.lstrip()[:1] in ("[", "{"):
        raise ConfigError(
            f"cookies file {cookies} is JSON; export it in Netscape's format (cookies.txt)"
        )
    kept = [_HEADER]
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.removeprefix(_HTTP_ONLY)
        if entry.strip() and not entry.startswith("#"):
            problem = _problem(entry.split("\t"))
            if problem:
                raise ConfigError(
                    f"cookies file {cookies}, line {number}: {problem}; export it again in "
                    "Netscape's format (cookies.txt)"
                )
            kept.append(f"{line}\n")
    if len(kept) == 1:
        raise ConfigError(f"cookies file {cookies} holds no cookies")
    copy = folder / "cookies.txt"
    copy.touch(mode=0o600)
    copy.write_text("".join(kept), encoding="utf-8")
    return copy


def _problem(fields: list[str]) -> str:
    """Return what is wrong with an entry, without its content; empty if nothing is."""
    if len(fields) != _NUM_FIELDS:
        return f"expected {_NUM_FIELDS} fields with tabs between them, got {len(fields)}"
    domain, with_subdomains, _, _, expires, *_ = fields
    if (with_subdomains == "TRUE") != domain.startswith("."):
        return "the second field must be TRUE just for a domain that begins with a dot"
    if not _TIME.fullmatch(expires):
        return "the fifth field is no time"
    return ""
