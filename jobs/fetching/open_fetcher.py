"""From what the user gave as `--source` to the fetcher that gets it."""

from dataclasses import dataclass, field
from pathlib import Path

from jobs.fetching.fetcher import Fetcher
from jobs.fetching.http_fetcher import HttpFetcher
from jobs.fetching.http_session import HttpOptions
from jobs.fetching.own_files import OwnFilesFetcher
from jobs.fetching.s3 import S3Fetcher
from jobs.fetching.youtube import YoutubeFetcher
from jobs.fetching.youtube_options import YoutubeOptions
from shardwriter.errors import ConfigError
from shardwriter.storage import S3Options

YOUTUBE = "youtube"
_TAR_SUFFIXES = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How each kind of source is reached."""

    youtube: YoutubeOptions = field(default_factory=YoutubeOptions)
    http: HttpOptions = field(default_factory=HttpOptions)
    s3: S3Options | None = None


def open_fetcher(source: str, options: FetchOptions | None = None) -> Fetcher:
    """Return the fetcher of a source; cheap, can be pickled, and holds nothing open.

    Args:
        source: `youtube`, a folder, an archive, `s3://bucket/prefix`, or `http(s)://host/folder`.
        options: How it is reached.

    Raises:
        ConfigError: nothing is there, or nothing that is known.
    """
    options = options or FetchOptions()
    if source == YOUTUBE:
        return YoutubeFetcher(options.youtube)
    scheme, separator, _ = source.partition("://")
    if separator:
        if scheme == "s3":
            return S3Fetcher(source, options.s3)
        if scheme in ("http", "https"):
            return HttpFetcher(source, options.http)
        raise ConfigError(
            f"--source {scheme}://... is not known; give {YOUTUBE}, a folder, an archive, "
            "s3://bucket/prefix or https://host/folder"
        )
    path = Path(source)
    if path.is_dir():
        return OwnFilesFetcher(source, kind="folder")
    if path.is_file():
        is_tar = path.name.lower().endswith(_TAR_SUFFIXES)
        return OwnFilesFetcher(source, kind="tar" if is_tar else "zip")
    raise ConfigError(
        f"there is no folder or archive {source}; give {YOUTUBE}, a folder, an archive, "
        "s3://bucket/prefix or https://host/folder"
    )
