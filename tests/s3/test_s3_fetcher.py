"""Clips that lie on a real S3 server."""

import dataclasses

from jobs.availability.outcome import Code, Group, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.fetcher import SourceAudio
from jobs.fetching.s3 import S3Fetcher
from shardwriter.s3 import S3Store
from tests.s3.builders import FAST
from tests.s3.fault_proxy import Fault, FaultProxy
from tests.s3.weed import BUCKET

BODY = bytes(range(256)) * 4000


def clip(file: str | None) -> ClipRef:
    return ClipRef(id="made/a", file=file, split="train", labels=("noise",))


def fetch(url: str, file: str) -> SourceAudio | Outcome:
    with S3Fetcher(url, FAST).open() as fetcher:
        return fetcher.fetch(clip(file))


def test_an_object_comes_whole_and_one_that_is_not_there_is_missing(
    near: S3Store, url: str
) -> None:
    near.put("audio/a.wav", BODY)
    got = fetch(url, "audio/a.wav")
    assert isinstance(got, SourceAudio)
    assert got.data == BODY
    missing = fetch(url, "audio/none.wav")
    assert isinstance(missing, Outcome)
    assert missing.code is Code.MEMBER_MISSING


def test_a_broken_transfer_goes_on_and_an_endless_failure_passes(
    near: S3Store, prefix: str, proxy: FaultProxy
) -> None:
    near.put("a.wav", BODY)
    options = dataclasses.replace(FAST, endpoint_url=proxy.url)
    with S3Fetcher(f"s3://{BUCKET}/{prefix}", options).open() as fetcher:
        proxy.script(Fault(kind="reset", method="GET", num_bytes=300_000))
        got = fetcher.fetch(clip("a.wav"))
        assert isinstance(got, SourceAudio)
        assert got.data == BODY
        proxy.script(Fault(kind="refuse", times=50))
        lost = fetcher.fetch(clip("a.wav"))
        assert isinstance(lost, Outcome)
        assert lost.group is Group.TRANSIENT


def test_a_bucket_that_is_not_there_is_ours_to_mend(near: S3Store) -> None:
    got = fetch("s3://no-such-bucket-here/x", "a.wav")
    assert isinstance(got, Outcome)
    assert got.group is Group.OURS
