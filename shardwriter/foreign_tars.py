"""Which tars of a folder are to be indexed, in which split, and where their labels are."""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence

from shardwriter.errors import ConfigError
from shardwriter.foreign import MAX_LABEL_BYTES, split_name
from shardwriter.foreign_labels import LABEL_FIELDS, LabelError, label_member, read_labels
from shardwriter.manifest import load_manifest
from shardwriter.object_stream import ObjectStream
from shardwriter.schema import MANIFEST_NAME
from shardwriter.shard_names import idx_name
from shardwriter.storage import Store
from shardwriter.untar import TarReader

DEFAULT_SPLIT = "train"
OUR_FOLDERS = ("availability/", "index/", "parts/")
_MAX_NAMES_SHOWN = 5
_PARQUET_MAGIC = b"PAR1"


def find_tars(store: Store, patterns: Mapping[str, str]) -> dict[str, str]:
    """Return the split of each tar, in order of split and name.

    Args:
        store: Where the tars lie.
        patterns: Glob or folder by split; empty: all tars are one split, `train`.

    Raises:
        ConfigError: nothing matches, a tar matches twice, or the tars are compressed.
    """
    names = sorted(name for name in store.names("") if not name.startswith(OUR_FOLDERS))
    tars = [name for name in names if name.endswith(".tar")]
    if not tars:
        compressed = [name for name in names if name.endswith((".tar.gz", ".tgz", ".tar.zst"))]
        hint = f"; decompress {compressed[0]!r} and its like" if compressed else ""
        raise ConfigError(f"{store.url} holds no .tar{hint}")
    split_of: dict[str, str] = {}
    for split, pattern in sorted((patterns or {DEFAULT_SPLIT: "*.tar"}).items()):
        _check_split_name(split)
        glob = pattern if pattern.endswith(".tar") else pattern.rstrip("/") + "/*.tar"
        matching = fnmatch.filter(tars, glob)
        if not matching:
            raise ConfigError(
                f"no tar matches {glob!r} of split {split!r}; {store.url} holds {len(tars)}, e.g. "
                f"{', '.join(tars[:_MAX_NAMES_SHOWN])}"
            )
        for tar in matching:
            if split_of.setdefault(tar, split) != split:
                raise ConfigError(f"{tar} matches split {split_of[tar]!r} and split {split!r}")
    return split_of


def refuse_what_is_there(store: Store, tars: Iterable[str]) -> None:
    """Refuse to replace a dataset that melstream wrote, or `.idx` files of another program.

    Raises:
        ConfigError: with the way out.
    """
    if store.exists(MANIFEST_NAME) and load_manifest(store).settings.foreign is None:
        raise ConfigError(
            f"{store.url} holds a dataset that melstream wrote; `melstream verify --repair-index` "
            "mends its index"
        )
    for tar in tars:
        name = idx_name(tar)
        if store.exists(name) and store.read_range(name, 0, 4) != _PARQUET_MAGIC:
            raise ConfigError(
                f"{store.url}/{name} is of another program (DALI's wds2idx makes such files); "
                "move it away, the index of melstream has that name"
            )


def detect_label_field(store: Store, tar: str, *, audio_suffixes: Sequence[str]) -> str:
    """Return the first of `LABEL_FIELDS` that the first sample of a shard has.

    Raises:
        ConfigError: it has none; the message says what it has.
    """
    members: dict[str, bytes] = {}
    first_key = None
    stream = ObjectStream(store, tar)
    reader = TarReader(stream, num_bytes=stream.num_bytes, where=stream.where, is_foreign=True)
    for member in reader:
        key, suffix = split_name(member.name) or (first_key, "")
        first_key = first_key or key
        if key != first_key:
            break
        readable = member.num_bytes <= MAX_LABEL_BYTES and suffix not in audio_suffixes
        members[suffix] = reader.data() if suffix and readable else b""
    for field in LABEL_FIELDS:
        member_name = label_member(field, members)
        if member_name is not None and _has_label(members[member_name], member_name, field):
            return field
    held = ", ".join(f".{suffix}" for suffix in members if suffix)
    raise ConfigError(
        f"{store.url}/{tar}: its first sample {first_key!r} has the members {held or 'none'}; none "
        f"of {', '.join(LABEL_FIELDS)} is there: say where the label is with --label-field"
    )


def _has_label(data: bytes, member: str, field: str) -> bool:
    try:
        return read_labels(data, member=member, field=field) is not None
    except LabelError:
        return False


def _check_split_name(split: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", split):
        raise ConfigError(f"split {split!r}: use letters, digits, _, - and dots")
