"""Connections that break and stores that refuse: the right bytes, or an error; never fewer."""

import hashlib
import logging
import traceback

import numpy as np
import pytest

from shardwriter.errors import MelstreamError, StorageError, TransientStorageError
from shardwriter.s3 import S3Store
from tests.s3.builders import through
from tests.s3.fault_proxy import Fault, FaultProxy, Request
from tests.s3.weed import OPEN_BUCKET, SECRET_KEY

NUM_BYTES = 1_500_000
DATA = np.random.default_rng(0).bytes(NUM_BYTES)


@pytest.fixture
def far(proxy: FaultProxy, prefix: str) -> S3Store:
    """A store behind the proxy that holds DATA at `a`, and no longer asks boto3 for it."""
    store = through(proxy, prefix, read_timeout_seconds=0.5)
    store.put("a", DATA)
    store.read_range("a", 0, 1)
    assert store._getter._direct is not None
    proxy.script()
    return store


def gets(proxy: FaultProxy) -> int:
    return sum(request.startswith("GET") for request in proxy.requests)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="reset", method="GET", num_bytes=0),
        Fault(kind="reset", method="GET", num_bytes=1, times=2),
        Fault(kind="reset", method="GET", num_bytes=700_001),
        Fault(kind="cut", method="GET", num_bytes=1_000_000),
        Fault(kind="cut", method="GET", num_bytes=NUM_BYTES - 2001),
        Fault(kind="shorten", method="GET", num_bytes=99_999),
        Fault(kind="shorten", method="GET", num_bytes=0, times=2),
        Fault(kind="lose", method="GET", times=2),
        Fault(kind="refuse", method="GET", times=2),
        Fault(kind="delay", method="GET", seconds=0.8),
        Fault(kind="answer", method="GET", status=500, code="InternalError", times=2),
        Fault(kind="answer", method="GET", status=503, code="SlowDown", times=2),
        Fault(kind="answer", method="GET", status=429, code="TooManyRequests", times=2),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.num_bytes or fault.status}-x{fault.times}",
)
def test_a_read_survives_what_passes(far: S3Store, proxy: FaultProxy, fault: Fault) -> None:
    proxy.script(fault)
    assert far.read_range("a", 1000, NUM_BYTES - 2000) == DATA[1000:-1000]
    assert proxy.num_left == 0
    assert gets(proxy) == fault.times + 1


@pytest.mark.parametrize("kind", ["reset", "cut", "shorten"])
def test_a_read_of_a_whole_object_survives_what_passes(
    far: S3Store, proxy: FaultProxy, kind: str
) -> None:
    proxy.script(Fault(kind=kind, method="GET", num_bytes=800_000))  # type: ignore[arg-type]
    assert far.read("a") == DATA
    assert (proxy.num_left, gets(proxy)) == (0, 2)


def test_a_read_goes_on_near_the_byte_where_the_connection_was_lost(
    far: S3Store, proxy: FaultProxy
) -> None:
    ranges: list[int] = []

    def note(request: Request) -> None:
        head = request.head.decode().lower()
        ranges.append(int(head.partition("range: bytes=")[2].partition("-")[0]))

    proxy.script(*[Fault(kind="cut", method="GET", num_bytes=500_000)] * 2)
    proxy.on_request = note
    assert far.read_range("a", 0, NUM_BYTES) == DATA
    assert len(ranges) == 3
    for position, lost_at in zip(ranges[1:], (500_000, 1_000_000), strict=True):
        assert lost_at - 2 * 65_536 <= position <= lost_at


def test_many_cuts_with_progress_between_them_are_no_failure(
    far: S3Store, proxy: FaultProxy
) -> None:
    proxy.script(Fault(kind="cut", method="GET", num_bytes=400_000, times=4))
    assert far.read_range("a", 0, NUM_BYTES) == DATA
    assert proxy.num_left == 0


@pytest.mark.parametrize("kind", ["reset", "cut", "shorten"])
def test_a_read_that_never_gets_on_is_an_error_with_all_figures(
    far: S3Store, proxy: FaultProxy, kind: str
) -> None:
    proxy.script(Fault(kind=kind, method="GET", num_bytes=10, times=50))  # type: ignore[arg-type]
    with pytest.raises(
        TransientStorageError,
        match=r"s3://clips/\S+/a: expected 300000 bytes from byte 5000, got \d+ in 3 attempts",
    ):
        far.read_range("a", 5000, 300_000)
    assert gets(proxy) == 3


@pytest.mark.parametrize("status", [500, 503])
def test_a_store_that_stays_away_is_an_error_after_bounded_attempts(
    far: S3Store, proxy: FaultProxy, status: int
) -> None:
    proxy.script(Fault(kind="answer", status=status, code="SlowDown", times=50))
    for use in (far.read, lambda name: far.put("b", b"x"), lambda _: list(far.names(""))):
        proxy.requests.clear()
        with pytest.raises(TransientStorageError, match=f"the store answered SlowDown, {status}"):
            use("a")
        assert len(proxy.requests) == 3


def test_denied_is_said_at_once(far: S3Store, proxy: FaultProxy) -> None:
    for use in (far.read, far.size, lambda name: far.put("b", b"x")):
        proxy.script(Fault(kind="answer", status=403, code="AccessDenied", times=9))
        with pytest.raises(StorageError, match=r"denied .*check the credentials") as caught:
            use("a")
        assert not isinstance(caught.value, TransientStorageError)
        assert len(proxy.requests) == 1


def test_an_object_that_is_replaced_during_a_read_is_not_mixed(
    far: S3Store, proxy: FaultProxy, prefix: str
) -> None:
    near = through(proxy, prefix)  # waits long enough for the replacement

    def replace_once(request: Request) -> None:
        if request.method == "GET" and gets(proxy) == 2:
            near.put("a", DATA[::-1], replace=True)

    proxy.script(Fault(kind="cut", method="GET", num_bytes=500_000))
    proxy.on_request = replace_once
    with pytest.raises(TransientStorageError, match="was replaced while it was read"):
        near.read_range("a", 0, NUM_BYTES)


def test_a_store_that_ignores_ranges_is_found_out(proxy: FaultProxy, prefix: str) -> None:
    store = through(proxy, prefix, bucket=OPEN_BUCKET, anonymous=True)  # ranges would be signed
    store.put("a", DATA)
    for _ in ("boto3", "direct"):
        proxy.script(Fault(kind="drop", method="GET", code="Range"))
        with pytest.raises(StorageError, match="can't serve ranges"):
            store.read_range("a", 5, 10)
        assert store.read_range("a", 5, 10) == DATA[5:15]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="lose", method="PUT"),
        Fault(kind="lose", method="PUT", times=2),
        Fault(kind="refuse", method="PUT", times=2),
        Fault(kind="delay", method="PUT", seconds=0.8),
        Fault(kind="answer", method="PUT", status=503, times=2),
        Fault(kind="answer", method="PUT", status=409, code="ConditionalRequestConflict", times=2),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-x{fault.times}",
)
def test_a_put_survives_what_passes(far: S3Store, proxy: FaultProxy, fault: Fault) -> None:
    proxy.script(fault)
    far.put("train/b", DATA)
    assert proxy.num_left == 0
    assert far.read("train/b") == DATA


def test_a_body_that_changes_on_its_way_is_not_stored(far: S3Store, proxy: FaultProxy) -> None:
    proxy.script(Fault(kind="spoil", method="PUT", times=50))
    with pytest.raises(StorageError, match="train/b"):
        far.put("train/b", DATA)
    assert not far.exists("train/b")


def test_no_secret_is_seen_in_messages_or_logs(
    far: S3Store, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []
    with caplog.at_level(logging.DEBUG):
        for status, code in [(403, "SignatureDoesNotMatch"), (503, "SlowDown"), (400, "Odd")]:
            for use in (far.read, far.size, lambda name: far.put("b", b"x"), far.exists):
                proxy.script(Fault(kind="answer", status=status, code=code, times=9))
                with pytest.raises(MelstreamError) as caught:
                    use("a")
                seen.append("".join(traceback.format_exception(caught.value)))
        proxy.script()
        with far.lock_for_writing():
            far.put("b", b"x")
    seen += [record.getMessage() for record in caplog.records]
    seen.append(repr(far.options))
    assert len(seen) > 12
    assert not [text for text in seen if SECRET_KEY in text]
    assert not [text for text in seen if hashlib.sha256(SECRET_KEY.encode()).hexdigest() in text]
