"""The common path from a catalogue to a published dataset: fetch, clean, encode, shard."""

import collections
import secrets
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from jobs.availability.attempt import Vantage
from jobs.availability.breaker import EXIT_BLOCKED
from jobs.availability.listing import listing_table
from jobs.availability.outcome import Group
from jobs.availability.planner import Rates, plan_ingest, plan_lines
from jobs.catalogues.catalogue import Catalogue
from jobs.fetching.fetcher import Fetcher
from jobs.fetching.http_fetcher import HttpFetcher
from jobs.fetching.rate_limit import YOUTUBE_ACCOUNT, YOUTUBE_GUEST, Politeness
from jobs.fetching.youtube import YoutubeFetcher
from jobs.ingesting.clock import utc_now
from jobs.ingesting.here import ingest_here
from jobs.ingesting.parts import Part
from jobs.ingesting.recipe import NETWORK_KINDS, Recipe
from jobs.ingesting.run import Run, RunResult, merge
from jobs.ingesting.tally import LeftOut
from jobs.ingesting.work_folder import default_work_folder, remove_empty_folders
from jobs.versions import tool_versions
from shardwriter import AudioFormat, Codec, Settings
from shardwriter import audio as audio_step
from shardwriter import encode as encode_step
from shardwriter.audio import CleanOptions
from shardwriter.errors import ConfigError
from shardwriter.keys import to_key
from shardwriter.manifest import Manifest
from shardwriter.overlaps import DuplicateAudio, GroupRule, StraddlingGroup
from shardwriter.publish import load_held
from shardwriter.storage import S3Options, open_store

Executor = Literal["local", "ray"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """What the user chose."""

    out: str
    sample_rate_hz: int = 32_000
    codec: Codec = Codec.FLAC
    clean: CleanOptions = field(default_factory=CleanOptions)
    num_workers: int = 2
    """Processes that fetch, clean and encode; 0 does it all in this one. With Ray the cluster's
    CPUs count instead."""
    max_samples_per_shard: int = 1000
    s3: S3Options | None = None
    """How to reach `out`, if it is on S3."""
    group_rule: GroupRule = "report"
    """What to do with a group that lies in two splits."""
    executor: Executor = "local"
    ray_address: str | None = None
    """Of the Ray cluster; None: the one that Ray finds, or one on this machine."""
    part: Part | None = None
    """Do a part of the catalogue only, beside the jobs that do the others."""
    merge_only: bool = False
    """Fetch nothing: publish what parts have made."""
    work: Path | None = None
    """Where fetched bytes and journals are kept until they are published; None: by default beside
    a local dataset, or in the user's cache."""
    max_spool_bytes: int = 16 << 30
    """Fetched bytes beyond that are not kept: after a kill they are fetched again."""
    retry: tuple[str, ...] = ()
    """States of `jobs.ingesting.history.RETRY_STATES`: clips on the network that are asked for
    whether or not their time has come. Own files are all asked for each time."""
    waits_when_blocked: bool = False
    """When the source blocks us, wait and ask again for some hours before the run ends."""
    politeness: Politeness | None = None
    """How often YouTube is asked by this job; None: what it allows a guest or an account, divided
    by the number of parts, as those may share an address. With Ray, all nodes together."""
    vantage: Vantage = field(default_factory=Vantage)
    run_id: str = ""
    """Name of the run in the attempts log; empty: the time."""
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSummary:
    """What came of it."""

    manifest: Manifest | None
    """None: other parts have to end first, or nothing is whole yet."""
    num_listed: int
    expected_num_clips: int
    num_written: int
    num_already_there: int
    num_not_due: int
    """Clips that were not asked for: what earlier runs know of them would not change yet."""
    num_by_group: dict[Group, int]
    """Clips of this run by what came of them; their sum may be less than what is left: a run that
    was blocked does not get to all."""
    rejections: tuple[LeftOut, ...]
    straddling_groups: tuple[StraddlingGroup, ...] = ()
    """Groups whose clips lie in several splits."""
    duplicates: tuple[DuplicateAudio, ...] = ()
    """Clips with the audio of an earlier clip, of this run or an earlier one."""
    unfinished_parts: tuple[int, ...] = ()
    """Parts that the dataset waits for."""
    blocked: str = ""
    """Why the source was left alone; empty: it was not."""
    seconds: float

    @property
    def rejections_by_reason(self) -> dict[str, int]:
        """Counts, most frequent first."""
        counts = collections.Counter(rejection.reason for rejection in self.rejections)
        return dict(counts.most_common())

    @property
    def exit_status(self) -> int:
        """What the command ends with."""
        return EXIT_BLOCKED if self.blocked else 0


def ingest(catalogue: Catalogue, fetcher: Fetcher, options: IngestOptions) -> IngestSummary:
    """Write the catalogue's clips as a dataset; go on where an earlier run stopped.

    Files of one's own are written in catalogue order whatever the number of workers, so the same
    source gives the same bytes. Each try is logged below `availability/attempts`; each clip that is
    left out is a row of `availability/rejections.jsonl`.

    Raises:
        ConfigError: the target holds a dataset of other settings, no clip was usable, or options
            that clash.
        GroupStraddlesError: a group lies in two splits, and the options refuse that.
        MelstreamError: a failure of our own side, which says nothing about clips.
        StorageError: the target can't be written.
    """
    started = time.monotonic()
    run = _prepare(catalogue, fetcher, options)
    if options.merge_only:
        with run.store.lock_for_writing():
            result = merge(run)
            remove_empty_folders(run.recipe.work)
    elif options.executor == "ray":
        from jobs.ingesting.on_ray import ingest_on_ray

        result = ingest_on_ray(run, address=options.ray_address)
    else:
        result = ingest_here(run, part=options.part, num_workers=options.num_workers)
    if result.published is not None:
        for pairs in catalogue.trials:
            run.store.put(pairs.object_name, pairs.to_parquet(), replace=True)
    return _summary(run, result, seconds=time.monotonic() - started)


def plan(catalogue: Catalogue, fetcher: Fetcher, options: IngestOptions) -> list[str]:
    """Return what an ingest would ask for and how long that takes, as lines; nothing is touched.

    Raises:
        ConfigError: the target holds a dataset of other settings, or options that clash.
        StorageError: the target can't be read.
    """
    run = _prepare(catalogue, fetcher, options)
    held = load_held(run.store, run.recipe.settings)
    clips = options.part.of(catalogue.clips) if options.part else catalogue.clips
    planned = plan_ingest(
        listing_table(replace(catalogue, clips=tuple(clips))),
        source=fetcher.kind,
        done=[clip.id for clip in clips if to_key(clip.id) in held.keys],
        is_authenticated=options.vantage.is_authenticated,
        fetch_mode=fetcher.mode if isinstance(fetcher, YoutubeFetcher) else "prefix",
        num_workers=max(1, options.num_workers),
        rates=_rates(run.politeness, is_authenticated=options.vantage.is_authenticated),
    )
    return plan_lines(planned, title=catalogue.title)


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


def _prepare(catalogue: Catalogue, fetcher: Fetcher, options: IngestOptions) -> Run:
    if options.part is not None and (options.merge_only or options.executor == "ray"):
        raise ConfigError(
            "--part goes with neither --merge nor --executor ray: a part is one job of an array, "
            "Ray splits the work itself, and --merge is for when the parts are done"
        )
    is_network = fetcher.kind in NETWORK_KINDS
    if not is_network and all(clip.file is None for clip in catalogue.clips):
        raise ConfigError(
            f"none of the {len(catalogue.clips)} clips that {catalogue.title} lists is in the "
            "source; is the audio folder there?"
        )
    settings = Settings(
        name=catalogue.name,
        audio=audio_format(options),
        labels=catalogue.labels,
        processing=options.clean.to_json(),
        targets=catalogue.targets,
    )
    store = open_store(options.out, options.s3)
    recipe = Recipe(
        fetcher=fetcher,
        settings=settings,
        clean=options.clean,
        run_id=options.run_id or _new_run_id(),
        lane=options.part.lane if options.part else "",
        vantage=options.vantage,
        out=store.url,
        s3=options.s3,
        max_fetches_at_once=(
            fetcher.connections_per_host if isinstance(fetcher, HttpFetcher) else None
        ),
        work=options.work or default_work_folder(store),
    )
    return Run(
        catalogue=catalogue,
        store=store,
        recipe=recipe,
        max_samples_per_shard=options.max_samples_per_shard,
        max_spool_bytes=options.max_spool_bytes,
        group_rule=options.group_rule,
        provenance=_provenance(catalogue, settings, options.clean),
        retry=options.retry,
        waits_when_blocked=options.waits_when_blocked,
        politeness=_politeness(fetcher, options),
        quiet=options.quiet,
    )


def _politeness(fetcher: Fetcher, options: IngestOptions) -> Politeness | None:
    if fetcher.kind != "youtube" or options.politeness is not None:
        return options.politeness
    usual = YOUTUBE_ACCOUNT if options.vantage.is_authenticated else YOUTUBE_GUEST
    return usual.divided_by(options.part.count) if options.part else usual


def _rates(politeness: Politeness | None, *, is_authenticated: bool) -> Rates:
    """Return what a plan rests on: the pace that the run will keep."""
    account = Rates(account_videos_per_hour=3600 / YOUTUBE_ACCOUNT.mean_gap_seconds)
    if politeness is None:
        return account
    per_hour = 3600 / politeness.mean_gap_seconds
    if is_authenticated:
        return replace(account, account_videos_per_hour=per_hour)
    return replace(account, guest_videos_per_hour=per_hour)


def _new_run_id() -> str:
    """Return a name that sorts by time; two runs that begin at once have different ones."""
    return f"{utc_now().replace(':', '').replace('.', '-')}-{secrets.token_hex(2)}"


def _summary(run: Run, result: RunResult, *, seconds: float) -> IngestSummary:
    published = result.published
    return IngestSummary(
        manifest=published.manifest if published else None,
        num_listed=len(run.catalogue.clips),
        expected_num_clips=run.catalogue.expected_num_clips,
        num_written=result.num_by_group.get(Group.OK, 0),
        num_already_there=result.num_already_there,
        num_not_due=result.num_not_due,
        num_by_group=dict(result.num_by_group),
        rejections=result.left_out,
        straddling_groups=published.straddling_groups if published else (),
        duplicates=published.duplicates if published else (),
        unfinished_parts=result.unfinished_parts,
        blocked=result.blocked,
        seconds=seconds,
    )


def _provenance(
    catalogue: Catalogue, settings: Settings, options: CleanOptions
) -> dict[str, object]:
    codes = {"label_codes": dict(catalogue.label_codes)} if catalogue.label_codes else {}
    return codes | {
        "dataset": catalogue.title,
        "licence": catalogue.licence,
        "citation": catalogue.citation,
        "audio": audio_step.provenance(options) | encode_step.provenance(settings.audio),
        "tools": tool_versions(),
    }
