"""Archives as datasets publish them, made here: split zips, parts, tars."""

import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

ENTRY_BYTES = 46
END_BYTES = 22


def zip_bytes(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def split_zip(files: Mapping[str, bytes], *, volume_bytes: int) -> list[bytes]:
    """Return the volumes of a split zip, the one with the directory's end last.

    As `zip -s` makes them: four bytes that mark a spanned archive first, and a directory that
    gives each member's volume, and its offset in that. Members lie across volumes here.
    """
    marked = b"PK\7\x08" + zip_bytes(files)
    end = marked.rindex(b"PK\5\6")
    num_members, num_bytes, start = struct.unpack("<HLL", marked[end + 10 : end + 20])
    start += 4
    directory = bytearray(marked[start:end])
    position = 0
    for _ in range(num_members):
        lengths = struct.unpack_from("<3H", directory, position + 28)
        (offset,) = struct.unpack_from("<L", directory, position + 42)
        volume, inside = divmod(offset + 4, volume_bytes)
        struct.pack_into("<H", directory, position + 34, volume)
        struct.pack_into("<L", directory, position + 42, inside)
        position += ENTRY_BYTES + sum(lengths)
    data = marked[:start] + bytes(directory)
    last = (len(data) + END_BYTES - 1) // volume_bytes
    if (len(data) - 1) // volume_bytes != last:
        last = (len(data) - 1) // volume_bytes  # the end is not cut in two
    first, inside = divmod(start, volume_bytes)
    ending = (last, first, num_members, num_members, num_bytes, inside, 0)
    data += struct.pack("<4s4H2LH", b"PK\5\6", *ending)
    cuts = range(0, last * volume_bytes, volume_bytes)
    return [data[at : at + volume_bytes] for at in cuts] + [data[last * volume_bytes :]]


def write_split_zip(
    folder: Path, name: str, files: Mapping[str, bytes], *, volume_bytes: int
) -> list[Path]:
    """Write `NAME.z01`, `NAME.z02`, ..., `NAME.zip`; return their paths in order."""
    folder.mkdir(parents=True, exist_ok=True)
    volumes = split_zip(files, volume_bytes=volume_bytes)
    suffixes = [f".z{number:02d}" for number in range(1, len(volumes))] + [".zip"]
    paths = [folder / f"{name}{suffix}" for suffix in suffixes]
    for path, volume in zip(paths, volumes, strict=True):
        path.write_bytes(volume)
    return paths


def write_parts(folder: Path, names: list[str], data: bytes) -> list[Path]:
    """Cut bytes into as many parts as there are names."""
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(data) // len(names))
    for number, name in enumerate(names):
        (folder / name).write_bytes(data[number * size : (number + 1) * size])
    return [folder / name for name in names]


def tar_bytes(files: Mapping[str, bytes], *, mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()
