"""Clips of WebDataset tars: members that share a key are a clip's audio and its labels."""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from jobs.catalogues.catalogue import ClipRef
from jobs.catalogues.huggingface_tables import split_of
from jobs.catalogues.listed_clips import NO_LABELS, clip_id, is_audio
from jobs.sources import Source
from shardwriter.errors import ConfigError
from shardwriter.foreign_labels import LABEL_FIELDS, LabelError, label_member, read_labels


def holds_tars(source: Source) -> bool:
    """Return whether a source's files lie in tars, or it is one."""
    return source.url.endswith(".tar") or any(".tar/" in name for name in source.names())


def tar_clips(source: Source, *, dataset: str, label: str, group: str) -> list[ClipRef]:
    """Return the clips of all tars, in their order.

    Args:
        source: A folder of tars, or one tar.
        dataset: First part of ids.
        label: As `melstream index --label-field` takes it: `cls`, `json.label`; empty: looked for
            in the first clip. A name without a dot is looked for in the JSON too. `none`: none.
        group: Field of the JSON; empty: none.

    Raises:
        ConfigError: no label is found, or one can't be read.
    """
    clips = []
    field = ""
    for key, members in _samples(source).items():
        audio = next((name for name in members.values() if is_audio(name)), None)
        if audio is None:
            continue
        if not field and label != NO_LABELS:
            field = _field(source, members, label)
        archive = key.rpartition(".tar/")[0].rpartition("/")[2]
        metadata = _metadata(source, members)
        clips.append(
            ClipRef(
                id=clip_id(dataset, f"{key.removesuffix('.')}.member"),
                file=audio,
                split=split_of(f"{archive or PurePosixPath(source.url).stem}.tar"),
                labels=_labels(source, members, field) if field else (),
                group=str(metadata[group]) if group and metadata.get(group) is not None else None,
                metadata=metadata,
            )
        )
    return clips


def _samples(source: Source) -> dict[str, dict[str, str]]:
    """Return the members of each clip by extension, by their common name up to its first dot."""
    samples: dict[str, dict[str, str]] = {}
    for name in source.names():
        folder, _, file = name.rpartition("/")
        stem, dot, suffix = file.partition(".")
        if dot and stem:
            samples.setdefault(f"{folder}/{stem}" if folder else stem, {})[suffix] = name
    return samples


def _field(source: Source, members: Mapping[str, str], chosen: str) -> str:
    wanted = (chosen, f"json.{chosen}") if chosen else LABEL_FIELDS
    for field in wanted:
        member = label_member(field, members)
        if member is not None and _read(source, members[member], member, field) is not None:
            return field
    raise ConfigError(
        f"{source.url}: the first clip has no label in {', '.join(wanted)}; its members are "
        f"{', '.join(members.values())}. Choose the field, or none"
    )


def _labels(source: Source, members: Mapping[str, str], field: str) -> tuple[str, ...]:
    member = label_member(field, members)
    found = _read(source, members[member], member, field) if member else None
    return tuple(str(label) for label in found or ())


def _read(source: Source, name: str, member: str, field: str) -> tuple[str | int, ...] | None:
    try:
        return read_labels(source.read(name), member=member, field=field)
    except LabelError as err:
        raise ConfigError(f"{source.url}/{name}: {err}") from err


def _metadata(source: Source, members: Mapping[str, str]) -> dict[str, Any]:
    if "json" not in members:
        return {}
    try:
        values = json.loads(source.read(members["json"]))
    except (ValueError, RecursionError) as err:
        raise ConfigError(f"{source.url}/{members['json']} is not JSON: {err}") from err
    return values if isinstance(values, dict) else {}
