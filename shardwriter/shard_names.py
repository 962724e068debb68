"""Store names of a dataset's objects: shards, their indices and parts, splits, lanes.

The layout is drawn in `shardwriter.schema`.
"""

import re
from dataclasses import dataclass

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_NO_SPLITS = frozenset({"availability", "index", "parts"})
_LANE = r"p\d{3,}of\d{3,}|s\d{6,}"
_TAR = re.compile(
    rf"(?P<split>.+)/(?P<name>[^/]+?)(?:-(?P<lane>{_LANE}))?-(?P<number>\d{{6,}})\.tar"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TarName:
    """What the store name of a shard's tar tells."""

    split: str
    name: str
    """Of the dataset."""
    lane: str
    """Of the one of several writers that made it; empty: the only one."""
    number: int

    @classmethod
    def parse(cls, tar: str) -> "TarName | None":
        """Take a store name apart; None: not that of a shard of ours."""
        match = _TAR.fullmatch(tar)
        if match is None:
            return None
        split, name, lane, number = match.group("split", "name", "lane", "number")
        return cls(split=split, name=name, lane=lane or "", number=int(number))


def tar_name(split: str, name: str, number: int, *, lane: str = "") -> str:
    """Return the store name of a shard's tar."""
    return f"{split}/{name}-{lane}-{number:06d}.tar" if lane else f"{split}/{name}-{number:06d}.tar"


def check_lane(lane: str) -> None:
    """Refuse what would not be seen as a lane in the names of tars; empty is no lane."""
    if lane and not re.fullmatch(_LANE, lane):
        raise ValueError(f"a lane is pNNNofNNN or sNNNNNN, got {lane!r}")


def idx_name(tar: str) -> str:
    """Return the store name of the per-shard index of `tar`."""
    return tar.removesuffix(".tar") + ".idx"


def part_name(tar: str) -> str:
    """Return the store name of the manifest part of `tar`."""
    return "parts/" + tar.removesuffix(".tar") + ".json"


def index_name(split: str) -> str:
    """Return the store name of a split's index."""
    return f"index/{split}.parquet"


def check_split(split: str) -> None:
    """Refuse a split whose name makes no folder name, or the name of a folder of the format."""
    if not NAME.fullmatch(split) or split in _NO_SPLITS:
        raise ValueError(
            f"a split's name is letters, digits, '_', '-' and '.', and none of "
            f"{', '.join(sorted(_NO_SPLITS))}; got {split!r}"
        )
