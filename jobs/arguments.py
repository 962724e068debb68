"""What values on the command line may be, and the flags that several commands share."""

import argparse
import math
import os
import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from shardwriter.loudness import LoudnessRule
    from shardwriter.trim import SilenceRule

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = not_negative(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def not_negative(text: str) -> int:
    """Read a whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}")
    return int(text)


def positive_number(text: str) -> float:
    """Read a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number


def share_or_number(text: str) -> float:
    """Read a whole number, or a share below 1."""
    if text.isdecimal():
        return int(text)
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(
            f"expected a whole number, or a share below 1 such as 0.001, got {text!r}"
        )
    return share


def names(text: str) -> tuple[str, ...]:
    """Read `NAME` or `NAME,NAME`."""
    found = tuple(text.split(","))
    if not all(found) or len(set(found)) != len(found):
        raise argparse.ArgumentTypeError(f"expected different names such as a,b, got {text!r}")
    return found


def split_pattern(text: str) -> tuple[str, str]:
    """Read `NAME=PATTERN`."""
    name, equals, pattern = text.partition("=")
    if not (name and equals and pattern):
        raise argparse.ArgumentTypeError(f"expected NAME=PATTERN, got {text!r}")
    return name, pattern


def weights(text: str) -> dict[str, int]:
    """Read `train=8,val=1,test=1`."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        if not name or name in found or not weight.isdecimal() or int(weight) == 0:
            raise argparse.ArgumentTypeError(
                f"expected parts such as train=8,val=1,test=1, got {text!r}"
            )
        found[name] = int(weight)
    return found


def loudness(text: str) -> "LoudnessRule | None":
    """Read `none`, `lufs` or `peak:-3`."""
    from shardwriter.loudness import DEFAULT_TARGETS_DB, LoudnessKind, LoudnessRule

    name, _, target = text.partition(":")
    if text == "none":
        return None
    try:
        kind = LoudnessKind(name)
        target_db = float(target) if target else DEFAULT_TARGETS_DB[kind]
        return LoudnessRule(kind=kind, target_db=target_db)
    except ValueError as err:
        raise argparse.ArgumentTypeError(
            f"expected none, peak, rms or lufs, with a target such as lufs:-23, got {text!r}: {err}"
        ) from err


def silence(text: str) -> "SilenceRule":
    """Read a threshold in dBFS."""
    from shardwriter.trim import SilenceRule

    try:
        return SilenceRule(threshold_dbfs=float(text))
    except ValueError as err:
        raise argparse.ArgumentTypeError(
            f"expected a threshold such as -60, got {text!r}: {err}"
        ) from err


def folds(text: str) -> tuple[int, ...]:
    """Read `1-4`, `1,3` or `2`."""
    folds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise argparse.ArgumentTypeError(f"expected folds such as 1-4 or 1,3,5, got {text!r}")
        folds.extend(range(first, last + 1))
    if len(set(folds)) != len(folds):
        raise argparse.ArgumentTypeError(f"expected each fold once, got {text!r}")
    return tuple(folds)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add `--workers`."""
    parser.add_argument(
        "--workers",
        type=not_negative,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="processes that read shards (default: one a core)",
    )
