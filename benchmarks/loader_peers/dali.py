"""NVIDIA DALI's CPU pipeline. It can't crop while it decodes: the crop is a slice of the whole."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from nvidia.dali import fn, pipeline_def, types

from benchmarks.loader_peers import BATCH_SIZE, CLIP_SAMPLES

TUNINGS = {f"{reader} reader": {"reader": reader} for reader in ("files", "webdataset")}


def prepare(clips: Path, folder: Path) -> None:
    """Files in one list, and our shards with DALI's index of each."""
    folder.mkdir()
    (folder / "flac").symlink_to(clips / "flac")
    (folder / "shards").symlink_to(clips / "shards")
    indexer = Path(sys.executable).with_name("wds2idx")
    for tar in sorted((clips / "shards").glob("train/*.tar")):
        subprocess.run([indexer, tar, folder / f"{tar.name}.idx"], check=True)


def open_batches(folder: Path, num_samples: int | None, *, reader: str) -> Iterator[torch.Tensor]:
    """Yield batches copied out of the pipeline, whose buffers are used again."""

    @pipeline_def
    def pipeline() -> Any:
        if reader == "files":
            files = sorted(path.name for path in (folder / "flac").glob("*.flac"))
            encoded, _ = fn.readers.file(
                file_root=str(folder / "flac"), files=files, random_shuffle=True, name="reader"
            )
        else:
            tars = sorted((folder / "shards").glob("train/*.tar"))
            encoded = fn.readers.webdataset(
                paths=[str(tar) for tar in tars],
                index_paths=[str(folder / f"{tar.name}.idx") for tar in tars],
                ext=["flac"],
                random_shuffle=True,
                name="reader",
            )
        wave_T, _ = fn.decoders.audio(encoded, dtype=types.INT16, downmix=False)
        wave_T = fn.reshape(wave_T, shape=[CLIP_SAMPLES])
        if num_samples is None:
            return wave_T
        start = fn.random.uniform(range=[0.0, float(CLIP_SAMPLES - num_samples)])
        return fn.slice(wave_T, fn.cast(start, dtype=types.INT32), num_samples, axes=[0])

    built = pipeline(
        batch_size=BATCH_SIZE,
        num_threads=1,
        device_id=None,
        prefetch_queue_depth=2,
        exec_dynamic=True,
    )
    built.build()
    while True:
        (batch,) = built.run()
        yield torch.from_dlpack(batch.as_tensor()).clone()
