"""From listed clips to encoded samples: fetch, clean, encode; in worker processes, in order."""

import collections
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from jobs.catalogues.catalogue import ClipRef
from jobs.sources import Source, open_source
from shardwriter import CleanClip, EncodedSample, Rejection, RejectionReason, Settings, encode_clip
from shardwriter import audio as audio_step
from shardwriter.audio import CleanOptions
from shardwriter.audio_format import Codec
from shardwriter.encode import SourceBytes
from shardwriter.errors import AudioError, MelstreamError, StorageError

MAX_CLIP_SECONDS = 3600.0
_CLIPS_IN_FLIGHT_PER_WORKER = 16


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
    if keeps_source and (clip.cut is not None or clip.channel is not None):
        detail = f"it is a part of {clip.file}, and the codec 'source' keeps whole files"
        return _rejected(clip, "clean", RejectionReason.UNSUPPORTED, detail)
    if clip.channel is not None:
        options = replace(options or CleanOptions(), channel=clip.channel)
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
            cut=clip.cut,
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


def make_samples(
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
