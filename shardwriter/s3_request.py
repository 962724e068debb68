"""How boto3 asks for the objects of a bucket, learnt from a request of its own, to do the same."""

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

from shardwriter.s3_signature import signed

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from mypy_boto3_s3 import S3Client

_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/(?P<region>[^/]+)/s3/aws4_request,")
_LITERAL = "/~"
"""What botocore leaves as it is in keys, beside letters, digits and `_.-`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestForm:
    """What the GET requests of a bucket have in common."""

    origin: str
    """`https://host:port`."""
    root: str
    """What all paths begin with: `/`, or `/bucket/` where the host doesn't name the bucket."""
    user_agent: str
    region: str | None
    """What requests are signed for; None where they are not signed."""

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return self.origin.partition(":")[0]

    @property
    def host(self) -> str:
        """The header Host: without a port that goes without saying."""
        parts = urlsplit(self.origin)
        is_usual = parts.port in (None, 443 if parts.scheme == "https" else 80)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        return host if is_usual else f"{host}:{parts.port}"

    def target(self, key: str) -> str:
        """Return the path of an object in requests."""
        return self.root + quote(key, safe=_LITERAL)

    def headers(
        self, key: str, headers: dict[str, str], credentials: "Credentials | None"
    ) -> dict[str, str]:
        """Return the headers of a request, signed where the bucket's requests are.

        All headers given are signed, so that nothing on the way can change the range. Signatures
        are good for minutes; each request gets its own, with the credentials of that moment:
        those of roles renew themselves when they are asked for.
        """
        if self.region is not None and credentials is not None:
            headers = signed(
                self.target(key),
                headers,
                host=self.host,
                region=self.region,
                credentials=credentials.get_frozen_credentials(),
            )
        return {"User-Agent": self.user_agent, **headers}


class Overheard(threading.local):
    """The last GetObject request that boto3 sent in this thread."""

    url = ""
    headers: dict[str, str]

    def __init__(self) -> None:
        self.headers = {}

    def listen_to(self, client: "S3Client") -> None:
        """Note the requests of a client from now on, in whatever thread it makes them."""
        client.meta.events.register("before-send.s3.GetObject", self._note)

    def form(self, key: str) -> RequestForm | None:
        """Return the form of the request that was sent last, which was for this key.

        None where it can't be copied: it was signed in another way than Signature Version 4, or
        has a token that is got for it (S3 Express).
        """
        parts = urlsplit(self.url)
        suffix = quote(key, safe=_LITERAL)
        authorization = self.headers.get("authorization")
        scope = _SCOPE.match(authorization or "")
        is_other = (authorization is not None and scope is None) or parts.query
        if is_other or not parts.path.endswith("/" + suffix):
            return None
        return RequestForm(
            origin=f"{parts.scheme}://{parts.netloc}",
            root=parts.path.removesuffix(suffix),
            user_agent=self.headers.get("user-agent", ""),
            region=None if scope is None else scope["region"],
        )

    def _note(self, request: Any, **_: object) -> None:
        self.url = request.url
        self.headers = {str(name).lower(): _text(value) for name, value in request.headers.items()}


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else cast(str, value)


OVERHEARD = Overheard()
