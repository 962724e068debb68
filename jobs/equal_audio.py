"""Clips of equal audio as members of one group, so that no split parts them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from jobs.split_rule import SplitClip

_Unit: TypeAlias = tuple[str, str]
"""What stays together already: ("group", its name), or ("clip", the id of one without a group)."""


def with_equal_audio_grouped(
    clips: Sequence[SplitClip], hashes: Sequence[bytes | None]
) -> list[SplitClip]:
    """Return the clips; groups and single clips that share audio have become one group.

    Args:
        clips: All clips, in any order.
        hashes: Of each clip's samples; None where the audio was never decoded.
    """
    parents: dict[_Unit, _Unit] = {}
    owners: dict[bytes, _Unit] = {}
    joined: set[_Unit] = set()
    for clip, pcm_hash in zip(clips, hashes, strict=True):
        if pcm_hash is None:
            continue
        mine = _root(_unit(clip), parents)
        other = _root(owners.setdefault(pcm_hash, mine), parents)
        if mine != other:
            # The smaller one leads, so that the order of the clips doesn't matter.
            first, second = sorted((mine, other))
            parents[second] = first
            joined |= {first, second}
    roots = [_root(_unit(clip), parents) for clip in clips]
    return [
        replace(clip, group=f"equal audio: {root[0]} {root[1]}") if root in joined else clip
        for clip, root in zip(clips, roots, strict=True)
    ]


def _unit(clip: SplitClip) -> _Unit:
    return ("clip", clip.id) if clip.group is None else ("group", clip.group)


def _root(unit: _Unit, parents: dict[_Unit, _Unit]) -> _Unit:
    while (parent := parents.get(unit)) is not None:
        parents[unit] = parents.get(parent, parent)
        unit = parent
    return unit
