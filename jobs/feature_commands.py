"""`melstream cache-features`: its arguments."""

import argparse

from jobs.arguments import Commands, not_negative
from jobs.store_flags import add_store_flags, store_options, target_options

# Jobs are imported when they run: torch alone takes seconds, and `--help` should not wait for it.


def add_cache_features(commands: Commands) -> None:
    """Add `melstream cache-features`."""
    parser = commands.add_parser(
        "cache-features",
        help="compute log-mels once, as shards of their own, for many epochs",
        description="Write a dataset of the log-mels of every clip, whole and without "
        "augmentation, as float16 in .npy members: same splits, shards, keys, labels and groups. "
        "The loader and `melstream train` read it in place of the audio. Killed and run again, it "
        "goes on where it stopped, to the same bytes. Under torchrun, or with RANK, WORLD_SIZE "
        "and LOCAL_RANK set, the shards are shared out; the processes need not reach each other.",
    )
    parser.add_argument("url", metavar="URL", help="the dataset of audio")
    parser.add_argument("--out", required=True, metavar="URL", help="folder or s3:// URL to write")
    parser.add_argument("--preset", default="small", help="front end (default: %(default)s)")
    parser.add_argument(
        "--splits", type=_names, metavar="NAME,...", help="which of them (default: all)"
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto",
        help="where log-mels are computed (default: a GPU if there is one); the same kind of "
        "processor gives the same bytes",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=not_negative, metavar="N",
        help="processes of each rank (default: the machine's cores, shared out among its ranks; "
        "with a GPU at most 8)",
    )  # fmt: skip
    add_store_flags(parser)
    parser.add_argument("--target-endpoint-url", metavar="URL", help="--out's, if it isn't URL's")
    parser.add_argument("--target-profile", metavar="NAME", help="--out's, if it isn't URL's")
    parser.set_defaults(run=_cache_features)


def _cache_features(arguments: argparse.Namespace) -> int:
    from jobs.feature_cache import FeatureCacheOptions, run_feature_cache

    return run_feature_cache(
        FeatureCacheOptions(
            url=arguments.url,
            out=arguments.out,
            preset=arguments.preset,
            splits=arguments.splits,
            num_workers=arguments.workers,
            device=arguments.device,
            s3=store_options(arguments),
            out_s3=target_options(arguments),
        )
    )


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise argparse.ArgumentTypeError(f"expected names such as train,test, got {text!r}")
    return names
