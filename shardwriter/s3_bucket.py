"""One prefix of a bucket and the boto3 client that reaches it, made late and once a process."""

import logging
import os
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shardwriter.errors import ConfigError
from shardwriter.object_names import name_parts
from shardwriter.s3_errors import NOT_FOUND, as_ours, error_status
from shardwriter.s3_options import S3Options
from shardwriter.s3_request import OVERHEARD

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

_MAX_CONNECTIONS = 128
"""As many as any reader may use at a time; they are made when they are needed."""
_MAX_PAUSE_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Connected:
    """A client, and what it signs with and trusts, for requests beside it."""

    client: "S3Client"
    credentials: "Credentials | None"
    """They renew themselves where boto3's do, being the same; None where it found none."""
    ca_file: str | None
    """Certificates to trust; None for those that come with boto3."""


class S3Bucket:
    """A bucket below a prefix: keys, client, pauses. Any thread may use it, or a forked child."""

    def __init__(self, name: str, prefix: str, options: S3Options) -> None:
        self.name = name
        self.prefix = prefix
        self.options = options
        self._lock = threading.Lock()
        self._clients: dict[tuple[int, int], Connected] = {}
        self._sessions: tuple[botocore.session.Session, boto3.Session] | None = None

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    @property
    def key_prefix(self) -> str:
        """What all keys begin with: empty, or ending in `/`."""
        return f"{self.prefix}/" if self.prefix else ""

    def key(self, name: str) -> str:
        """Return the key of an object; a name that leaves the root is a `ValueError`."""
        return self.key_prefix + "/".join(name_parts(name))

    def url_of(self, key: str) -> str:
        """Return a key's URL, for messages."""
        return f"s3://{self.name}/{key}"

    @property
    def client(self) -> "S3Client":
        """The client that tries again by itself, as often as the options say."""
        return self.client_with(self.options.max_attempts)

    def client_with(self, max_attempts: int) -> "S3Client":
        """Return the client of this process that makes so many attempts at a request."""
        return self.connected_with(max_attempts).client

    def connected_with(self, max_attempts: int) -> Connected:
        """Return the client of this process that makes so many attempts, and what it uses.

        With one attempt, its user sees each answer, and so that a store is throttling. A child that
        was forked must not share its parent's sockets, so that it gets a client of its own.
        """
        with self._lock:
            kind = (os.getpid(), max_attempts)
            connected = self._clients.get(kind)
            if connected is None:
                connected = self._clients[kind] = self._connect(max_attempts)
            return connected

    def renewed(self, stale: Connected, max_attempts: int) -> Connected:
        """Return a client that has read its credentials anew, in place of `stale`.

        Many threads meet the end of a token at once: the first one makes the client for all.
        """
        kind = (os.getpid(), max_attempts)
        with self._lock:
            if self._clients.get(kind) is stale:
                del self._clients[kind]
                self._sessions = None
        return self.connected_with(max_attempts)

    def pause(self, attempt: int) -> None:
        """Wait before attempt 1, 2, ...: a random time, up to twice as long each time."""
        longest = min(self.options.backoff_seconds * 2 ** (attempt - 1), _MAX_PAUSE_SECONDS)
        time.sleep(random.uniform(0.0, longest))

    def head(self, key: str) -> "HeadObjectOutputTypeDef | None":
        """Return what the store says of an object, None if it is not there."""
        try:
            return self.client.head_object(Bucket=self.name, Key=key)
        except ClientError as err:
            if error_status(err) == NOT_FOUND:
                return None
            raise as_ours(err, where=self.url_of(key)) from err
        except BotoCoreError as err:
            raise as_ours(err, where=self.url_of(key)) from err

    def _connect(self, max_attempts: int) -> Connected:
        _keep_secrets_out_of_logs()
        options = self.options
        config = Config(
            connect_timeout=options.connect_timeout_seconds,
            read_timeout=options.read_timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": max_attempts},
            tcp_keepalive=True,
            max_pool_connections=_MAX_CONNECTIONS,
            # Many S3-compatible stores refuse the checksums that boto3 sends and asks for by
            # default. Uploads carry a Content-MD5 instead, and what is read is checked against the
            # manifest.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": options.addressing_style},
            signature_version=UNSIGNED if options.anonymous else None,
        )
        try:
            # A session keeps what it read for its first client, which takes most of the time.
            if self._sessions is None:
                core = botocore.session.Session(profile=options.profile)
                self._sessions = core, boto3.Session(botocore_session=core)
            core, session = self._sessions
            client = session.client("s3", endpoint_url=options.endpoint_url, config=config)
            credentials = None if options.anonymous else core.get_credentials()
        except BotoCoreError as err:
            raise as_ours(err, where=self.url) from err
        except ValueError as err:  # botocore's way to refuse an endpoint
            raise ConfigError(
                f"{self.url}: {err}; an endpoint looks like https://host:port, see AWS_ENDPOINT_URL"
            ) from err
        OVERHEARD.listen_to(client)
        return Connected(
            client=client,
            credentials=credentials,
            # The second is not ours to read, but all requests must trust the same servers.
            ca_file=core.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE"),
        )


def _keep_secrets_out_of_logs() -> None:
    """Hold botocore's loggers above DEBUG, where they tell session tokens and what is signed.

    So a program that logs everything at DEBUG, from the beginning or later, doesn't tell them, and
    one that logs only warnings hears no more than before; one that sets the level of a logger of
    botocore's has asked for it by name, and gets it.
    """
    botocore_logger = logging.getLogger("botocore")
    if botocore_logger.level == logging.NOTSET:
        botocore_logger.setLevel(max(logging.INFO, botocore_logger.getEffectiveLevel()))
