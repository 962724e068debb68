"""AudioSet's videos on the loopback address, with a known mix of what can come of them.

The list is in the published form. yt-dlp itself asks, through the plug-in of the fetching tests.
"""

import datetime
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jobs import cli
from jobs.availability.outcome import Code
from tests.jobs.fetching.media import RATE_HZ, noise, webm
from tests.jobs.fetching.site import Page, Site
from tests.jobs.fetching.youtube_site import put_video, put_watch_page

DAY_0 = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)
VIDEO_SECONDS = 5
MIDS = ("/m/09x0r", "/m/04rlf", "/m/0jbk", "/m/0bt9lr")

SAID = {
    Code.PRIVATE: "Private video. Sign in if you've been granted access to this video",
    Code.REMOVED_BY_UPLOADER: "This video has been removed by the uploader",
    Code.ACCOUNT_TERMINATED: "Video unavailable. This video is no longer available because the "
    "YouTube account associated with this video has been terminated.",
    Code.COPYRIGHT: "Video unavailable. This video contains content from SME, who has blocked it "
    "on copyright grounds",
    Code.AGE_GATED: "Sign in to confirm your age. This video may be inappropriate for some users.",
    Code.MEMBERS_ONLY: "Join this channel to get access to members-only content like this video",
    Code.UNAVAILABLE_UNSPECIFIED: "Video unavailable",
    Code.BOT_CHECK: "Sign in to confirm you\u2019re not a bot. Use --cookies",
}
"""What YouTube writes on a page without audio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A row of the list."""

    video: str
    start: int
    mid: str

    @property
    def id(self) -> str:
        return f"audioset/{self.video}_{1000 * self.start}"


def listed(num_clips: int) -> list[Listed]:
    """Rows of videos whose ids look like options, hold `_`, and are of eleven characters."""
    starts = ("-", "_", "x", "--", "-_")
    return [
        Listed(
            video=f"{starts[number % 5]}{number:0{11 - len(starts[number % 5])}d}",
            start=1 + number % 3,
            mid=MIDS[number % len(MIDS)],
        )
        for number in range(num_clips)
    ]


def write_list(path: Path, rows: Iterable[Listed]) -> Path:
    """Write them as AudioSet publishes its balanced list."""
    rows = list(rows)
    lines = [
        "# Segments csv created Sun Mar  5 10:54:31 2017",
        f"# num_ytids={len(rows)}, num_segs={len(rows)}, num_unique_labels={len(MIDS)}, "
        f"num_positive_labels={len(rows)}",
        "# YTID, start_seconds, end_seconds, positive_labels",
        *(f'{row.video}, {row.start}.000, {row.start + 1}.000, "{row.mid}"' for row in rows),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def mixed(rows: list[Listed], mix: Mapping[Code, int]) -> dict[Listed, Code]:
    """Give so many rows to each code, spread over the list; the others are well."""
    chosen = random.Random(4).sample(rows, sum(mix.values()))
    codes = (code for code, num in mix.items() for _ in range(num))
    return dict(zip(chosen, codes, strict=True))


class Videos:
    """Publishes videos at a site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._audio = [webm(noise(VIDEO_SECONDS, seed=seed)) for seed in range(20)]
        self._silence = webm(np.zeros(VIDEO_SECONDS * RATE_HZ, dtype=np.int16))
        self._stubs = {start: webm(noise(start + 0.3)) for start in range(4)}

    def put(self, rows: list[Listed], codes: Mapping[Listed, Code]) -> None:
        for number, row in enumerate(rows):
            self._put(row, codes.get(row, Code.OK), audio=self._audio[number // 4 % 20])

    def _put(self, row: Listed, code: Code, *, audio: bytes) -> None:
        if code in SAID:
            put_watch_page(self._site, row.video, error=SAID[code])
        elif code is Code.GEO_BLOCKED:
            error = "The uploader has not made this video available in your country"
            put_watch_page(self._site, row.video, error=error, countries=["CA", "US"])
        elif code is Code.EXTRACTOR_BUG:
            put_watch_page(self._site, row.video, has_bug=True)
        else:
            media, said = self._media(row, code, audio)
            put_video(self._site, media, video_id=row.video, **said)

    def _media(
        self, row: Listed, code: Code, audio: bytes
    ) -> tuple[bytes | Page, dict[str, object]]:
        licence = {"info": {"license": "Creative Commons Attribution license (reuse allowed)"}}
        answers: dict[Code, tuple[bytes | Page, dict[str, object]]] = {
            Code.OK: (audio, licence),
            Code.HTTP_403_MEDIA: (Page(status=403), {}),
            Code.HTTP_5XX: (Page(status=503), {}),
            Code.RESET: (Page(body=audio, ends="reset"), {}),
            Code.TRUNCATED: (Page(body=audio, ends="cut", end_at=2000, ranges=False), {}),
            Code.DNS: (audio, {"url": "http://nowhere.invalid/media"}),
            Code.CLIP_PAST_END: (self._stubs[0], {"duration": 0.3}),
            Code.SHORT_CLIP: (self._stubs[row.start], {}),
            Code.SILENT: (self._silence, {}),
            Code.LIVE_PENDING: (audio, {"info": {"live_status": "is_upcoming"}}),
        }
        return answers[code]


def ingest(csv: Path, out: Path, *flags: str, workers: int = 0) -> int:
    """Run the command, without its pauses."""
    return cli.main(
        [
            *("ingest", "audioset", "--source", "youtube", "--split", "balanced"),
            *("--csv", str(csv), "--out", str(out), "--workers", str(workers)),
            *("--videos-per-hour", "1000000000", "--pause", "0", "--sample-rate", "16000"),
            *("--shard-clips", "40", "--allow-private-hosts", *flags),
        ]
    )


def on_day(day: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is asked for from now on be asked for so many days after the first."""
    began = datetime.datetime.now(datetime.UTC)

    def now() -> datetime.datetime:
        passed = datetime.datetime.now(datetime.UTC) - began
        return DAY_0 + datetime.timedelta(days=day) + passed

    monkeypatch.setattr("jobs.ingesting.clock.now", now)


def asked(site: Site) -> list[str]:
    """Videos whose pages were asked for, in order."""
    prefix = "/watch/"
    return [path.removeprefix(prefix) for path in site.paths() if path.startswith(prefix)]


def json_of(capsys: pytest.CaptureFixture[str], *command: str) -> dict[str, object]:
    """What a command prints as JSON."""
    capsys.readouterr()
    assert cli.main([*command, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found
