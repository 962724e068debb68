"""`melstream <command>`: arguments in, exit status out (0 done, 1 failed, 2 asked wrongly)."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from jobs.availability_commands import add_availability
from jobs.compiling import show_compiling
from jobs.console import complain
from jobs.dataset_commands import add_inspect, add_split, add_sync, add_verify
from jobs.dataset_list_commands import add_datasets
from jobs.feature_commands import add_cache_features
from jobs.heap_arenas import limit_arenas
from jobs.index_commands import add_index
from jobs.ingest_commands import add_ingest
from jobs.loader_commands import add_doctor
from jobs.simulate_commands import add_simulate
from jobs.training_commands import add_demo, add_evaluate, add_stats, add_train
from shardwriter.errors import ConfigError, MelstreamError

_TORCH = "install torch==2.11.* and torchaudio==2.11.*, or use the image melstream:train"
_WAYS_OUT = {"torch": _TORCH, "torchaudio": _TORCH}
"""Packages that ingesting does without: the image for that leaves them out."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors that a user can mend are one line, without a traceback."""
    limit_arenas()
    show_compiling()
    arguments = parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except ConfigError as err:
        return _fail(arguments.command, err, status=2)
    except MelstreamError as err:
        return _fail(arguments.command, err, status=1)
    except ModuleNotFoundError as err:
        way_out = _WAYS_OUT.get(err.name or "")
        if way_out is None:
            raise
        problem = f"needs {err.name}, which this installation goes without: {way_out}"
        return _fail(arguments.command, problem, status=2)
    except KeyboardInterrupt:
        return _fail(arguments.command, "interrupted", status=130)
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _fail(command: str, problem: object, *, status: int) -> int:
    complain(f"melstream {command}: {problem}")
    return status


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="melstream",
        description="Audio datasets as tar shards: ingest them, check them, train from them.",
        epilog="`melstream COMMAND --help` tells about a command. Begin with `melstream demo`.",
    )
    parser.add_argument("--version", action="version", version=f"melstream {version('melstream')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_demo(commands)
    add_datasets(commands)
    add_ingest(commands)
    add_index(commands)
    add_inspect(commands)
    add_verify(commands)
    add_split(commands)
    add_sync(commands)
    add_availability(commands)
    add_stats(commands)
    add_cache_features(commands)
    add_doctor(commands)
    add_train(commands)
    add_evaluate(commands)
    add_simulate(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
