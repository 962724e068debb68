"""Clips per second from shards to a training step, with the way to the device overlapped or not.

    shards ─ShardLoader─▶ pinned int16 ─copy─▶ device ─log-mels─▶ step of a small network

Overlapped, copies and log-mels of a batch run on a stream of their own while the step before it is
at work. Otherwise each batch is copied, computed and learnt from before the next one is asked for.
The loader's threads work ahead in both.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu_report import Section, Workload, mebibytes
from benchmarks.gpu_timing import with_peak_bytes
from loader import AudioBatch, LoaderConfig, ShardLoader, World
from loader.features import LogMel

FRONT_END = "panns"
CLIP_SECONDS = 5.0
NUM_CLASSES = 10
_TITLE = "From shards to a training step"
_HEADER = ("up to", "overlap", "clips/s", "peak MiB")

Staged = tuple[Tensor, ...]
Step = Callable[[Staged], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured.

    Attributes:
        num_clips: Clips in the dataset, 400 at most.
        batch_size: Clips in a batch.
        num_measured: Clips to take, epoch after epoch.
    """

    num_clips: int
    batch_size: int
    num_measured: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How far batches go: `stage` brings one to the device, `step` works with what came."""

    name: str
    stage: Callable[[AudioBatch], Staged]
    step: Step


def time_pipeline(workload: Workload, size: Size) -> Section:
    """Measure each length of the way, one batch after the other and overlapped."""
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            url = _make_shards(Path(folder), size.num_clips)
        except ModuleNotFoundError as err:
            note = f"Not measured: making the shards needs {err.name}, which is not installed."
            return Section(title=_TITLE, header=_HEADER, rows=[], notes=[note])
        for way in _ways(workload.device):
            for is_overlapped in (False, True):
                _run(way, url, size, workload.device, is_overlapped, size.batch_size)
                figure = _measured(way, url, size, workload.device, is_overlapped)
                overlap = "on" if is_overlapped else "off"
                figures[f"{way.name}, overlap {overlap}"] = figure
                speed = f"{figure['clips_per_second']:.0f}"
                rows.append((way.name, overlap, speed, mebibytes(figure["peak_bytes"])))
    return Section(
        title=_TITLE,
        header=_HEADER,
        rows=rows,
        notes=[
            f"{size.num_clips} FLAC clips of {CLIP_SECONDS:g} s at 32 kHz on the local disk, over "
            f"and over; batches of {size.batch_size}; {size.num_measured} clips counted after a "
            f"first batch; {_num_threads()} loader threads. The step is forward, backward and SGD "
            "of a network of four convolutions, in bf16 on CUDA.",
        ],
        data={"ways": figures},
    )


def _ways(device: torch.device) -> list[_Way]:
    log_mel = LogMel.preset(FRONT_END).to(device)

    def copied(batch: AudioBatch) -> Staged:
        there = batch.to(device, non_blocking=True)
        return there.wave_BT, there.num_samples_B, there.target_BK

    def with_features(batch: AudioBatch) -> Staged:
        wave_BT, num_samples_B, target_BK = copied(batch)
        return log_mel(wave_BT, num_samples_B), target_BK

    def nothing(staged: Staged) -> None:
        del staged

    return [
        _Way(name="the host", stage=lambda batch: (batch.wave_BT,), step=nothing),
        _Way(name="the device", stage=copied, step=nothing),
        _Way(name="log-mels", stage=with_features, step=nothing),
        _Way(name="a training step", stage=with_features, step=_training(device)),
    ]


def _training(device: torch.device) -> Step:
    network = nn.Sequential(
        nn.Unflatten(1, (1, LogMel.preset(FRONT_END).config.num_mels)),
        *_block(1, 32),
        *_block(32, 64),
        *_block(64, 128),
        *_block(128, 256),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, NUM_CLASSES),
    ).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    to_loss = nn.BCEWithLogitsLoss()

    def step(staged: Staged) -> None:
        mel_BMF, target_BK = staged
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits_BK = network(mel_BMF)
        to_loss(logits_BK.float(), target_BK).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _block(num_in: int, num_out: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(num_in, num_out, 3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(num_out), nn.ReLU(), nn.MaxPool2d(2)


def _measured(
    way: _Way, url: str, size: Size, device: torch.device, is_overlapped: bool
) -> dict[str, Any]:
    seconds, peak = with_peak_bytes(
        lambda: _run(way, url, size, device, is_overlapped, size.num_measured), device
    )
    return {"clips_per_second": size.num_measured / seconds, "peak_bytes": peak}


def _run(
    way: _Way,
    url: str,
    size: Size,
    device: torch.device,
    is_overlapped: bool,
    num_measured: int,
) -> float:
    """Return the seconds that so many clips take; the first batch is not counted."""
    staged = _staged(_batches(url, size), way.stage, device, is_overlapped=is_overlapped)
    way.step(next(staged))
    _wait(device)
    begin = time.perf_counter()
    for _ in range(0, num_measured, size.batch_size):
        way.step(next(staged))
        if not is_overlapped:
            _wait(device)
    _wait(device)
    return time.perf_counter() - begin


def _staged(
    batches: Iterator[AudioBatch],
    stage: Callable[[AudioBatch], Staged],
    device: torch.device,
    *,
    is_overlapped: bool,
) -> Iterator[Staged]:
    """Yield what `stage` makes of each batch; overlapped, one is made while another is in use."""
    if not is_overlapped or device.type != "cuda":
        yield from map(stage, batches)
        return
    side, current = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    ahead: tuple[Staged, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(side):
            made, done = stage(batch), torch.cuda.Event()
            done.record(side)
        if ahead is not None:
            yield _handed_over(*ahead, current)
        ahead = made, done
    if ahead is not None:
        yield _handed_over(*ahead, current)


def _handed_over(staged: Staged, done: torch.cuda.Event, stream: torch.cuda.Stream) -> Staged:
    stream.wait_event(done)
    for tensor in staged:
        if tensor.is_cuda:  # its memory is not used anew on the side before the step is done
            tensor.record_stream(stream)
    return staged


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _batches(url: str, size: Size) -> Iterator[AudioBatch]:
    """Yield batches epoch after epoch, without end."""
    config = LoaderConfig(
        url=url,
        split="train",
        batch_size=size.batch_size,
        crop_seconds=CLIP_SECONDS,
        num_threads=_num_threads(),
    )
    loader = ShardLoader(config, world=World())
    while True:
        yield from loader


def _num_threads() -> int:
    return len(os.sched_getaffinity(0))


def _make_shards(folder: Path, num_clips: int) -> str:
    """Ingest some of the embedded clips and return where they are."""
    # Here, so that features and augmentation can be measured where ingest's packages are missing.
    from jobs.catalogues.esc50 import read_catalogue
    from jobs.fetching.open_fetcher import open_fetcher
    from jobs.ingest import IngestOptions, ingest
    from jobs.sample import sample_folder
    from jobs.sources import open_source

    source = open_source(str(sample_folder()))
    catalogue = read_catalogue(source, subset="esc10")
    few = replace(catalogue, clips=catalogue.clips[:num_clips])
    options = IngestOptions(out=str(folder / "shards"), max_samples_per_shard=64)
    ingest(few, open_fetcher(source.url), options)
    return options.out
