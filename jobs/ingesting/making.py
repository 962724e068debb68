"""One try at one clip: fetch, clean, judge, encode. What came of it is a value, and is logged."""

import contextlib
import hashlib
import logging
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from jobs.availability.attempt import Attempt, Vantage
from jobs.availability.log import AttemptsLog
from jobs.availability.outcome import Code, Group, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.catalogues.targets import sample_targets
from jobs.fetching.fetcher import Fetcher, SourceAudio
from jobs.fetching.validate import judge
from jobs.ingesting import clock
from jobs.ingesting.spool import Spool
from shardwriter import CleanClip, EncodedSample, RejectionReason, Settings, encode_clip
from shardwriter import audio as audio_step
from shardwriter.audio import CleanAudio, CleanOptions
from shardwriter.audio_format import Codec
from shardwriter.encode import SourceBytes
from shardwriter.errors import AudioError
from shardwriter.storage import S3Options, open_store

logger = logging.getLogger(__name__)

MAX_CLIP_SECONDS: Final = 3600.0
NETWORK_KINDS: Final = frozenset({"http", "s3", "youtube"})
"""Kinds of sources that cost to ask twice, and that may answer otherwise the second time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a worker must know to make samples; travels to it once."""

    fetcher: Fetcher
    settings: Settings
    clean: CleanOptions
    run_id: str
    lane: str
    """Of the writer that the samples are for; empty: the only one."""
    vantage: Vantage
    out: str
    s3: S3Options | None
    max_fetches_at_once: int | None = None
    """By all workers of this machine together; None: as many as there are workers."""
    work: Path
    """Local folder that outlives the process: fetched bytes, journals of the attempts log."""

    def for_lane(self, lane: str) -> "Recipe":
        """Return the recipe for the writer of another lane."""
        return replace(self, lane=lane)

    @property
    def is_network(self) -> bool:
        """Whether the source is one of `NETWORK_KINDS`."""
        return self.fetcher.kind in NETWORK_KINDS

    @property
    def journal_folder(self) -> Path:
        """Where attempts are kept until they are published."""
        return self.work / "journals"

    @property
    def spool(self) -> Spool:
        """Where fetched bytes are kept."""
        return Spool(self.work / "spool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A try that is to be made."""

    clip: ClipRef
    attempt: int = 1
    """Number of the try at this clip in this run, from 1."""
    may_spool: bool = True
    is_canary: bool = False
    """Whether only the answer matters: it is asked for anew, and nothing is kept."""
    canary_state: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of a try. Small but for the sample: it travels between processes."""

    code: Code
    group: Group
    stage: str = ""
    """The step that refused the clip: `fetch` or `clean`."""
    reason: str = ""
    """In one word, finer than the code where the audio itself is at fault."""
    detail: str = ""
    sample: EncodedSample | None = None
    num_spooled_bytes: int = 0
    retry_after_seconds: float | None = None
    """The pause that the source asked for, if it did."""


@contextlib.contextmanager
def open_maker(
    recipe: Recipe, gate: contextlib.AbstractContextManager[object] | None = None
) -> Iterator["ClipMaker"]:
    """Open the source and a log of one's own; in the process that is to make samples.

    Args:
        recipe: How they are made.
        gate: Entered for each fetch: it may let in a few workers at a time.
    """
    log = AttemptsLog(
        open_store(recipe.out, recipe.s3),
        run_id=recipe.run_id,
        worker=f"{recipe.lane or 'all'}-{secrets.token_hex(4)}",
        journal_folder=recipe.journal_folder,
    )
    with log, recipe.fetcher.open() as fetcher:
        yield ClipMaker(recipe, fetcher, log, gate or contextlib.nullcontext())


class ClipMaker:
    """Makes samples of clips, one at a time, and logs each try."""

    def __init__(
        self,
        recipe: Recipe,
        fetcher: Fetcher,
        log: AttemptsLog,
        gate: contextlib.AbstractContextManager[object],
    ) -> None:
        self._recipe = recipe
        self._gate = gate
        self._fetcher = fetcher
        self._log = log
        self._spool = recipe.spool if recipe.is_network else None

    def make(self, job: Job) -> Tried:
        """Try a clip."""
        started = time.monotonic()
        got, num_spooled = self._fetch(job)
        if isinstance(got, Outcome):
            outcome, sample = got, None
            reason = "absent" if got.group is Group.ABSENT else got.code.value
            tried = _failed(got, stage="fetch", reason=reason)
        else:
            outcome, sample, reason = self._clean(job.clip, got)
            if sample is None:
                self._forget(job.clip)
                tried = _failed(outcome, stage="clean", reason=reason)
            else:
                tried = Tried(
                    code=outcome.code,
                    group=outcome.group,
                    sample=sample,
                    num_spooled_bytes=num_spooled,
                )
        self._log.append(self._row(job, got, outcome, sample, time.monotonic() - started))
        return tried

    def _fetch(self, job: Job) -> tuple[SourceAudio | Outcome, int]:
        """Return what the spool or the source has, and the bytes that the spool took for it."""
        if self._spool is None or job.is_canary:
            return self._ask(job.clip), 0
        held = self._spool.get(job.clip.id)
        if held is not None:
            return replace(held, num_bytes=0), 0  # counted when the clip was fetched
        got = self._ask(job.clip)
        if isinstance(got, Outcome) or not job.may_spool:
            return got, 0
        return got, self._spool.put(job.clip.id, got)

    def _ask(self, clip: ClipRef) -> SourceAudio | Outcome:
        with self._gate:
            return self._fetcher.fetch(clip)

    def _forget(self, clip: ClipRef) -> None:
        if self._spool is not None:
            self._spool.drop([clip.id])

    def _clean(
        self, clip: ClipRef, source: SourceAudio
    ) -> tuple[Outcome, EncodedSample | None, str]:
        settings = self._recipe.settings
        keeps_source = settings.audio.codec == Codec.SOURCE
        duration = clip.duration
        if duration is not None and keeps_source:
            duration = replace(duration, fit=False)  # bytes that stay as they are can't be fitted
        options = self._recipe.clean
        if clip.channel is not None:
            options = replace(options, channel=clip.channel)
        try:
            _check_whole(clip, source, keeps_source=keeps_source)
            audio = audio_step.clean_audio(
                source.data,
                file=source.file,
                sample_rate_hz=None if keeps_source else settings.audio.sample_rate_hz,
                max_seconds=MAX_CLIP_SECONDS,
                duration=duration,
                cut=source.cut,
                options=options,
            )
        except AudioError as err:
            return judge(clip, err), None, err.reason
        outcome = judge(clip, audio)
        if outcome.group is not Group.OK:
            return outcome, None, outcome.code.value
        return outcome, encode_clip(self._clip(clip, source, audio), settings), ""

    def _clip(self, clip: ClipRef, source: SourceAudio, audio: CleanAudio) -> CleanClip:
        keeps_source = self._recipe.settings.audio.codec == Codec.SOURCE
        passthrough = SourceBytes(
            data=source.data, suffix=audio.source_suffix, sample_rate_hz=audio.sample_rate_hz
        )
        fetched = {"fetched": dict(source.metadata)} if source.metadata else {}
        return CleanClip(
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
            targets=sample_targets(clip.metadata, self._recipe.settings.targets),
            metadata={**clip.metadata, **fetched},
        )

    def _row(
        self,
        job: Job,
        got: SourceAudio | Outcome,
        outcome: Outcome,
        sample: EncodedSample | None,
        seconds: float,
    ) -> Attempt:
        clip = job.clip
        fetched = got if isinstance(got, SourceAudio) else None
        record = sample.record if sample else None
        return Attempt(
            run_id=self._recipe.run_id,
            attempt=job.attempt,
            source=self._fetcher.kind,
            clip_id=clip.id,
            video_id=clip.video_id,
            start_seconds=clip.cut.start_seconds if clip.cut else None,
            stop_seconds=clip.cut.stop_seconds if clip.cut else None,
            time_utc=utc_now(),
            code=outcome.code,
            group=outcome.group,
            evidence=outcome.evidence,
            tool=fetched.tool if fetched else self._fetcher.tool,
            rules_version=outcome.rules_version,
            vantage=self._recipe.vantage,
            client=fetched.client if fetched else "",
            num_bytes=fetched.num_bytes if fetched else 0,
            seconds=seconds,
            canary_state=job.canary_state,
            source_sha256=_whole_sha256(fetched),
            pcm_sha256=record.pcm_sha256 if record else None,
            licence=_told(fetched, "licence"),
            fetch_mode=_told(fetched, "mode"),
        )


def utc_now() -> str:
    """Return the time as the attempts log has it: ISO 8601 with milliseconds and `Z`."""
    return clock.now().isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _check_whole(clip: ClipRef, source: SourceAudio, *, keeps_source: bool) -> None:
    """Refuse to keep a file's bytes for a clip that is a part of it: they would not be the clip."""
    if keeps_source and (source.cut is not None or clip.channel is not None):
        raise AudioError(
            RejectionReason.UNSUPPORTED,
            f"{clip.id} is a part of {source.file}, and the codec 'source' keeps files as they are",
        )


def _failed(outcome: Outcome, *, stage: str, reason: str) -> Tried:
    evidence = outcome.evidence
    detail = evidence.text or f"expected {evidence.expected}, got {evidence.got}"
    return Tried(
        code=outcome.code,
        group=outcome.group,
        stage=stage,
        reason=reason,
        detail=detail,
        retry_after_seconds=evidence.retry_after_seconds,
    )


def _whole_sha256(fetched: SourceAudio | None) -> str | None:
    if fetched is None or not fetched.metadata.get("is_whole", True):
        return None
    return hashlib.sha256(fetched.data).hexdigest()


def _told(fetched: SourceAudio | None, name: str) -> str | None:
    """Return what the fetcher tells of a file, None if it doesn't."""
    value = fetched.metadata.get(name) if fetched else None
    return str(value) if value else None
