"""How YouTube is asked: the user's choices, and what they are for yt-dlp."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

RANGE_BYTES = 10 << 20
"""YouTube throttles requests for more (yt-dlp #15036)."""

Mode = Literal["prefix", "range", "whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class YoutubeOptions:
    """What the user chose."""

    mode: Mode = "prefix"
    """`prefix`: the beginning up to the end of the clip, mostly 2 MB; `range`: the index and what
    is around the clip, mostly 0.4 MB in more requests; `whole`: all audio."""
    cookies_file: Path | None = None
    """In Netscape's format. Each process works on a private copy; this file is never written."""
    proxy: str | None = field(default=None, repr=False)
    extractor_args: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """As `--extractor-args` of yt-dlp, e.g. `{"youtube": {"po_token": ["web.gvs+..."]}}`."""
    socket_timeout_seconds: float = 20.0
    max_fetch_seconds: float = 900.0
    """That the media of one clip may take to come."""
    max_audio_seconds: float = 4 * 3600.0
    """Of audio that has to be fetched for one clip."""
    max_bytes: int = 1 << 28
    allow_private_hosts: bool = False
    """Whether media may lie on hosts with addresses that are not public."""


def ydl_params(
    options: YoutubeOptions, *, folder: Path, cookies_copy: Path | None, logger: object
) -> dict[str, Any]:
    """Return the parameters of `yt_dlp.YoutubeDL`.

    Args:
        options: The user's choices.
        folder: For yt-dlp's cache and temporary files; of this process alone.
        cookies_copy: yt-dlp writes cookies back, so never the user's own file.
        logger: Takes what yt-dlp would print.
    """
    params: dict[str, Any] = {
        "logger": logger,
        "quiet": True,
        "noprogress": True,
        "verbose": True,  # tells each client's playability status, to the logger alone
        "color": "no_color",
        # A video that can't be had raises; with True it would be a None that says nothing.
        "ignoreerrors": False,
        # True would ask twice for each blocked video, with a made-up address of another country.
        "geo_bypass": False,
        "noplaylist": True,
        # Opus first: it is in WebM with exact times; AAC in fragmented MP4 hides its priming.
        "format": "ba[acodec=opus]/ba/b",
        # Who calls us decides on more tries, by the kind of failure.
        "retries": 0,
        "fragment_retries": 1,
        "file_access_retries": 0,
        "extractor_retries": 1,
        "skip_unavailable_fragments": False,
        "socket_timeout": options.socket_timeout_seconds,
        "concurrent_fragment_downloads": 1,
        "cachedir": str(folder / "cache"),
        "fixup": "never",  # it would need an ffmpeg binary; PyAV reads the file as it came
        "overwrites": True,
        "updatetime": False,
        # Whatever a page links to, no other site is asked. The rest are plug-ins for YouTube.
        "allowed_extractors": [r"youtube(\+[\w.-]+)*"],
        "extractor_args": {
            site: {name: list(values) for name, values in arguments.items()}
            for site, arguments in options.extractor_args.items()
        },
    }
    if options.proxy is not None:
        params["proxy"] = options.proxy
    if cookies_copy is not None:
        params["cookiefile"] = str(cookies_copy)
    return params
