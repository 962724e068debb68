"""Small datasets and hostile tars, made in code."""

import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.audio import Pcm

RATE_HZ = 8000
LABELS = ("bark", "rain", "siren")


def noise(number: int, *, num_samples: int = 300) -> Pcm:
    return np.random.default_rng(number).integers(-9000, 9000, num_samples, dtype=np.int16)


def clip(
    number: int, *, split: str = "train", sound: int | None = None, **fields: object
) -> CleanClip:
    return CleanClip(
        id=f"made/{number:03d}",
        split=split,
        pcm_T=noise(number if sound is None else sound),
        labels=(LABELS[number % len(LABELS)],),
        fold=number % 5 + 1,
        **fields,
    )


def settings() -> Settings:
    audio = AudioFormat(sample_rate_hz=RATE_HZ, frame_num_samples=64)
    return Settings(name="made", audio=audio, labels=LABELS)


def write_dataset(
    folder: Path, clips: Iterable[CleanClip], *, clips_per_shard: int = 3, **options: object
) -> ShardWriter:
    """Write what is not there yet; return the closed writer."""
    writer = ShardWriter(str(folder), settings(), max_samples_per_shard=clips_per_shard, **options)
    with writer:
        for one in clips:
            if not writer.is_written(one.id.replace("/", "+")):
                writer.write_clip(one)
    return writer


def tree(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def tar_bytes(
    members: Iterable[tuple[str, bytes]], *, tar_format: int = tarfile.USTAR_FORMAT
) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tar_format) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def header(
    name: bytes = b"a.flac",
    *,
    size: bytes = b"00000000000\0",
    kind: bytes = b"0",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
) -> bytes:
    """A header block with a right checksum and whatever else."""
    block = bytearray(512)
    block[0 : len(name)] = name
    block[100:124] = b"0000644\0" + b"0000000\0" * 2
    block[124:136] = size
    block[136:148] = b"00000000000\0"
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[257:265] = magic
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
