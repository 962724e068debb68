"""All that report, card and tables tell of a dataset's availability, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from jobs.availability.census import Census, take_census
from jobs.availability.common_eval import IdList, id_list
from jobs.availability.diff import SnapshotDiff, diff_snapshots
from jobs.availability.label_shift import LabelShift, label_shifts
from jobs.availability.listing import published_num_clips
from jobs.availability.standing import ALIVE, stand
from jobs.availability.verdict_times import (
    SuspectWindow,
    VerdictTimeline,
    suspect_windows,
    verdict_timeline,
)
from shardwriter.json_form import canonical_json
from shardwriter.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """Where the dataset comes from and how its audio was made; empty where nobody says."""

    url: str
    name: str
    title: str = ""
    licence: str = "not stated"
    citation: str = ""
    digest: str = ""
    """Of the shards; empty where none are published."""
    audio: Mapping[str, str] = field(default_factory=dict)
    """Format, and every choice that changes samples, by name."""
    tools: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """What is left of a dataset after a run, and since an earlier one."""

    facts: DatasetFacts
    run_id: str
    published: Mapping[str, int]
    """How many clips the publishers count, by the title of the listed set."""
    census: Census
    shifts: tuple[LabelShift, ...]
    """Of all splits together, then of each where there are several."""
    windows: tuple[SuspectWindow, ...]
    timeline: VerdictTimeline | None
    alive: Mapping[str, IdList]
    """Ids of the clips that are there, by split."""
    alive_anywhere: IdList
    """The same of all splits together."""
    earlier_run_id: str | None
    diff: SnapshotDiff | None
    """From the earlier run to this one."""


def take_survey(
    facts: DatasetFacts,
    listing: pa.Table,
    labels: tuple[str, ...],
    *,
    run_id: str,
    snapshot: pa.Table,
    earlier: tuple[str, pa.Table] | None = None,
) -> Survey:
    """Count, compare and list what a snapshot says of a listing.

    Args:
        facts: Where the dataset comes from.
        listing: Table of `LISTING_SCHEMA`.
        labels: Its classes.
        run_id: The run whose snapshot it is.
        snapshot: Table of `SNAPSHOT_SCHEMA`.
        earlier: Another run and its snapshot, to compare with.

    Raises:
        ShardFormatError: the tables contradict themselves or each other.
    """
    standing = stand(listing, labels, snapshot)
    is_alive_N = standing.state_N == ALIVE
    return Survey(
        facts=facts,
        run_id=run_id,
        published=published_num_clips(listing),
        census=take_census(standing),
        shifts=label_shifts(standing),
        windows=suspect_windows(standing),
        timeline=verdict_timeline(standing),
        alive={
            split: id_list(
                standing.clip_ids.filter(pa.array(is_alive_N & (standing.split_N == number)))
            )
            for number, split in enumerate(standing.splits)
        },
        alive_anywhere=id_list(standing.clip_ids.filter(pa.array(is_alive_N))),
        earlier_run_id=None if earlier is None else earlier[0],
        diff=None if earlier is None else diff_snapshots(earlier[1], snapshot),
    )


def facts_of(url: str, manifest: Manifest | None, *, name: str) -> DatasetFacts:
    """Return what `dataset.json` says, as text; where it is not there yet, only `name` and URL."""
    if manifest is None:
        return DatasetFacts(url=url, name=name)
    provenance = manifest.provenance
    audio = {
        "format": manifest.settings.audio.description,
        "processing": manifest.settings.processing or "none",
        **provenance.get("audio", {}),
    }
    tools = provenance.get("tools", {})
    return DatasetFacts(
        url=url,
        name=manifest.settings.name,
        title=str(provenance.get("dataset", "")),
        licence=str(provenance.get("licence", "not stated")),
        citation=str(provenance.get("citation", "")),
        digest=manifest.digest,
        audio={name: _words(choice) for name, choice in audio.items()},
        tools=_words(tools),
    )


def _words(value: object) -> str:
    """Return nested settings as one line: `name: value; name: (inner: value)`."""
    if isinstance(value, Mapping):
        return "; ".join(
            f"{name}: ({_words(inner)})" if isinstance(inner, Mapping) and inner else
            f"{name}: {_words(inner)}"
            for name, inner in value.items()
        )  # fmt: skip
    return value if isinstance(value, str) else canonical_json(value).decode()
