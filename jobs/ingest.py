"""The common path from a catalogue to a published dataset: fetch, clean, encode, shard."""

import collections
import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace

from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.console import progress
from jobs.sources import Source, open_source
from jobs.versions import tool_versions
from shardwriter import (
    AudioFormat,
    CleanClip,
    Codec,
    EncodedSample,
    Rejection,
    RejectionReason,
    Settings,
    ShardWriter,
    SourceBytes,
    encode_clip,
)
from shardwriter import audio as audio_step
from shardwriter import encode as encode_step
from shardwriter.audio import CleanOptions
from shardwriter.errors import AudioError, ConfigError, MelstreamError, StorageError
from shardwriter.keys import to_key
from shardwriter.manifest import Manifest
from shardwriter.overlaps import DuplicateAudio, GroupRule, StraddlingGroup
from shardwriter.storage import S3Options, open_store

REJECTIONS_NAME = "availability/rejections.jsonl"
MAX_CLIP_SECONDS = 3600.0
_CLIPS_IN_FLIGHT_PER_WORKER = 16


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
    try:
        audio = audio_format(options)
    except ValueError as err:
        raise ConfigError(str(err)) from err
    settings = Settings(
        name=catalogue.name,
        audio=audio,
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
        outcomes = _make_samples(
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


def make_sample(
    clip: ClipRef, source: Source, settings: Settings, options: CleanOptions | None = None
) -> EncodedSample | Rejection:
    """Fetch, clean and encode one clip; what can't be used comes back as a `Rejection`."""
    if clip.file is None:
        return _rejected(clip, "fetch", RejectionReason.ABSENT, f"not in {source.url}")
    try:
        data = source.read(clip.file)
    except StorageError as err:
        return _rejected(clip, "fetch", RejectionReason.UNREADABLE, str(err))
    keeps_source = settings.audio.codec == Codec.SOURCE
    duration = clip.duration
    if duration is not None and keeps_source:
        duration = replace(duration, fit=False)  # bytes that stay as they are can't be fitted
    try:
        audio = audio_step.clean_audio(
            data,
            file=clip.file,
            sample_rate_hz=None if keeps_source else settings.audio.sample_rate_hz,
            max_seconds=MAX_CLIP_SECONDS,
            duration=duration,
            options=options,
        )
    except AudioError as err:
        return _rejected(clip, "clean", RejectionReason(err.reason), err.detail)
    passthrough = SourceBytes(
        data=data, suffix=audio.source_suffix, sample_rate_hz=audio.sample_rate_hz
    )
    return encode_clip(
        CleanClip(
            id=clip.id,
            split=clip.split,
            pcm_T=audio.pcm_T,
            labels=clip.labels,
            num_clipped=audio.num_clipped,
            source=audio.source,
            clean=audio.clean,
            passthrough=passthrough if keeps_source else None,
            fold=clip.fold,
            group=clip.group,
            metadata=clip.metadata,
        ),
        settings,
    )


def _rejected(clip: ClipRef, stage: str, reason: RejectionReason, detail: str) -> Rejection:
    return Rejection(clip_id=clip.id, stage=stage, reason=reason, detail=detail)


def _make_samples(
    clips: Sequence[ClipRef],
    source: Source,
    settings: Settings,
    options: CleanOptions,
    *,
    num_workers: int,
) -> Iterator[EncodedSample | Rejection]:
    """Yield each clip's outcome in order; a bounded number is in flight."""
    if num_workers == 0:
        for clip in clips:
            yield make_sample(clip, source, settings, options)
        return
    # spawn, not fork: the parent may hold threads (torch, pyarrow) that a fork would break.
    with ProcessPoolExecutor(
        num_workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_open_worker_source,
        initargs=(source.url, settings, options),
    ) as pool:
        in_flight: collections.deque[Future[EncodedSample | Rejection]] = collections.deque()
        try:
            for clip in clips:
                with _interrupts_held_back():
                    in_flight.append(pool.submit(_make_sample_in_worker, clip))
                if len(in_flight) > num_workers * _CLIPS_IN_FLIGHT_PER_WORKER:
                    yield in_flight.popleft().result()
            while in_flight:
                yield in_flight.popleft().result()
        except BrokenProcessPool as err:
            raise MelstreamError(
                "a worker process died while it cleaned a clip (out of memory, or a crash in a "
                "decoder); run again with --workers 0 to see at which clip"
            ) from err
        finally:
            for future in in_flight:
                future.cancel()


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C wait: the workers that `submit` starts inherit that, and never see it.

    An interrupt in the middle of a worker's talk with its queue would leave both sides waiting.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


_worker: tuple[Source, Settings, CleanOptions] | None = None
"""Set once in each worker process: the source can't travel with every clip."""


def _open_worker_source(url: str, settings: Settings, options: CleanOptions) -> None:
    # Ctrl-C reaches every process of the terminal; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    global _worker
    _worker = open_source(url), settings, options
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when its parent is gone; one that was killed can't tell its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_sample_in_worker(clip: ClipRef) -> EncodedSample | Rejection:
    if _worker is None:
        raise RuntimeError("the worker process was not initialised")
    source, settings, options = _worker
    return make_sample(clip, source, settings, options)


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
