"""Clips of YouTube videos, through yt-dlp's Python API.

The API, not the command: an exception tells its HTTP status and its countries, a command only
text, and a value from a csv can't become an option. `download_ranges` is never used: it copies
packets from the last key point on, up to 10 s too early, and every failure below it is
"ffmpeg exited with code 1". The clip is cut from decoded samples, whatever was fetched of it: the
beginning of the video's audio, the part around the clip (`excerpt`), or all of it.

FFmpeg is never given the URL. It would bypass yt-dlp's cookies, proxy and time of availability,
needs a version of 8.1.2 or later for YouTube's throttling, and answers 410, 416 and 429 alike. It
reads through a file of ours instead, whose every read is a range asked for by yt-dlp.
"""

import contextlib
import importlib.metadata
import importlib.util
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.availability.classifier import classify
from jobs.availability.classifier_evidence import causes
from jobs.availability.outcome import Code, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.cookies import copy_cookies
from jobs.fetching.fetcher import SourceAudio
from jobs.fetching.own_outcome import own_outcome
from jobs.fetching.prefix import needed_seconds
from jobs.fetching.public_hosts import only_public_hosts
from jobs.fetching.retry_after import pause_seconds
from jobs.fetching.urls import RefusedUrlError, check_url
from jobs.fetching.youtube_bounds import Bounds, MediaError, TooManyBytesError
from jobs.fetching.youtube_log import YoutubeLog
from jobs.fetching.youtube_media import Media, YoutubeMedia
from jobs.fetching.youtube_options import Mode, YoutubeOptions, ydl_params
from shardwriter.audio import Cut
from shardwriter.errors import ConfigError
from shardwriter.scratch import scratch_folder

_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_LIVE = frozenset({"is_live", "is_upcoming", "post_live"})
_DURATION_ROUNDING_SECONDS = 1.0
"""YouTube tells whole seconds; within this the decoded samples decide."""
_KEPT = (
    *("uploader", "uploader_id", "channel", "channel_id", "availability", "age_limit"),
    *("duration", "live_status", "format_id", "ext", "acodec", "asr", "abr", "filesize"),
)
"""Nothing of the clock: what is kept may get into a sample's labels, and the log has the time."""


class YoutubeFetcher:
    """Gets `ClipRef.video_id` from YouTube; one `YoutubeDL` while it is open."""

    kind = "youtube"

    def __init__(self, options: YoutubeOptions | None = None) -> None:
        """Take the settings; yt-dlp is not loaded yet.

        Raises:
            ConfigError: yt-dlp is not installed, or the cookies file can't be read.
        """
        self._options = options or YoutubeOptions()
        self._log = YoutubeLog()
        self._bounds = Bounds(self._options)
        self._folder: Path | None = None
        self._ydl: Any = None
        if importlib.util.find_spec("yt_dlp") is None:
            raise ConfigError(
                "YouTube is fetched with yt-dlp, which is not installed; "
                "pip install 'melstream[youtube]'"
            )
        cookies = self._options.cookies_file
        if cookies is not None and not cookies.is_file():
            raise ConfigError(f"there is no cookies file {cookies}")

    @property
    def tool(self) -> str:
        """Name and version of yt-dlp."""
        return f"yt-dlp {importlib.metadata.version('yt-dlp')}"

    @property
    def mode(self) -> Mode:
        """How much of a video is fetched."""
        return self._options.mode

    @contextlib.contextmanager
    def open(self) -> Iterator["YoutubeFetcher"]:
        """Start yt-dlp with a private folder, and a private copy of the cookies in it.

        Raises:
            ConfigError: the cookies file is not one.
        """
        from yt_dlp import YoutubeDL

        with scratch_folder() as folder:  # of mode 0700, and cleared even after a kill
            cookies = self._options.cookies_file
            copy = None if cookies is None else copy_cookies(cookies, folder)
            params = ydl_params(self._options, folder=folder, cookies_copy=copy, logger=self._log)
            params["progress_hooks"] = [self._bounds.on_progress]
            ydl = YoutubeDL(params, auto_init="no_verbose_header")
            with ydl:
                self._ydl, self._folder = ydl, folder
                try:
                    yield self
                finally:
                    self._ydl = self._folder = None

    def fetch(self, clip: ClipRef) -> SourceAudio | Outcome:
        """Return the audio that holds a clip, or why there is none."""
        if clip.video_id is None:
            return own_outcome(Code.MEMBER_MISSING, text=f"{clip.id} names no YouTube video")
        if not _VIDEO_ID.fullmatch(clip.video_id):
            return own_outcome(
                Code.INVALID_ID,
                expected="11 characters of A-Z, a-z, 0-9, _ and -",
                got=repr(clip.video_id[:40]),
            )
        self._log.begin()
        info = self._find(clip.video_id)
        if isinstance(info, Outcome):
            return info
        refusal = _refusal(info, clip.cut, self._options)
        return refusal or self._read(info, clip)

    def _find(self, video_id: str) -> dict[str, Any] | Outcome:
        # A full URL, as ids that begin with `-` are none on their own.
        url = f"https://www.youtube.com/watch?v={video_id}"
        try:
            info = self._ydl.extract_info(url, download=False)
        except Exception as err:  # noqa: BLE001 - an extractor raises anything when a page changes
            return self._classify(err, is_media=False)
        if not info or not info.get("url"):
            return self._classify("No video formats found!", is_media=False)
        return dict(info)

    def _read(self, info: dict[str, Any], clip: ClipRef) -> SourceAudio | Outcome:
        from yt_dlp.utils import YoutubeDLError

        if self._folder is None:
            raise RuntimeError("fetch was called outside `open`")
        reader = YoutubeMedia(self._ydl, info, self._options, self._bounds)
        try:
            with self._hosts(info):
                media = reader.read(clip.cut, folder=self._folder)
        except RefusedUrlError as err:
            return own_outcome(Code.REFUSED_URL, text=str(err), is_media=True)
        except TooManyBytesError as err:
            return own_outcome(
                Code.TOO_LONG,
                expected=f"at most {self._options.max_bytes} bytes",
                got=str(err),
                is_media=True,
            )
        except (YoutubeDLError, MediaError, OSError) as err:
            return self._classify(err, is_media=True)
        if not media.data:
            return self._classify("Did not get any data blocks", is_media=True)
        told = {"licence": info.get("license")} | {name: info.get(name) for name in _KEPT}
        kept = {name: value for name, value in told.items() if value is not None}
        return SourceAudio(
            data=media.data,
            file=f"{clip.video_id}.{info.get('ext') or 'bin'}",
            cut=media.cut,
            num_bytes=reader.num_bytes,
            tool=self.tool,
            client=str(info.get("_client") or ""),
            metadata=kept | _how_it_came(media),
        )

    def _hosts(self, info: dict[str, Any]) -> contextlib.AbstractContextManager[None]:
        """Check where media lies, and return what holds its connections to such places.

        A proxy has an address of one's own network, and looks names up itself.
        """
        is_free = self._options.allow_private_hosts
        check_url(info["url"], allow_private_hosts=is_free)
        is_proxied = any(proxy for name, proxy in self._ydl.proxies.items() if name != "no")
        return contextlib.nullcontext() if is_free or is_proxied else only_public_hosts()

    def _classify(self, problem: BaseException | str, *, is_media: bool) -> Outcome:
        return classify(
            problem,
            is_media=is_media,
            warnings=self._log.warnings,
            playability=self._log.playability,
            retry_after_seconds=_retry_after_seconds(problem),
        )


def _retry_after_seconds(problem: BaseException | str) -> float | None:
    """Return the pause that the answer behind a failure asks for, and close that answer."""
    from yt_dlp.networking.exceptions import HTTPError

    if isinstance(problem, str):
        return None
    for error in causes(problem):
        if isinstance(error, HTTPError):
            value = error.response.headers.get("Retry-After") or ""
            error.close()  # yt-dlp leaves the answers to its failed tries open
            return pause_seconds(value, now=time.time())
    return None


def _how_it_came(media: Media) -> dict[str, Any]:
    told = {"mode": media.mode, "is_whole": media.mode == "whole"}
    return told if media.mode != "range" else told | {"first_sample": media.first_sample}


def _refusal(info: dict[str, Any], cut: Cut | None, options: YoutubeOptions) -> Outcome | None:
    """Return why a video is not fetched, by what its page says; None if it is."""
    if info.get("live_status") in _LIVE:
        return own_outcome(
            Code.LIVE_PENDING, expected="a finished recording", got=str(info["live_status"])
        )
    duration = info.get("duration")
    if duration is None:
        return None
    if cut is not None and cut.start_seconds >= duration + _DURATION_ROUNDING_SECONDS:
        return own_outcome(
            Code.CLIP_PAST_END,
            expected=f"a clip from {cut.start_seconds:.3f} s on",
            got=f"a video of {duration:.3f} s",
        )
    needed = duration if options.mode == "whole" else needed_seconds(cut) or duration
    if options.mode == "range" and cut is not None and cut.stop_seconds is not None:
        needed = cut.stop_seconds - cut.start_seconds
    if min(needed, duration) > options.max_audio_seconds:
        return own_outcome(
            Code.TOO_LONG,
            expected=f"at most {options.max_audio_seconds:g} s to fetch",
            got=f"a video of {duration:.0f} s",
        )
    return None
