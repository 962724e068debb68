"""One try at one clip, as the attempts log holds it: written once, never changed."""

from dataclasses import dataclass

from jobs.availability.outcome import Code, Evidence, Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Vantage:
    """From where a run looks: the same video can be gone in one country and there in another."""

    region: str = ""
    """What the user calls the place, e.g. `eu-west`; never an address."""
    is_authenticated: bool = False
    """Whether cookies or credentials were sent."""
    is_proxied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A row of the attempts log."""

    run_id: str
    attempt: int
    """Number of the try at this clip in this run, from 1."""
    source: str
    """Kind of source: `youtube`, `http`, `s3`, `folder`, `zip`, `tar`."""
    clip_id: str
    video_id: str | None
    start_seconds: float | None
    stop_seconds: float | None
    time_utc: str
    """When the try ended, ISO 8601 with milliseconds, e.g. `2026-11-22T16:18:24.123Z`."""
    code: Code
    group: Group
    evidence: Evidence
    tool: str
    """What fetched, with version, e.g. `yt-dlp 2026.10.26`."""
    rules_version: int
    vantage: Vantage
    client: str
    """YouTube client that gave the format, where there is one."""
    num_bytes: int
    """Bytes that came over the network or off the disk."""
    seconds: float
    canary_state: str
    """State of the canaries in this window: `ok`, `failed`, `unknown`."""
    source_sha256: str | None = None
    """Hash of the encoded source bytes, if they came whole."""
    pcm_sha256: str | None = None
    """Hash of the clip's samples as the shard holds them, if it got there."""
    fetch_mode: str | None = None
    """How much of the source came: `prefix`, `range` or `whole`, where there is a choice."""
    licence: str | None = None
    """What the site says of the licence; it can't be found out later."""
