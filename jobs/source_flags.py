"""The flags of `melstream ingest` that say where clips come from, and how that is asked."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.arguments import positive
from jobs.catalogues.description import Dataset
from jobs.store_flags import store_options
from shardwriter.errors import ConfigError

if TYPE_CHECKING:
    from jobs.fetching.open_fetcher import FetchOptions
    from jobs.fetching.rate_limit import Politeness
    from jobs.sources import Source
    from shardwriter.storage import S3Options

YOUTUBE = "youtube"
_WEB = ("http://", "https://")


def add_source_flags(parser: argparse.ArgumentParser, dataset: Dataset) -> None:
    """Add them to the parser of a dataset; those of YouTube where its clips come from there."""
    videos = "youtube, " if dataset.has_videos else ""
    parser.add_argument(
        "--source",
        required=True,
        metavar="PLACE",
        help=f"where the clips come from: {videos}a folder, an archive, a folder of archives, "
        "s3://BUCKET/PREFIX, or http(s)://HOST/FOLDER with --names",
    )
    parser.add_argument(
        "--check-archives",
        action="store_true",
        help="hash the archives in the source folder first, and stop if one is not as published",
    )
    parser.add_argument(
        "--unpack",
        type=Path,
        metavar="DIR",
        help="unpack the source's .tar.gz archives to plain .tar files there first, once",
    )
    group = parser.add_argument_group("source on the web or on S3")
    group.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="names of the files below an http(s) source, one a line: a server doesn't list them",
    )
    group.add_argument(
        "--allow-private-hosts",
        action="store_true",
        help="fetch from hosts with addresses that are not public, too",
    )
    group.add_argument(
        "--connections",
        type=positive,
        default=2,
        metavar="N",
        help="ask an http(s) source for at most so many files at one time, whatever the number of "
        "workers (default: %(default)s, as Zenodo for one refuses more)",
    )
    group.add_argument("--source-endpoint-url", metavar="URL", help="if it isn't that of OUT")
    group.add_argument("--source-profile", metavar="NAME", help="if it isn't that of OUT")
    group.add_argument(
        "--source-anonymous", action="store_true", help="sign no request to the source"
    )
    parser.set_defaults(cookies=None, proxy=None, youtube_mode="prefix", extractor_args=[])
    parser.set_defaults(videos_per_hour=None, pause=None)
    if dataset.has_videos:
        _add_youtube_flags(parser)


def _add_youtube_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "YouTube", "A guest may ask for 300 videos an hour: see --dry-run first."
    )
    group.add_argument(
        "--youtube-mode",
        choices=("prefix", "range", "whole"),
        help="fetch a video's audio up to the end of the clip, only its index and what is around "
        "the clip (fewest bytes, more requests), or all of it (default: prefix)",
    )
    group.add_argument(
        "--cookies",
        type=Path,
        metavar="FILE",
        help="of an account, in Netscape's format (cookies.txt); only read. YouTube bans accounts "
        "that download much",
    )
    group.add_argument("--proxy", metavar="URL", help="ask through this proxy")
    group.add_argument(
        "--extractor-args",
        action="append",
        type=_extractor_arguments,
        metavar="SITE:NAME=VALUE[,VALUE][;NAME=...]",
        help="as yt-dlp takes them, e.g. youtube:po_token=web.gvs+TOKEN; repeatable",
    )
    group.add_argument(
        "--videos-per-hour",
        type=positive,
        metavar="N",
        help="begin at most so many in this job (default: 300, with cookies 2000; with --part K/N "
        "an N-th of that, as the parts may share an address)",
    )
    group.add_argument(
        "--pause",
        type=_pause,
        metavar="MIN-MAX",
        help="seconds from one video's start to the next one's, at least (default: 5-10)",
    )


def fetch_options(arguments: argparse.Namespace) -> "FetchOptions":
    """Return how sources are reached."""
    from jobs.fetching.http_session import HttpOptions
    from jobs.fetching.open_fetcher import FetchOptions
    from jobs.fetching.youtube_options import YoutubeOptions

    return FetchOptions(
        youtube=YoutubeOptions(
            mode=arguments.youtube_mode or "prefix",
            cookies_file=arguments.cookies,
            proxy=arguments.proxy,
            extractor_args=dict(arguments.extractor_args),
            allow_private_hosts=arguments.allow_private_hosts,
        ),
        http=HttpOptions(
            allow_private_hosts=arguments.allow_private_hosts,
            connections_per_host=arguments.connections,
        ),
        s3=_source_s3(arguments),
    )


def politeness(arguments: argparse.Namespace) -> "Politeness | None":
    """Return how often YouTube is asked, None for what it allows.

    Raises:
        ConfigError: the two flags contradict each other.
    """
    from jobs.fetching.rate_limit import YOUTUBE_ACCOUNT, YOUTUBE_GUEST, Politeness

    if arguments.videos_per_hour is None and arguments.pause is None:
        return None
    usual = YOUTUBE_GUEST if arguments.cookies is None else YOUTUBE_ACCOUNT
    rate = arguments.videos_per_hour or usual.starts_per_hour
    low, high = arguments.pause or (
        min(usual.min_gap_seconds, 3600 / rate),
        min(usual.max_gap_seconds, 3600 / rate),
    )
    return Politeness(starts_per_hour=rate, min_gap_seconds=low, max_gap_seconds=high)


def open_listing(
    arguments: argparse.Namespace, dataset: Dataset, options: "FetchOptions"
) -> "Source | None":
    """Return the source that the catalogue is read from, None for YouTube.

    Raises:
        ConfigError: nothing is there, or the dataset does not come from there.
    """
    from jobs.fetching.web_source import WebSource
    from jobs.sources import open_source

    if arguments.source == YOUTUBE:
        if not dataset.has_videos:
            raise ConfigError(f"{dataset.title} does not come from YouTube: {dataset.how_to_get}")
        return None
    if arguments.source.startswith(_WEB):
        if arguments.names is None:
            raise ConfigError(
                "a server doesn't list its files: give their names, relative to the --source and "
                "one a line, as --names FILE"
            )
        return WebSource(arguments.source, arguments.names, options.http)
    return open_source(arguments.source, s3=options.s3, unpack_into=arguments.unpack)


def _source_s3(arguments: argparse.Namespace) -> "S3Options":
    """Return how a source on S3 is reached: as the target, but for its own flags."""
    import dataclasses

    options = store_options(arguments)
    has_its_own = (
        arguments.source_endpoint_url or arguments.source_profile or arguments.source_anonymous
    )
    if not has_its_own:
        return options
    return dataclasses.replace(
        options,
        endpoint_url=arguments.source_endpoint_url or options.endpoint_url,
        profile=arguments.source_profile or options.profile,
        anonymous=arguments.source_anonymous,
    )


def _pause(text: str) -> tuple[float, float]:
    low, dash, high = text.partition("-")
    try:
        pair = float(low), float(high if dash else low)
    except ValueError:
        pair = (-1.0, -1.0)
    if not 0 <= pair[0] <= pair[1] < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds such as 5-10, got {text!r}")
    return pair


def _extractor_arguments(text: str) -> tuple[str, dict[str, list[str]]]:
    site, colon, rest = text.partition(":")
    arguments = {}
    for one in rest.split(";"):
        name, equals, values = one.partition("=")
        if not (site and colon and name and equals and values):
            raise argparse.ArgumentTypeError(f"expected SITE:NAME=VALUE, got {text!r}")
        arguments[name.strip()] = values.split(",")
    return site.lower(), arguments
