"""The common path from a catalogue to a published dataset: fetch, clean, encode, shard."""

import collections
import json
import time
from dataclasses import dataclass, field

from jobs.catalogues.catalogue import Catalogue
from jobs.console import progress
from jobs.make_samples import make_samples
from jobs.sources import Source
from jobs.versions import tool_versions
from shardwriter import (
    AudioFormat,
    Codec,
    Rejection,
    Settings,
    ShardWriter,
)
from shardwriter import audio as audio_step
from shardwriter import encode as encode_step
from shardwriter.audio import CleanOptions
from shardwriter.errors import ConfigError
from shardwriter.keys import to_key
from shardwriter.manifest import Manifest
from shardwriter.overlaps import DuplicateAudio, GroupRule, StraddlingGroup
from shardwriter.storage import S3Options, open_store

REJECTIONS_NAME = "availability/rejections.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """What the user chose."""

    out: str
    sample_rate_hz: int = 32_000
    codec: Codec = Codec.FLAC
    clean: CleanOptions = field(default_factory=CleanOptions)
    num_workers: int = 2
    """Processes that clean and encode; 0 does it all in this one."""
    max_samples_per_shard: int = 1000
    s3: S3Options | None = None
    """How to reach `out`, if it is on S3."""
    group_rule: GroupRule = "report"
    """What to do with a group that lies in two splits."""
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSummary:
    """What came of it."""

    manifest: Manifest
    num_listed: int
    expected_num_clips: int
    num_written: int
    num_already_there: int
    rejections: tuple[Rejection, ...]
    straddling_groups: tuple[StraddlingGroup, ...] = ()
    """Groups whose clips lie in several splits."""
    duplicates: tuple[DuplicateAudio, ...] = ()
    """Clips with the audio of an earlier clip, of this run or an earlier one."""
    seconds: float

    @property
    def rejections_by_reason(self) -> dict[str, int]:
        """Counts, most frequent first."""
        counts = collections.Counter(rejection.reason.value for rejection in self.rejections)
        return dict(counts.most_common())


def ingest(catalogue: Catalogue, source: Source, options: IngestOptions) -> IngestSummary:
    """Write the catalogue's clips as a dataset; go on where an earlier run stopped.

    Clips are written in catalogue order whatever the number of workers, so the same source
    gives the same bytes. Each clip that is left out is a row of `availability/rejections.jsonl`.

    Raises:
        ConfigError: the target holds a dataset of other settings, or no clip was usable.
        GroupStraddlesError: a group lies in two splits, and the options refuse that.
        StorageError: the target can't be written.
    """
    started = time.monotonic()
    if all(clip.file is None for clip in catalogue.clips):
        raise ConfigError(
            f"none of the {len(catalogue.clips)} clips that {catalogue.title} lists is in "
            f"{source.url}; is the audio folder there?"
        )
    settings = Settings(
        name=catalogue.name,
        audio=audio_format(options),
        labels=catalogue.labels,
        processing=options.clean.to_json(),
    )
    store = open_store(options.out, options.s3)
    rejections = list(catalogue.rejections)
    num_written = 0
    writer = ShardWriter(
        store,
        settings,
        max_samples_per_shard=options.max_samples_per_shard,
        group_rule=options.group_rule,
        provenance=_provenance(catalogue, settings, options.clean),
    )
    with writer:
        clips = [clip for clip in catalogue.clips if not writer.is_written(to_key(clip.id))]
        outcomes = make_samples(
            clips, source, settings, options.clean, num_workers=options.num_workers
        )
        for outcome in progress(
            outcomes, total=len(clips), what="ingest", unit="clip", hidden=options.quiet
        ):
            if isinstance(outcome, Rejection):
                rejections.append(outcome)
            else:
                writer.write(outcome)
                num_written += 1
        rows = [json.dumps(rejection.to_json(), sort_keys=True) + "\n" for rejection in rejections]
        store.put(REJECTIONS_NAME, "".join(rows).encode(), replace=True)
        if not num_written and len(clips) == len(catalogue.clips):
            raise ConfigError(
                f"none of the {len(clips)} clips that {catalogue.title} lists could be used; "
                f"{store.url}/{REJECTIONS_NAME} says why"
            )
    if writer.manifest is None:
        raise ConfigError(f"{store.url} was not published")
    return IngestSummary(
        manifest=writer.manifest,
        num_listed=len(catalogue.clips),
        expected_num_clips=catalogue.expected_num_clips,
        num_written=num_written,
        num_already_there=len(catalogue.clips) - len(clips),
        rejections=tuple(rejections),
        straddling_groups=writer.straddling_groups,
        duplicates=writer.duplicates,
        seconds=time.monotonic() - started,
    )


def audio_format(options: IngestOptions) -> AudioFormat:
    """Return the format that the options ask for.

    Raises:
        ConfigError: a codec that doesn't take the rate, or changes asked of untouched bytes.
    """
    if options.codec is Codec.SOURCE:
        if options.clean != CleanOptions():
            raise ConfigError(
                "--codec source keeps the source's bytes untouched, so it goes with neither "
                "--normalize nor --trim-silence; leave them out or choose another codec"
            )
        return AudioFormat.of_source()
    try:
        return AudioFormat(codec=options.codec.value, sample_rate_hz=options.sample_rate_hz)
    except ValueError as err:
        raise ConfigError(str(err)) from err


def _provenance(
    catalogue: Catalogue, settings: Settings, options: CleanOptions
) -> dict[str, object]:
    return {
        "dataset": catalogue.title,
        "licence": catalogue.licence,
        "citation": catalogue.citation,
        "audio": audio_step.provenance(options) | encode_step.provenance(settings.audio),
        "tools": tool_versions(),
    }
