"""Videos on the loopback address, as the plug-in for yt-dlp finds them."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.catalogues.catalogue import ClipRef
from shardwriter.audio import Cut
from tests.jobs.fetching.site import Page, Site

PLUGIN = Path(__file__).parent / "plugin"
ENVIRONMENT = "MELSTREAM_TEST_SITE"

VIDEO_ID = "-hy_IdWithA"
"""Of eleven characters, and it would be an option."""


def use_site(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let yt-dlp, in this process and those that it starts, find YouTube at the site."""
    monkeypatch.setenv(ENVIRONMENT, site.url)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if str(PLUGIN) not in sys.path:
        sys.path.append(str(PLUGIN))  # stays: yt-dlp looks for plug-ins once a process
    old = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", f"{PLUGIN}{os.pathsep}{old}" if old else str(PLUGIN))


def put_watch_page(site: Site, video_id: str = VIDEO_ID, **page: Any) -> None:
    site.put(f"/watch/{video_id}", Page(body=json.dumps(page).encode()))


def put_video(
    site: Site,
    media: Page | bytes,
    *,
    video_id: str = VIDEO_ID,
    duration: float | None = None,
    info: dict[str, Any] | None = None,
    **audio_format: Any,
) -> str:
    """Publish a video of one audio format; returns the path of its media."""
    path = f"/media/{video_id}"
    site.put(path, media if isinstance(media, Page) else Page(body=media))
    chosen = {
        "format_id": "251",
        "url": site.url + path,
        "ext": "webm",
        "acodec": "opus",
        "vcodec": "none",
        "protocol": "http",
        **audio_format,
    }
    details = {"formats": [chosen], "duration": duration, **(info or {})}
    put_watch_page(site, video_id, info=details)
    return path


def clip_of(
    start: float | None = None, stop: float | None = None, *, video_id: str = VIDEO_ID
) -> ClipRef:
    return ClipRef(
        id=f"made/{video_id}",
        file=None,
        split="train",
        labels=("noise",),
        cut=None if start is None else Cut(start_seconds=start, stop_seconds=stop),
        video_id=video_id,
    )
