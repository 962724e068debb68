import multiprocessing
import pickle
import zipfile
from pathlib import Path

import pytest

from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.fetcher import Fetcher, SourceAudio
from jobs.fetching.http_session import HttpOptions
from jobs.fetching.open_fetcher import FetchOptions, open_fetcher
from shardwriter.errors import ConfigError
from tests.jobs.fetching.site import Page, Site

OPTIONS = FetchOptions(http=HttpOptions(allow_private_hosts=True))


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("youtube", "youtube"),
        ("s3://a-bucket/set", "s3"),
        ("https://example.org/set", "http"),
    ],
)
def test_what_the_user_gives_chooses_the_fetcher(source: str, kind: str) -> None:
    fetcher = open_fetcher(source)
    assert fetcher.kind == kind
    assert pickle.loads(pickle.dumps(fetcher)).kind == kind


def test_folders_and_archives_are_known_by_what_lies_there(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    (tmp_path / "a.tar").write_bytes(bytes(1024))
    kinds = [open_fetcher(str(tmp_path / name)).kind for name in ("", "a.zip", "a.tar")]
    assert kinds == ["folder", "zip", "tar"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ftp://example.org/set", "ftp://... is not known"),
        ("/no/such/folder", "there is no folder or archive /no/such/folder; give youtube"),
        ("s3://", "is not the name of a bucket"),
        ("http://localhost:notaport/", "not a URL"),
        ("https://me:hunter2@example.org/set", "came with a login"),
    ],
)
def test_what_is_no_source_is_refused_with_the_way_out(source: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_fetcher(source)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def _fetch(fetcher: Fetcher, clip: ClipRef) -> bytes:
    with fetcher.open() as opened:
        got = opened.fetch(clip)
    assert isinstance(got, SourceAudio)
    return got.data


def test_a_fetcher_works_in_a_process_of_its_own(site: Site) -> None:
    site.put("/set/a.wav", Page(body=b"here"))
    clip = ClipRef(id="made/a", file="a.wav", split="train", labels=("noise",))
    fetcher = open_fetcher(f"{site.url}/set", OPTIONS)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_fetch, (fetcher, clip)) == b"here"


def test_a_fetcher_can_be_opened_again(site: Site) -> None:
    site.put("/set/a.wav", Page(body=b"here"))
    clip = ClipRef(id="made/a", file="a.wav", split="train", labels=("noise",))
    fetcher = open_fetcher(f"{site.url}/set", OPTIONS)
    assert _fetch(fetcher, clip) == _fetch(fetcher, clip) == b"here"
    with pytest.raises(RuntimeError, match="outside `open`"):
        fetcher.fetch(clip)
