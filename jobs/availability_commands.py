"""`melstream availability report`, `diff`, `common-eval`, `card`, `reclassify`: their arguments."""

import argparse
from pathlib import Path

from jobs.arguments import Commands, positive
from jobs.store_flags import add_store_flags, store_options

# Jobs are imported when they run: pyarrow and matplotlib take a second that `--help` needn't wait.


def add_availability(commands: Commands) -> None:
    """Add `melstream availability` and its commands."""
    parser = commands.add_parser(
        "availability",
        help="what is left of a dataset: report, comparison, clips in common, dataset card",
        description="What a dataset should hold, what of it is there, and why not the rest. "
        "Blocked is not gone: clips that could not be seen are counted apart.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_report(actions)
    _add_diff(actions)
    _add_common_eval(actions)
    _add_card(actions)
    _add_reclassify(actions)


def _add_report(actions: Commands) -> None:
    parser = actions.add_parser(
        "report",
        help="survival by split, class and reason, label shift, changes: HTML, CSV, parquet",
        description="Write report.html with its tables (CSV and parquet), the dataset card and "
        "the id lists into a folder, and print a summary.",
    )
    parser.add_argument("url", metavar="URL", help="folder or s3:// URL of the dataset")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/availability"),
        metavar="FOLDER",
        help="where the files go (default: out/availability)",
    )
    _add_run(parser)
    parser.add_argument(
        "--since", metavar="RUN", help="the run to compare with (default: the one before)"
    )
    parser.add_argument(
        "--floor",
        type=positive,
        default=59,
        metavar="N",
        help="name classes that fell under N clips of a split (default 59: the rarest class of "
        "AudioSet's eval segments, as published)",
    )
    _add_json(parser)
    add_store_flags(parser)
    parser.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> int:
    from jobs.availability_report import report

    report(
        arguments.url,
        out=arguments.out,
        run_id=arguments.of_run,
        since=arguments.since,
        floor=arguments.floor,
        as_json=arguments.json,
        s3=store_options(arguments),
    )
    return 0


def _add_diff(actions: Commands) -> None:
    parser = actions.add_parser(
        "diff",
        help="what two datasets, or two runs of one, have in common, lost and recovered",
        description="Compare two datasets; or, without B, the last two runs of A. `lost` is what "
        "was alive and is gone, gated or absent; a clip that could not be seen is not lost.",
    )
    parser.add_argument("first", metavar="A", help="folder or s3:// URL of a dataset")
    parser.add_argument("second", metavar="B", nargs="?", help="another (default: A again)")
    parser.add_argument("--run-a", metavar="RUN", help="run of A (default: its latest)")
    parser.add_argument("--run-b", metavar="RUN", help="run of B (default: its latest)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write every clip that differs, .csv or .parquet"
    )
    _add_json(parser)
    add_store_flags(parser)
    parser.set_defaults(run=_diff)


def _diff(arguments: argparse.Namespace) -> int:
    from jobs.availability_compare import DiffOptions, diff

    diff(
        DiffOptions(
            first=arguments.first,
            second=arguments.second,
            first_run=arguments.run_a,
            second_run=arguments.run_b,
            out=arguments.out,
            as_json=arguments.json,
            s3=store_options(arguments),
        )
    )
    return 0


def _add_common_eval(actions: Commands) -> None:
    parser = actions.add_parser(
        "common-eval",
        help="the clips that are alive in all of several copies, with a digest to cite",
        description="List the clips that are alive in every dataset. The list has each id once, "
        "in order of its UTF-8 bytes, a newline after each; the digest is its SHA-256, as "
        "sha256sum prints it. Exit status 2 if no clip is common.",
    )
    parser.add_argument("urls", metavar="URL", nargs="+", help="two or more datasets")
    parser.add_argument("--split", metavar="NAME", help="only clips of this split, e.g. eval")
    parser.add_argument(
        "--same-audio", action="store_true", help="leave out clips whose samples differ"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the list, an id a line")
    _add_json(parser)
    add_store_flags(parser)
    parser.set_defaults(run=_common_eval)


def _common_eval(arguments: argparse.Namespace) -> int:
    from jobs.availability_compare import common_eval

    common_eval(
        arguments.urls,
        split=arguments.split,
        same_audio=arguments.same_audio,
        out=arguments.out,
        as_json=arguments.json,
        s3=store_options(arguments),
    )
    return 0


def _add_card(actions: Commands) -> None:
    parser = actions.add_parser(
        "card",
        help="dataset_card.md: what a paper should say of this copy",
        description="Counts against the published ones, reasons, label shift, id digests, audio "
        "settings and licence as Markdown, with the front matter that Hugging Face reads.",
    )
    parser.add_argument("url", metavar="URL", help="folder or s3:// URL of the dataset")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it there (default: print)")
    _add_run(parser)
    add_store_flags(parser)
    parser.set_defaults(run=_card)


def _card(arguments: argparse.Namespace) -> int:
    from jobs.availability_report import card

    card(arguments.url, out=arguments.out, run_id=arguments.of_run, s3=store_options(arguments))
    return 0


def _add_reclassify(actions: Commands) -> None:
    parser = actions.add_parser(
        "reclassify",
        help="judge the logged evidence of all tries anew, by the rules of this version",
        description="Read the attempts log, classify its evidence with the present table, and "
        "say which outcomes change; what follows is a snapshot of its own. The log itself is "
        "never rewritten.",
    )
    parser.add_argument("url", metavar="URL", help="folder or s3:// URL of the dataset")
    add_store_flags(parser)
    parser.set_defaults(run=_reclassify)


def _reclassify(arguments: argparse.Namespace) -> int:
    from jobs.availability_reclassify import reclassify_dataset

    reclassify_dataset(arguments.url, s3=store_options(arguments))
    return 0


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run", dest="of_run", metavar="RUN", help="the run to tell of (default: the latest)"
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")
