"""What every fetcher gives: encoded bytes with the place of the clip in them, or an outcome."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobs.availability.outcome import Outcome
from jobs.catalogues.catalogue import ClipRef
from shardwriter.audio import Cut


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAudio:
    """Encoded bytes that hold a clip."""

    data: bytes
    """A whole file, so much of its beginning as the clip needs, or a file of the part around it."""
    file: str
    """Its name at the source, with the extension that fits the bytes."""
    cut: Cut | None
    """The part of these bytes that is the clip; None: all of it."""
    num_bytes: int
    """Bytes that came over the network or off the disk, tries that were resumed included."""
    tool: str
    """What fetched, with version."""
    client: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the source says of it: licence, uploader, format, availability, duration."""


class Fetcher(Protocol):
    """Gets clips of one source. Used by one thread of one process; pickled into workers.

    Entering it opens what it needs (a session, an archive), leaving it closes that. It makes no
    second tries of its own beyond resuming a broken transfer: who calls it decides on those.
    """

    @property
    def kind(self) -> str:
        """Kind of source, as `Attempt.source` has it."""

    @property
    def tool(self) -> str:
        """What fetches, with version: of tries that fail, too."""

    def open(self) -> AbstractContextManager["Fetcher"]:
        """Return a context in which `fetch` may be called."""

    def fetch(self, clip: ClipRef) -> SourceAudio | Outcome:
        """Return the bytes that hold the clip, or why there are none. Raises only for bugs."""
