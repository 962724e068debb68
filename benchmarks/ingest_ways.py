"""The ways from an encoded file to a sample in a FLAC shard that `benchmarks.ingest` compares.

Runs as a process of its own, in the environment of the way it measures:
`python ingest_ways.py WAY FOLDER OUT`. It makes one pass over the folder's files to warm up, then
one for each line on its standard input, and answers each with a line of JSON: seconds of CPU
(children included) and of wall, and bytes of FLAC. Every way decodes, mixes to mono, resamples to
32 kHz, encodes 16-bit FLAC and appends FLAC and JSON to a tar.
"""

import contextlib
import functools
import io
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

RATE_HZ = 32_000
CLIPS_PER_SHARD = 1000
CLIPS_TOGETHER = 16
"""That ours encodes at a time, as `melstream ingest` does; others have no use for it."""
ToFlac = Callable[[Path], bytes]
AddAll = Callable[[Sequence[Path]], int]
"""Makes samples of files; returns the bytes of FLAC."""


def melstream(out: Path) -> Iterator[AddAll]:
    """Ours: the whole of what `melstream ingest` does with clips, hashes and index included."""
    from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter, encode_clips
    from shardwriter.audio import clean_audio

    settings = Settings(name="bench", audio=AudioFormat(sample_rate_hz=RATE_HZ), labels=("a",))
    numbers = itertools.count()
    with ShardWriter(str(out), settings, max_samples_per_shard=CLIPS_PER_SHARD) as writer:

        def clean(path: Path) -> CleanClip:
            audio = clean_audio(
                path.read_bytes(), file=path.name, sample_rate_hz=RATE_HZ, max_seconds=3600
            )
            return CleanClip(
                id=f"bench/{next(numbers)}",
                split="train",
                pcm_T=audio.pcm_T,
                labels=("a",),
                num_clipped=audio.num_clipped,
                source=audio.source,
                clean=audio.clean,
            )

        def add_all(paths: Sequence[Path]) -> int:
            num_bytes = 0
            for start in range(0, len(paths), CLIPS_TOGETHER):
                clips = [clean(path) for path in paths[start : start + CLIPS_TOGETHER]]
                for sample in encode_clips(clips, settings):
                    writer.write(sample)
                    num_bytes += len(sample.audio)
            return num_bytes

        yield add_all


def with_webdataset(to_flac: ToFlac, out: Path) -> Iterator[AddAll]:
    """Any of the ways below, with webdataset's ShardWriter behind it."""
    import webdataset

    numbers = itertools.count()
    out.mkdir()
    pattern = str(out / "%06d.tar")
    with webdataset.ShardWriter(pattern, maxcount=CLIPS_PER_SHARD, verbose=0) as writer:

        def add(path: Path) -> int:
            data = to_flac(path)
            key = f"{next(numbers):09d}"
            writer.write({"__key__": key, "flac": data, "json": {"labels": ["a"], "key": key}})
            return len(data)

        yield lambda paths: sum(map(add, paths))


def by_ffmpeg_process(path: Path) -> bytes:
    """One ffmpeg process a clip, as downloaders do."""
    command = (
        f"ffmpeg -nostdin -v error -i {path} -ac 1 -af aresample=resampler=soxr:precision=20 "
        f"-ar {RATE_HZ} -sample_fmt s16 -f flac -"
    )
    return subprocess.run(command.split(), check=True, capture_output=True).stdout


def by_soundfile(path: Path) -> bytes:
    """Soundfile and soxr."""
    import soundfile

    wave_TC, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return _resampled(wave_TC[:, 0] if wave_TC.shape[1] == 1 else wave_TC.mean(axis=1), rate)


def by_librosa(path: Path) -> bytes:
    """librosa.load, which decodes, mixes and resamples (soxr HQ is its default)."""
    import librosa

    wave_T, _ = librosa.load(path, sr=RATE_HZ, mono=True)
    return _to_flac(wave_T)


def by_pyav(path: Path, probesize: int | None = None) -> bytes:
    """PyAV as its documentation reads a file, and soxr."""
    import av
    import numpy as np

    options = {"probesize": str(probesize)} if probesize else {}
    with av.open(str(path), options=options) as opened:
        frames = [frame.to_ndarray() for frame in opened.decode(audio=0)]
        rate, form = frame_rate(opened), opened.streams.audio[0].format
    wave_CT = np.concatenate(frames, axis=1)
    if form.name == "s16":
        wave_CT = wave_CT.astype(np.float32) / 32768
    return _resampled(wave_CT.mean(axis=0) if len(wave_CT) > 1 else wave_CT[0], rate)


def frame_rate(opened: Any) -> int:
    """Rate of the first audio stream."""
    return int(opened.streams.audio[0].rate)


def by_torchcodec(path: Path) -> bytes:
    """torchcodec, which also mixes and resamples (by FFmpeg's own resampler)."""
    from torchcodec.decoders import AudioDecoder

    decoder = AudioDecoder(str(path), sample_rate=RATE_HZ, num_channels=1)
    return _to_flac(decoder.get_all_samples().data[0].numpy())


def lhotse(out: Path) -> Iterator[AddAll]:
    """Lhotse's recordings, resampled and written as Shar with FLAC."""
    from lhotse import Recording
    from lhotse.shar import SharWriter

    numbers = itertools.count()
    out.mkdir()
    with SharWriter(str(out), fields={"recording": "flac"}, shard_size=CLIPS_PER_SHARD) as writer:

        def add(path: Path) -> int:
            recording = Recording.from_file(path, recording_id=f"{next(numbers):09d}")
            cut = recording.resample(RATE_HZ).to_cut()
            writer.write(cut if recording.num_channels == 1 else cut.to_mono(mono_downmix=True))
            return 0

        yield lambda paths: sum(map(add, paths))


def _resampled(wave_T: Any, rate: int) -> bytes:
    import soxr

    return _to_flac(soxr.resample(wave_T, rate, RATE_HZ, quality="HQ"))


def _to_flac(wave_T: Any) -> bytes:
    import soundfile

    sink = io.BytesIO()
    soundfile.write(sink, wave_T, RATE_HZ, format="FLAC", subtype="PCM_16")
    return sink.getvalue()


def _through(to_flac: ToFlac) -> Callable[[Path], Iterator[AddAll]]:
    return functools.partial(with_webdataset, to_flac)


WAYS: dict[str, Callable[[Path], Iterator[AddAll]]] = {
    "melstream": melstream,
    "soundfile + soxr + webdataset": _through(by_soundfile),
    "librosa + webdataset": _through(by_librosa),
    "Lhotse Shar": lhotse,
    "PyAV + soxr + webdataset": _through(by_pyav),
    "PyAV, probesize 32768": _through(functools.partial(by_pyav, probesize=32768)),
    "torchcodec + webdataset": _through(by_torchcodec),
    "ffmpeg process a clip": _through(by_ffmpeg_process),
}


def main() -> None:
    """Measure one way, pass by pass, for as long as there is input."""
    way, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    paths = sorted(folder.iterdir())
    with contextlib.contextmanager(WAYS[way])(out) as add_all:
        add_all(paths)
        print(json.dumps({"ready": True}), file=answers, flush=True)
        for _ in sys.stdin:
            cpu, wall = _cpu_seconds(), time.perf_counter()
            num_bytes = add_all(paths)
            answer = {
                "cpu": _cpu_seconds() - cpu,
                "wall": time.perf_counter() - wall,
                "num_bytes": num_bytes,
            }
            print(json.dumps(answer), file=answers, flush=True)


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
