"""Tries at clips: fetch, clean, judge, encode. What came of each is a value, and is logged."""

import contextlib
import hashlib
import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from jobs.availability.attempt import Attempt
from jobs.availability.log import AttemptsLog
from jobs.availability.outcome import Code, Group, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.catalogues.targets import sample_targets
from jobs.fetching.fetcher import Fetcher, SourceAudio
from jobs.fetching.validate import judge
from jobs.ingesting.clock import utc_now
from jobs.ingesting.recipe import Recipe
from shardwriter import (
    CleanClip,
    EncodedSample,
    RejectionReason,
    encode_clips,
)
from shardwriter import audio as audio_step
from shardwriter.audio import CleanAudio
from shardwriter.audio_format import Codec
from shardwriter.encode import SourceBytes
from shardwriter.errors import AudioError
from shardwriter.storage import open_store

logger = logging.getLogger(__name__)

MAX_CLIP_SECONDS: Final = 3600.0
_MAX_BYTES_TOGETHER: Final = 64 << 20
"""Of clean clips that wait for each other: those of a minute and more hardly do."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cleaned:
    """A try before its clip, if it is good, is encoded."""

    clip: CleanClip | None
    """None: it is not good."""
    tried: Tried
    row: Attempt
    num_bytes: int
    """That the clip takes in memory."""


class ClipMaker:
    """Makes samples of clips, and logs each try."""

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

    def make(self, jobs: Sequence[Job]) -> Iterator[Tried]:
        """Try the first of some clips, as many as fit into memory together: one at least.

        Several are encoded faster than one by one, see `encode_clips`. Those behind the ones that
        were tried are left to the caller. A try is logged when it is given.
        """
        cleaned: list[_Cleaned] = []
        num_bytes = 0
        for job in jobs:
            cleaned.append(self._clean(job))
            num_bytes += cleaned[-1].num_bytes
            if num_bytes > _MAX_BYTES_TOGETHER:
                break
        started = time.monotonic()
        clips = [one.clip for one in cleaned if one.clip is not None]
        samples = iter(encode_clips(clips, self._recipe.settings))
        seconds = (time.monotonic() - started) / max(len(clips), 1)
        for one in cleaned:
            yield self._end(one, None if one.clip is None else next(samples), seconds)

    def _clean(self, job: Job) -> _Cleaned:
        """Do all but the encoding."""
        started = time.monotonic()
        got, num_spooled = self._fetch(job)
        clip = None
        if isinstance(got, Outcome):
            outcome = got
            reason = "absent" if got.group is Group.ABSENT else got.code.value
            tried = _failed(got, stage="fetch", reason=reason)
        else:
            outcome, clip, reason = self._judge(job.clip, got)
            if clip is None:
                self._forget(job.clip)
                tried = _failed(outcome, stage="clean", reason=reason)
            else:
                tried = Tried(code=outcome.code, group=outcome.group, num_spooled_bytes=num_spooled)
        row = self._row(job, got, outcome, clip)
        return _Cleaned(
            clip=clip,
            tried=tried,
            row=replace(row, seconds=time.monotonic() - started),
            num_bytes=0 if clip is None else _num_bytes(clip),
        )

    def _end(self, one: _Cleaned, sample: EncodedSample | None, seconds: float) -> Tried:
        """Log a try whose clip is encoded, if there is one to encode."""
        row = replace(one.row, time_utc=utc_now())
        if sample is not None:
            row = replace(row, seconds=row.seconds + seconds, pcm_sha256=sample.record.pcm_sha256)
        self._log.append(row)
        return replace(one.tried, sample=sample)

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

    def _judge(self, clip: ClipRef, source: SourceAudio) -> tuple[Outcome, CleanClip | None, str]:
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
        return outcome, self._clip(clip, source, audio), ""

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
        cleaned: CleanClip | None,
    ) -> Attempt:
        clip = job.clip
        fetched = got if isinstance(got, SourceAudio) else None
        return Attempt(
            run_id=self._recipe.run_id,
            attempt=job.attempt,
            source=self._fetcher.kind,
            clip_id=clip.id,
            video_id=clip.video_id,
            start_seconds=clip.cut.start_seconds if clip.cut else None,
            stop_seconds=clip.cut.stop_seconds if clip.cut else None,
            time_utc="",  # not over yet
            code=outcome.code,
            group=outcome.group,
            evidence=outcome.evidence,
            tool=fetched.tool if fetched else self._fetcher.tool,
            rules_version=outcome.rules_version,
            vantage=self._recipe.vantage,
            client=fetched.client if fetched else "",
            num_bytes=fetched.num_bytes if fetched else 0,
            seconds=0.0,
            canary_state=job.canary_state,
            source_sha256=_whole_sha256(fetched, cleaned),
            licence=_told(fetched, "licence"),
            fetch_mode=_told(fetched, "mode"),
        )


def _check_whole(clip: ClipRef, source: SourceAudio, *, keeps_source: bool) -> None:
    """Refuse to keep a file's bytes for a clip that is a part of it: they would not be the clip."""
    if keeps_source and (source.cut is not None or clip.channel is not None):
        raise AudioError(
            RejectionReason.UNSUPPORTED,
            f"{clip.id} is a part of {source.file}, and the codec 'source' keeps files as they are",
        )


def _num_bytes(clip: CleanClip) -> int:
    return clip.pcm_T.nbytes + (len(clip.passthrough.data) if clip.passthrough else 0)


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


def _whole_sha256(fetched: SourceAudio | None, cleaned: CleanClip | None) -> str | None:
    if fetched is None or not fetched.metadata.get("is_whole", True):
        return None
    if cleaned is not None and cleaned.source is not None:
        return cleaned.source.sha256  # of the same bytes
    return hashlib.sha256(fetched.data).hexdigest()


def _told(fetched: SourceAudio | None, name: str) -> str | None:
    """Return what the fetcher tells of a file, None if it doesn't."""
    value = fetched.metadata.get(name) if fetched else None
    return str(value) if value else None
