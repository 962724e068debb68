"""What an ingest will ask for, and how long that takes at a polite rate, before it starts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.console import human_bytes

LOCAL_SOURCES = ("folder", "zip", "tar", "s3")
_COLUMNS = ["clip_id", "video_id", "stop_seconds", "seconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What the estimates rest on; each figure is a default that a user may know better."""

    guest_videos_per_hour: float = 300.0
    """YouTube's limit for a session without an account, by yt-dlp's wiki (Extractors)."""
    account_videos_per_hour: float = 2000.0
    """The same for an account; accounts that go to the limit get banned."""
    requests_per_video: float = 10 / 3
    """Page and player requests: the wiki's 1,000 requests an hour for 300 videos."""
    media_bytes_per_second: float = 130_000 / 8
    """YouTube's usual audio, Opus at about 130 kbit/s."""
    margin_seconds: float = 5.0
    """Fetched beyond the end of a clip, so that the decoder can be cut exactly."""
    range_overhead_seconds: float = 10.0
    """Fetched around a clip by its index: a second before it, half of what lies between two
    entries of the index (10 s in YouTube's WebM), and the rest of the last block."""
    index_bytes: int = 64 << 10
    """Fetched to find the clip: the header and the index, a block."""
    http_requests_per_hour: float = 3600.0
    """One file a second: servers such as Zenodo's answer 429 to much more."""
    stored_bytes_per_second: float = 38_000.0
    """FLAC of 32 kHz mono 16 bit; 26 to 50 kB by kind of sound."""
    audio_seconds_per_core_second: float = 600.0
    """Decoded, resampled and encoded, see benchmarks/results/ingest.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestPlan:
    """What is left to do, and what it takes. An estimate that can't be made is None."""

    source: str
    is_authenticated: bool
    num_clips: int
    num_done: int
    num_videos: int
    """Different videos among the clips that are left; 0 where the source has none."""
    num_requests: int
    """Requests over the network for the clips that are left."""
    num_fetched_bytes: int | None
    fetch_mode: str
    """How much of a video is fetched: `prefix`, `range` or `whole`."""
    num_stored_bytes: int
    audio_seconds: float
    num_unknown_lengths: int
    """Clips left whose length the catalogue doesn't say; the others' mean stands in."""
    rate_per_hour: float | None
    """Clips an hour that the source allows; None where it sets no limit."""
    polite_seconds: float
    """At that rate, by one session."""
    computing_seconds: float
    """To decode, resample and encode, with all workers."""
    rates: Rates
    """What the estimates rest on."""

    @property
    def num_left(self) -> int:
        """Clips that are still to be fetched."""
        return self.num_clips - self.num_done

    @property
    def seconds(self) -> float:
        """Time that the ingest takes: fetching and computing run side by side."""
        return max(self.polite_seconds, self.computing_seconds)


def plan_ingest(
    listing: pa.Table,
    *,
    source: str,
    done: Collection[str] | pa.Array = (),
    is_authenticated: bool = False,
    fetch_mode: str = "prefix",
    num_workers: int = 1,
    rates: Rates | None = None,
) -> IngestPlan:
    """Plan the ingest of what a table of `LISTING_SCHEMA` lists.

    Every clip counts as a fetch of its own, those of one video too.

    Args:
        listing: All clips.
        source: Kind of source: `youtube`, `http`, or one of `LOCAL_SOURCES`.
        done: Ids of the clips that are written already.
        is_authenticated: Whether the session sends the cookies of an account.
        fetch_mode: How much of a video is fetched, as `YoutubeOptions.mode`.
        num_workers: Processes that decode and encode.
        rates: What the estimates rest on.

    Raises:
        ValueError: an unknown kind of source, or no worker.
    """
    rates = rates or Rates()
    if source not in ("youtube", "http", *LOCAL_SOURCES):
        raise ValueError(f"expected youtube, http, {', '.join(LOCAL_SOURCES)}; got {source!r}")
    if num_workers < 1:
        raise ValueError(f"expected at least one worker, got {num_workers}")
    done_ids = done if isinstance(done, pa.Array) else pa.array(list(done), pa.string())
    rows = listing.select(_COLUMNS)
    # Two million rows are not copied for nothing.
    is_done = pc.is_in(rows["clip_id"], value_set=done_ids) if len(done_ids) else None
    left = rows if is_done is None else rows.filter(pc.invert(is_done))
    audio_seconds, num_unknown = _audio_seconds(left)
    rate_per_hour = _rate_per_hour(source, is_authenticated=is_authenticated, rates=rates)
    return IngestPlan(
        source=source,
        is_authenticated=is_authenticated,
        num_clips=len(listing),
        num_done=len(listing) - len(left),
        num_videos=pc.count_distinct(left["video_id"]).as_py(),
        num_requests=_num_requests(source, fetch_mode, len(left), rates),
        num_fetched_bytes=_video_bytes(left, fetch_mode, rates) if source == "youtube" else None,
        fetch_mode=fetch_mode,
        num_stored_bytes=round(audio_seconds * rates.stored_bytes_per_second),
        audio_seconds=audio_seconds,
        num_unknown_lengths=num_unknown,
        rate_per_hour=rate_per_hour,
        polite_seconds=len(left) / rate_per_hour * 3600 if rate_per_hour else 0.0,
        computing_seconds=audio_seconds / rates.audio_seconds_per_core_second / num_workers,
        rates=rates,
    )


def plan_lines(plan: IngestPlan, *, title: str, copies: Sequence[str] = ()) -> list[str]:
    """Return what `--dry-run` prints.

    Args:
        plan: The plan.
        title: Name of the dataset.
        copies: Known copies that a user could bring, a line each.
    """
    lines = [f"{title} from {plan.source}: {plan.num_left:,} of {plan.num_clips:,} clips to fetch"]
    if plan.num_done:
        lines.append(f"  there already   {plan.num_done:,} clips, which are not asked for again")
    if plan.num_left == 0:
        return [*lines, "  nothing is left to do"]
    if plan.num_videos:
        lines.append(f"  videos          {plan.num_videos:,}")
    if plan.num_requests:
        lines.append(f"  requests        about {plan.num_requests:,}")
    if plan.source == "youtube":
        lines += _download_lines(plan)
    hours = f"{plan.audio_seconds / 3600:,.1f} hours"
    stored = f"about {human_bytes(plan.num_stored_bytes)} for {hours}"
    if plan.num_unknown_lengths:
        stored += f" ({plan.num_unknown_lengths:,} clips of unknown length taken as the mean)"
    lines.append(f"  to store        {stored} of audio as 32 kHz FLAC")
    lines.append(f"  time            {_time_words(plan)}")
    if plan.source == "youtube":
        lines += _advice(plan, copies)
    return lines


def duration_words(seconds: float) -> str:
    """Return a rough duration, e.g. `289 days`, `3.2 hours` or `12 minutes`."""
    if seconds >= 3 * 86_400:
        return f"{int(seconds // 86_400):,} days"
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.1f} hours"
    if seconds >= 120:
        return f"{seconds / 60:.0f} minutes"
    return f"{max(1, round(seconds))} s"


def _download_lines(plan: IngestPlan) -> list[str]:
    if plan.fetch_mode == "whole":
        return ["  to download     all audio of each video, whose length the list doesn't tell"]
    if plan.num_fetched_bytes is None:
        return []
    how = (
        "as only the part around each clip is fetched"
        if plan.fetch_mode == "range"
        else "as each video is fetched up to the end of its clip"
    )
    return [f"  to download     about {human_bytes(plan.num_fetched_bytes)}, {how}"]


def _time_words(plan: IngestPlan) -> str:
    if plan.rate_per_hour is None or plan.computing_seconds > plan.polite_seconds:
        return f"about {duration_words(plan.seconds)} of decoding and encoding"
    if plan.source != "youtube":
        return (
            f"about {duration_words(plan.seconds)}, if the server gives {plan.rate_per_hour:,.0f} "
            "files an hour"
        )
    session = "an account" if plan.is_authenticated else "a guest session"
    limit = _rate_per_hour("youtube", is_authenticated=plan.is_authenticated, rates=Rates())
    is_limit = limit is not None and round(plan.rate_per_hour) == round(limit)
    return f"about {duration_words(plan.seconds)} at {plan.rate_per_hour:,.0f} videos an hour" + (
        f", YouTube's limit for {session}" if is_limit else " and session"
    )


def _advice(plan: IngestPlan, copies: Sequence[str]) -> list[str]:
    lines = [
        "",
        "Bring your own copy first, if you can: --source DIR, ARCHIVE or s3://BUCKET/PREFIX reads "
        f"the same clips in about {duration_words(plan.computing_seconds)}.",
        "Then run this command again: only the clips that are still missing are asked for.",
    ]
    lines += [f"  known copy: {copy}" for copy in copies]
    if not plan.is_authenticated:
        account_seconds = plan.num_left / plan.rates.account_videos_per_hour * 3600
        lines.append(
            f"With the cookies of an account it is {duration_words(account_seconds)}, at the risk "
            "of that account: YouTube bans accounts that download much."
        )
    return lines


def _rate_per_hour(source: str, *, is_authenticated: bool, rates: Rates) -> float | None:
    if source == "youtube":
        return rates.account_videos_per_hour if is_authenticated else rates.guest_videos_per_hour
    return rates.http_requests_per_hour if source == "http" else None


def _num_requests(source: str, fetch_mode: str, num_clips: int, rates: Rates) -> int:
    if source == "youtube":
        num_for_media = 4 if fetch_mode == "range" else 1
        return round(num_clips * (rates.requests_per_video + num_for_media))
    return num_clips if source in ("http", "s3") else 0


def _audio_seconds(left: pa.Table) -> tuple[float, int]:
    seconds_N = _floats(left["seconds"])
    num_unknown = int(np.isnan(seconds_N).sum())
    if num_unknown == len(seconds_N):
        return 0.0, num_unknown
    return float(np.nanmean(seconds_N)) * len(seconds_N), num_unknown


def _video_bytes(left: pa.Table, fetch_mode: str, rates: Rates) -> int | None:
    """Return the bytes that are fetched of the videos; None where the list doesn't tell."""
    stop_N, seconds_N = _floats(left["stop_seconds"]), _floats(left["seconds"])
    if fetch_mode == "whole" or np.isnan(stop_N).all():
        return None
    prefix = float(np.nanmean(stop_N)) + rates.margin_seconds
    if fetch_mode == "range" and not np.isnan(seconds_N).all():
        # A clip near its video's beginning takes no more than the beginning.
        around = float(np.nanmean(seconds_N)) + rates.range_overhead_seconds
        num_bytes = min(around, prefix) * rates.media_bytes_per_second + rates.index_bytes
    else:
        num_bytes = prefix * rates.media_bytes_per_second
    return round(num_bytes * len(stop_N))


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    values: NDArray[np.float64] = pc.fill_null(column, float("nan")).to_numpy()
    return values
