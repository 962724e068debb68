"""How S3 is reached. No boto3 here: whoever opens local folders needs none."""

from dataclasses import dataclass
from typing import Literal

AddressingStyle = Literal["auto", "path", "virtual"]

MIN_PART_BYTES = 5 << 20
"""S3 refuses smaller parts, but for the last of an upload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options:
    """What boto3's own environment variables and files leave open, or get wrong.

    Credentials are not among them: they come from the environment, `~/.aws` or the machine's
    role, as boto3 finds them, and pass through no value or message of ours.
    """

    endpoint_url: str | None = None
    """Of an S3-compatible store; None for what `AWS_ENDPOINT_URL` or the profile says, or AWS."""
    profile: str | None = None
    """A profile of `~/.aws/config`; None for `AWS_PROFILE` or the default one."""
    anonymous: bool = False
    """Sign nothing: for public buckets."""
    addressing_style: AddressingStyle = "auto"
    """`auto` puts the bucket into the path at an endpoint of one's own, else into the host."""
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0
    max_attempts: int = 5
    """Of a request, the first one counted; also of resuming a body without progress."""
    backoff_seconds: float = 0.2
    """Pauses of our own are random, up to this; up to twice this before the third attempt, ..."""
    multipart_threshold_bytes: int = 64 << 20
    """Larger files go up in parts."""
    part_bytes: int = 16 << 20
    stale_upload_hours: float = 24.0
    """A writer that starts removes unfinished uploads below its prefix that are older: younger
    ones may be another writer's."""

    def __post_init__(self) -> None:
        """Refuse what no store could work with."""
        if self.anonymous and self.profile is not None:
            raise ValueError(f"anonymous requests use no profile, got profile {self.profile!r}")
        if self.connect_timeout_seconds <= 0 or self.read_timeout_seconds <= 0:
            raise ValueError(f"time-outs must be over 0 s, got {self}")
        if self.max_attempts < 1 or self.backoff_seconds < 0 or self.stale_upload_hours < 0:
            raise ValueError(
                "max_attempts must be at least 1, backoff_seconds and stale_upload_hours at "
                f"least 0, got {self}"
            )
        if self.part_bytes < MIN_PART_BYTES or self.multipart_threshold_bytes < 1:
            raise ValueError(
                f"part_bytes must be at least {MIN_PART_BYTES} and multipart_threshold_bytes at "
                f"least 1, got {self.part_bytes} and {self.multipart_threshold_bytes}"
            )
