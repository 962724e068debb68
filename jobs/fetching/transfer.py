"""A body that may come in several answers: where the next one begins, and whether it fits."""

import re
from dataclasses import dataclass

import urllib3

from jobs.fetching.http_session import HttpStatusError
from jobs.fetching.urls import shown

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(slots=True, kw_only=True)
class Transfer:
    """How far a body has come, and which version of it."""

    url: str
    position: int = 0
    """Bytes that are there."""
    validator: str | None = None
    """ETag, or date of the last change, of the version that they are from."""
    num_bytes: int | None = None
    """Of the whole body, once a server has said so."""

    @property
    def is_complete(self) -> bool:
        """Whether all bytes are there; False where no server said how many those are."""
        return self.position == self.num_bytes

    def request_headers(self) -> dict[str, str]:
        """Return what asks for the rest: if the version is still the same, or else for all."""
        if not self.position:
            return {}
        headers = {"Range": f"bytes={self.position}-"}
        if self.validator is not None:
            headers["If-Range"] = self.validator
        return headers

    def begin(self, response: urllib3.BaseHTTPResponse) -> None:
        """Take note of an answer: `position` is where its body goes, 0 if it is a new version.

        Raises:
            HttpStatusError: it holds another range than was asked for, or is of another version.
        """
        headers = response.headers
        validator = _validator(headers)
        if response.status == 200:
            self.position = 0
            self.num_bytes = response.length_remaining
        else:
            found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
            is_other = None not in (validator, self.validator) and validator != self.validator
            if found is None or not self.position or int(found[1]) != self.position or is_other:
                raise HttpStatusError(
                    response.status,
                    f"asked for the bytes from {self.position}, answered "
                    f"{headers.get('Content-Range', '')[:60]!r}",
                    url=shown(self.url),
                )
            if found[2] != "*":
                self.num_bytes = int(found[2])
        self.validator = validator


def _validator(headers: urllib3.HTTPHeaderDict) -> str | None:
    """Return what `If-Range` takes: an ETag that promises equal bytes, or else the date."""
    etag = headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("Last-Modified")
