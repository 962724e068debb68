"""One GET request to a web server: kept connections, bounded redirects, failures as our errors."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, SSLError

from shardwriter.errors import ConfigError, StorageError, ThrottledError, TransientStorageError

RANGE_NOT_SATISFIABLE = 416
NOT_FOUND = frozenset({404, 410})
_THROTTLED = frozenset({429, 503})
_TRANSIENT = frozenset({408, 425, 500, 502, 504})
_DENIED = frozenset({401, 403, 407})
_MAX_CONNECTIONS = 128
_MAX_REDIRECTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How long to wait for a web server, and how often to ask it again."""

    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0
    max_attempts: int = 5
    """Requests in a row that may bring next to nothing."""
    backoff_seconds: float = 0.2
    """Pauses are random, up to this; up to twice this before the third attempt, ..."""


def checked_url(url: str) -> str:
    """Return the URL of a folder on a web server without a slash at its end.

    Raises:
        ConfigError: it has no host, or a user, a query or a fragment, which would be lost when
            names are appended, or told in messages.
    """
    try:
        parts = urlsplit(url)
        is_usable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        is_usable = False
    if not is_usable or "@" in parts.netloc or parts.query or parts.fragment:
        # The URL itself may hold a password, so that it is not repeated here.
        raise ConfigError(
            "can't open a dataset at that http(s) URL: expected https://host/folder, with no "
            "user, password, query or fragment"
        )
    return url.rstrip("/")


class HttpGetter:
    """Makes single GET requests. Any thread may use it."""

    def __init__(self, options: HttpOptions) -> None:
        self._pool = urllib3.PoolManager(
            num_pools=4,
            maxsize=_MAX_CONNECTIONS,
            timeout=urllib3.Timeout(
                connect=options.connect_timeout_seconds, read=options.read_timeout_seconds
            ),
            retries=urllib3.Retry(
                total=None,
                connect=0,
                read=0,
                status=0,
                other=0,
                redirect=_MAX_REDIRECTS,
                status_forcelist=(),
                raise_on_status=False,
            ),
        )

    def get(self, url: str, *, byte_range: str) -> urllib3.BaseHTTPResponse:
        """Ask for a range of an object; its body is still to be read.

        Raises:
            ThrottledError: the server asks for fewer requests.
            TransientStorageError: the request failed in a way that may pass.
            StorageError: denied, or an answer that makes no sense. An object that is not there
                and a range behind its end are answers, not errors.
        """
        # A server must not compress: ranges are ranges of what it sends.
        headers = {"Range": f"bytes={byte_range}", "Accept-Encoding": "identity"}
        try:
            answer = self._pool.request("GET", url, headers=headers, preload_content=False)
        except MaxRetryError as err:
            raise _failed(url, err.reason or err) from err
        except HTTPError as err:
            raise _failed(url, err) from err
        problem = _problem(url, answer)
        if problem is not None:
            answer.close()
            raise problem
        return answer


def _failed(url: str, error: Exception) -> StorageError:
    if isinstance(error, SSLError):
        return StorageError(
            f"{url}: the secure connection was refused; is the server's certificate valid?"
        )
    return TransientStorageError(
        f"{url}: {type(error).__name__}; is the server reachable? Run again to go on"
    )


def _problem(url: str, answer: urllib3.BaseHTTPResponse) -> StorageError | None:
    status = answer.status
    if url.startswith("https:") and (answer.url or url).startswith("http:"):
        return StorageError(f"{url}: it redirects to http, where anyone could change the bytes")
    if status in (200, 206, RANGE_NOT_SATISFIABLE) or status in NOT_FOUND:
        return None
    if status in _THROTTLED:
        return ThrottledError(f"{url}: the server answered {status}; run again to go on")
    if status in _TRANSIENT:
        return TransientStorageError(f"{url}: the server answered {status}; run again to go on")
    if status in _DENIED:
        return StorageError(f"{url}: denied ({status}); datasets are read without signing in")
    return StorageError(f"{url}: the server answered {status}")
