"""`melstream ingest DATASET`: its arguments, made of what each dataset offers."""

import argparse
from collections.abc import Mapping

from jobs.arguments import Commands, loudness, positive, silence
from jobs.catalogues.description import Dataset
from jobs.catalogues.registry import DATASETS, find_dataset
from jobs.catalogues.split_file import SPLITS
from jobs.console import say
from jobs.running_flags import add_running_flags, running_options
from jobs.source_flags import YOUTUBE, add_source_flags, fetch_options, open_listing, politeness
from jobs.store_flags import add_store_flags, store_options

# Jobs are imported when they run: torch alone takes seconds, and `--help` should not wait for it.

_DESCRIPTION = (
    "Turn a dataset as published into tar shards with JSON labels, an index and a manifest. Run it "
    "again after an interruption: it goes on where it stopped. Clips that are absent or damaged "
    "are listed in OUT/availability/rejections.jsonl."
)


def add_ingest(commands: Commands) -> None:
    """Add `melstream ingest`, with a command for each dataset that is known."""
    parser = commands.add_parser(
        "ingest",
        help="turn a dataset as published into shards",
        description=_DESCRIPTION,
        epilog="`melstream datasets DATASET` says what to download, and what it must look like.",
    )
    datasets = parser.add_subparsers(dest="dataset", required=True, metavar="DATASET")
    for dataset in DATASETS:
        _add_dataset(datasets, dataset)


def _add_dataset(datasets: Commands, dataset: Dataset) -> None:
    parser = datasets.add_parser(
        dataset.name,
        help=_literal(f"{dataset.title}: {dataset.summary}"),
        description=_DESCRIPTION,
        epilog=_literal("The source as published:\n" + dataset.layout),
        formatter_class=_KeepEpilog,
        allow_abbrev=False,  # `--split` and `--splits` may stand side by side
    )
    add_source_flags(parser, dataset)
    parser.add_argument("--out", required=True, metavar="URL", help="where the dataset goes")
    for option in (*dataset.options, SPLITS):
        parser.add_argument(
            f"--{option.name}",
            dest=_place(option.name),
            choices=option.choices or None,
            default=option.default,
            metavar=None if option.choices else option.metavar or option.name.upper(),
            help=_literal(option.help)
            + (f" (default: {_literal(option.default)})" if option.default else ""),
        )
    parser.add_argument("--sample-rate", type=positive, default=32_000, metavar="HZ")
    _add_audio_choices(parser)
    add_running_flags(parser)
    add_store_flags(parser)
    parser.set_defaults(run=_ingest)


class _KeepEpilog(argparse.HelpFormatter):
    """Wraps everything but the epilog, whose lines are paths."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" not in text:
            return super()._fill_text(text, width, indent)
        title, *lines = text.splitlines()
        return "\n".join([title, *(f"  {line}" for line in lines)])


def _add_audio_choices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--codec",
        choices=("flac", "wav", "opus", "source"),
        default="flac",
        help="how clips are stored, all 16 bit mono; source: the encoded files, untouched "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--normalize",
        type=loudness,
        metavar="none|peak|rms|lufs[:TARGET]",
        help="bring every clip to a loudness; TARGET is in dBFS, for lufs in LUFS "
        "(peak:-1, rms:-20, lufs:-23; default: none)",
    )
    parser.add_argument(
        "--trim-silence",
        type=silence,
        metavar="DBFS",
        help="leave out what is below this at both ends of a clip, but for 0.1 s, e.g. -60",
    )
    parser.add_argument(
        "--groups",
        choices=("ignore", "report", "refuse"),
        default="report",
        help="what to do with a group (a speaker, a recording) that lies in two splits "
        "(default: %(default)s)",
    )


def _ingest(arguments: argparse.Namespace) -> int:
    from jobs.catalogues.reading import read_catalogue
    from jobs.fetching.open_fetcher import open_fetcher
    from jobs.ingest import IngestOptions, ingest, plan
    from jobs.ingest_summary import print_summary
    from shardwriter import Codec
    from shardwriter.audio import CleanOptions

    dataset = find_dataset(arguments.dataset)
    if arguments.check_archives:
        from jobs.dataset_list import refuse_damaged_archives

        refuse_damaged_archives(dataset, arguments.source)
    fetching = fetch_options(arguments)
    fetcher = open_fetcher(arguments.source, fetching)
    source = open_listing(arguments, dataset, fetching)
    if source is not None and arguments.unpack is not None:
        fetcher = open_fetcher(source.url, fetching)
    catalogue = read_catalogue(dataset, source, _chosen(arguments, dataset))
    place = YOUTUBE if source is None else source.url
    say(f"{catalogue.title}: {len(catalogue.clips):,} clips listed, from {place}")
    options = IngestOptions(
        out=arguments.out,
        sample_rate_hz=arguments.sample_rate,
        codec=Codec(arguments.codec),
        clean=CleanOptions(loudness=arguments.normalize, silence=arguments.trim_silence),
        s3=store_options(arguments),
        group_rule=arguments.groups,
        politeness=politeness(arguments),
        **running_options(arguments),
    )
    if arguments.dry_run:
        for line in plan(catalogue, fetcher, options):
            say(line)
        return 0
    summary = ingest(catalogue, fetcher, options)
    print_summary(summary, catalogue, out=arguments.out)
    return summary.exit_status


def _chosen(arguments: argparse.Namespace, dataset: Dataset) -> Mapping[str, str]:
    options = (*dataset.options, SPLITS)
    return {option.name: getattr(arguments, _place(option.name)) for option in options}


def _place(option: str) -> str:
    """Return where the parser keeps a dataset's option: apart from the flags that all have."""
    return f"of_dataset_{option}"


def _literal(text: str) -> str:
    """Return text as argparse prints it unchanged."""
    return text.replace("%", "%%")
