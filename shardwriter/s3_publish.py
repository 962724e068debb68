"""Objects into S3: published whole, and never in place of other content.

A put carries `If-None-Match: *`, so that the store itself refuses to replace. It answers 412 where
the name is taken: by the same content (a writer that goes on after a crash, or a request that was
sent again because its answer was lost) that is success. 409 says that two writers race: the put is
tried again, an upload in parts from its start.

A store that ignores or refuses the header is found out by a probe. There the name is looked up
before the put; two writers at the same moment could then replace each other's object, which the
manifest's provenance says.
"""

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from shardwriter.errors import OtherContentError, TransientStorageError
from shardwriter.object_names import TEMPORARY_PREFIX
from shardwriter.s3_bucket import S3Bucket
from shardwriter.s3_errors import (
    PRECONDITION_FAILED,
    as_ours,
    error_code,
    error_status,
    reporting,
)
from shardwriter.s3_get import S3Getter
from shardwriter.s3_put import Content, put_bytes, put_parts, stated_sha256
from shardwriter.s3_read import object_sha256

logger = logging.getLogger(__name__)

_IN_THE_WAY = frozenset({"ConditionalRequestConflict", "NoSuchUpload", "PreconditionFailed"})
"""Another put was there first, perhaps an earlier attempt of the same one: the parts of an upload
are gone when the answer to its completion was lost."""
_HEADER_REFUSED = frozenset(
    {"304", "501", "InvalidArgument", "InvalidRequest", "MethodNotAllowed", "NotImplemented"}
)
"""How stores that can't put conditionally say so, where they don't just put."""


class Publisher:
    """Puts objects below one prefix of a bucket."""

    def __init__(self, bucket: S3Bucket, getter: S3Getter) -> None:
        self._bucket = bucket
        self._getter = getter
        self._lock = threading.Lock()
        self._is_conditional: bool | None = None

    @property
    def is_conditional(self) -> bool:
        """Whether the store heeds `If-None-Match`; asked of it once."""
        with self._lock:
            if self._is_conditional is None:
                self._is_conditional = self._probe()
            return self._is_conditional

    def replace(self, key: str, data: bytes) -> None:
        """Put bytes, whatever is there."""
        with reporting(self._bucket.url_of(key)):
            put_bytes(self._bucket, Content.of_bytes(key, data), data, only_if_absent=False)

    def publish_bytes(self, key: str, data: bytes) -> None:
        """Put bytes; other content in the way is a `StorageError`."""
        bucket, content = self._bucket, Content.of_bytes(key, data)
        self._publish(
            content, lambda absent: put_bytes(bucket, content, data, only_if_absent=absent)
        )

    def publish_file(self, key: str, path: Path) -> None:
        """Put a file, in parts if it is large; other content in the way is a `StorageError`."""
        bucket = self._bucket
        if path.stat().st_size <= bucket.options.multipart_threshold_bytes:
            self.publish_bytes(key, path.read_bytes())
            return
        content = Content.of_file(key, path)
        self._publish(
            content, lambda absent: put_parts(bucket, content, path, only_if_absent=absent)
        )

    def _publish(self, content: Content, send: Callable[[bool], None]) -> None:
        """Send until it is there; `send` is told whether to make the put conditional."""
        where = self._bucket.url_of(content.key)
        is_conditional = self.is_conditional
        for attempt in range(self._bucket.options.max_attempts):
            if attempt:
                self._bucket.pause(attempt)
            if not is_conditional and self._is_published(content):
                return
            with reporting(where):
                if self._is_sent(content, send, is_conditional=is_conditional):
                    return
            if self._is_published(content):
                return
        raise TransientStorageError(
            f"{where}: other writers kept it busy over {self._bucket.options.max_attempts} "
            "attempts; stop them, or run again to go on"
        )

    def _is_sent(
        self, content: Content, send: Callable[[bool], None], *, is_conditional: bool
    ) -> bool:
        try:
            send(is_conditional)
        except ClientError as err:
            code = error_code(err)
            if code not in _IN_THE_WAY and error_status(err) != PRECONDITION_FAILED:
                raise
            logger.debug("put refused key=%s code=%s", content.key, code)
            return False
        logger.debug("put key=%s num_bytes=%d", content.key, content.num_bytes)
        return True

    def _is_published(self, content: Content) -> bool:
        """Tell whether the name is taken; taken by other content is an error."""
        held = self._bucket.head(content.key)
        if held is None:
            return False
        stated = stated_sha256(held)
        if held["ContentLength"] != content.num_bytes or content.sha256 != (
            stated or object_sha256(self._getter, content.key)
        ):
            raise OtherContentError(
                f"{self._bucket.url_of(content.key)} is there already with other content "
                f"({held['ContentLength']} bytes; expected {content.num_bytes} with SHA-256 "
                f"{content.sha256}); another writer is at work, or other settings were used: "
                "remove it or choose another target"
            )
        return True

    def _probe(self) -> bool:
        """Put the same name twice under the condition; the second must be refused with 412."""
        key = f"{self._bucket.key_prefix}{TEMPORARY_PREFIX}probe-{secrets.token_hex(8)}"
        content = Content.of_bytes(key, b"")
        answer = "put it twice"
        with contextlib.ExitStack() as undo, reporting(self._bucket.url):
            try:
                put_bytes(self._bucket, content, b"", only_if_absent=True)
                undo.callback(self._remove_probe, key)
                put_bytes(self._bucket, content, b"", only_if_absent=True)
            except ClientError as err:
                if error_status(err) == PRECONDITION_FAILED:
                    return True
                if error_code(err) not in _HEADER_REFUSED:
                    raise
                answer = f"answered {error_code(err)}"
        logger.warning(
            "no conditional puts url=%s: asked to put only what is absent, the store %s; names "
            "are looked up before each put instead, so let one writer at a time write there",
            self._bucket.url,
            answer,
        )
        return False

    def _remove_probe(self, key: str) -> None:
        try:
            self._bucket.client.delete_object(Bucket=self._bucket.name, Key=key)
        except (ClientError, BotoCoreError) as err:
            problem = as_ours(err, where=self._bucket.url_of(key))
            logger.warning("an empty probe object stays, readers skip it: %s", problem)
