"""The flags that say how S3 is reached, the same for every command that takes a URL."""

import argparse
import dataclasses

from shardwriter.errors import ConfigError
from shardwriter.s3_options import S3Options


def add_store_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags; what they leave open boto3 finds in the environment and in `~/.aws`."""
    group = parser.add_argument_group(
        "S3",
        "For s3://bucket/prefix URLs. Credentials and what is not said here come from where "
        "boto3 finds them: AWS_ACCESS_KEY_ID ..., AWS_ENDPOINT_URL, AWS_PROFILE, ~/.aws.",
    )
    group.add_argument("--endpoint-url", metavar="URL", help="of an S3-compatible store")
    group.add_argument("--profile", metavar="NAME", help="a profile of ~/.aws/config")
    group.add_argument(
        "--anonymous", action="store_true", help="sign no request: for public buckets"
    )
    group.add_argument(
        "--addressing-style",
        choices=("auto", "path", "virtual"),
        default="auto",
        help="bucket in the path or in the host name (default: auto)",
    )


def store_options(arguments: argparse.Namespace) -> S3Options:
    """Return what the flags say."""
    try:
        return S3Options(
            endpoint_url=arguments.endpoint_url,
            profile=arguments.profile,
            anonymous=arguments.anonymous,
            addressing_style=arguments.addressing_style,
        )
    except ValueError as err:
        raise ConfigError(str(err)) from err


def target_options(arguments: argparse.Namespace) -> S3Options:
    """Return how the second store of a copy is reached: as the first, but for its own flags.

    A target of its own is written to with credentials, however public the first one is.
    """
    options = store_options(arguments)
    if arguments.target_endpoint_url is None and arguments.target_profile is None:
        return options
    return dataclasses.replace(
        options,
        endpoint_url=arguments.target_endpoint_url or options.endpoint_url,
        profile=arguments.target_profile or options.profile,
        anonymous=False,
    )
