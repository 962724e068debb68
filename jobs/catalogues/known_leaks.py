"""Groups that published splits are known to share, where they are too many for a module."""

from functools import cache
from importlib.resources import files


@cache
def leaking_groups(split: str) -> frozenset[str]:
    """Return the groups that have clips in two parts of a published split, by what it is called."""
    text = (files("jobs.catalogues") / f"data/known_leaks/{split}.txt").read_text("utf-8")
    return frozenset(text.splitlines())
