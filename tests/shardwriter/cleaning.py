"""Audio files cleaned as an ingest cleans them, or why they are refused."""

from pathlib import Path
from typing import Any

from shardwriter.audio import CleanAudio, DurationRule, clean_audio
from shardwriter.errors import AudioError
from shardwriter.schema import RejectionReason
from tests.audio import RATE_HZ

ESC10 = Path(__file__).parents[2] / "jobs" / "sample" / "esc10" / "audio"
SMALLEST_ESC10 = sorted(ESC10.glob("*.ogg"), key=lambda path: (path.stat().st_size, path.name))[:3]
CUT_REASONS = {RejectionReason.EMPTY, RejectionReason.UNREADABLE, RejectionReason.TRUNCATED}


def clean(
    data: bytes,
    *,
    rate_hz: int = RATE_HZ,
    max_seconds: float = 10.0,
    duration: DurationRule | None = None,
) -> CleanAudio:
    return clean_audio(
        data, file="a.wav", sample_rate_hz=rate_hz, max_seconds=max_seconds, duration=duration
    )


def reason_of(data: bytes, **options: Any) -> RejectionReason | None:
    """Why the bytes are refused; None if they are not."""
    try:
        clean(data, **options)
    except AudioError as err:
        return RejectionReason(err.reason)
    return None
