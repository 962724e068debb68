"""Tars made to harm: refused with a typed error, in bounded memory, nothing extracted."""

import gzip
import io
import random
import struct
import tarfile
import time
import tracemalloc
from itertools import starmap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shardwriter import untar
from shardwriter.errors import ShardFormatError
from shardwriter.foreign import scan_foreign_shard
from shardwriter.schema import ForeignFormat
from shardwriter.storage import LocalStore
from shardwriter.tarshard import read_members
from shardwriter.untar import TarReader
from tests.shardwriter.dataset_builders import clip, header, tar_bytes, write_dataset

END = bytes(1024)
FOREIGN = ForeignFormat(audio_suffixes=("flac", "wav"), label_field="json.labels")
DATA = b"x" * 700


def read_all(data: bytes, *, is_foreign: bool = True) -> list[tuple[str, bytes]]:
    reader = TarReader(io.BytesIO(data), num_bytes=len(data), where="t.tar", is_foreign=is_foreign)
    return [(member.name, reader.data()) for member in reader]


def pax(records: bytes, *, kind: bytes = b"x") -> bytes:
    padded = records + bytes(-len(records) % 512)
    return header(b"PaxHeader", size=b"%011o\0" % len(records), kind=kind) + padded


def pax_record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length += 1
    return str(length).encode() + body


HOSTILE = {
    "absolute path": header(b"/etc/passwd") + END,
    "path that leads out": header(b"a/../../b.flac") + END,
    "absolute through the prefix": header(b"passwd", prefix=b"/etc") + END,
    "absolute through pax": pax(pax_record(b"path", b"/etc/passwd")) + header() + END,
    "leading out through a GNU long name": header(b"L", size=b"%011o\0" % 6, kind=b"L")
    + b"../x.a".ljust(512, b"\0")
    + header()
    + END,
    "hard link": header(kind=b"1") + END,
    "symbolic link": header(kind=b"2") + END,
    "character device": header(kind=b"3") + END,
    "block device": header(kind=b"4") + END,
    "fifo": header(kind=b"6") + END,
    "unknown type": header(kind=b"Z") + END,
    "sparse": header(kind=b"S") + END,
    "sparse through pax": pax(pax_record(b"GNU.sparse.major", b"1")) + header() + END,
    "there twice": header() + header() + END,
    "8 EiB": header(size=b"\x80" + struct.pack(">3xQ", 1 << 63)) + END,
    "more than is there": header(size=b"00000077777\0") + END,
    "8 EiB through pax": pax(pax_record(b"size", str(1 << 63).encode())) + header() + END,
    "huge decimal through pax": pax(pax_record(b"size", b"9" * 5000)) + header() + END,
    "negative through pax": pax(pax_record(b"size", b"-512")) + header() + END,
    "negative": header(size=b"\xff" * 12) + END,
    "negative far": header(size=b"\xff" + bytes(11)) + END,
    "not octal": header(size=b"0000000008x\0") + END,
    "name with NUL through pax": pax(pax_record(b"path", b"a\0b.flac")) + header() + END,
    "name that is not UTF-8": header(b"\xff\xfe.flac") + END,
    "empty name": header(b"") + END,
    "pax header behind a pax header": pax(pax_record(b"a", b"b")) * 2 + header() + END,
    "pax header without a member": pax(pax_record(b"a", b"b")) + END,
    "pax record too long": pax(b"999 path=x\n") + header() + END,
    "pax record of no length": pax(b"path=x\n") + header() + END,
    "pax header that declares 8 GB": header(size=b"77777777777\0", kind=b"x") + END,
    "global pax header that renames": pax(pax_record(b"path", b"x"), kind=b"g") + header() + END,
    "folder with data": header(b"a/", size=b"00000000001\0", kind=b"5") + bytes(512) + END,
    "no end": header(),
    "half an end": header() + bytes(512),
    "half a header": header()[:300],
    "nothing": b"",
    "garbage behind the end": header() + END + b"x" + bytes(511),
    "a second tar behind the end": header() + END + header(b"b.flac") + END,
    "wrong checksum": header()[:-1] + b"x" + END,
    "no magic of a tar": header(magic=b"nothing!") + END,
    "zip": b"PK\x03\x04" + bytes(2000),
    "gzip": gzip.compress(header() + END) + bytes(1024),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("is_foreign", [False, True])
def test_hostile_tar_is_refused_by_name(name: str, is_foreign: bool) -> None:
    with pytest.raises(ShardFormatError, match=r"^t\.tar at byte \d+: "):
        read_all(HOSTILE[name], is_foreign=is_foreign)


@pytest.mark.parametrize("records", [{}, {b"mtime": b"1"}, {b"path": b"b.flac", b"size": b"0"}])
def test_a_pax_header_of_ours_says_a_name_and_nothing_else(records: dict[bytes, bytes]) -> None:
    data = pax(b"".join(starmap(pax_record, records.items()))) + header() + END
    read_all(data)
    with pytest.raises(ShardFormatError, match=r"a pax header with .*, expected only a path"):
        read_all(data, is_foreign=False)
    long = pax(pax_record(b"path", b"b" * 101)) + header() + END
    assert read_all(long, is_foreign=False) == [("b" * 101, b"")]


def test_compressed_tar_is_named_and_the_way_out_said() -> None:
    with pytest.raises(ShardFormatError, match="gzip-compressed: decompress it"):
        read_all(gzip.compress(header() + END) + bytes(1024))


@pytest.mark.parametrize(
    "block", [header(kind=b"5", name=b"a/"), header(magic=b"ustar  \x00"), header(magic=bytes(8))]
)
def test_what_our_writer_never_makes_is_taken_from_others_only(block: bytes) -> None:
    read_all(block + END)
    with pytest.raises(ShardFormatError, match="plain files"):
        read_all(block + END, is_foreign=False)


@pytest.mark.parametrize(
    "tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
def test_every_format_of_tarfile_is_read_with_long_names(tar_format: int) -> None:
    long = "d" * 60 + "/" + "e" * 60 + "/é.flac" if tar_format else "d" * 60 + "/" + "e" * 60
    if tar_format != tarfile.USTAR_FORMAT:
        long += "/" + "f" * 300
    members = [("a.flac", DATA), (long, b""), ("b.json", b"{}")]
    assert read_all(tar_bytes(members, tar_format=tar_format)) == members


def test_pax_bomb_of_many_headers_ends_soon_and_without_recursion() -> None:
    bomb = pax(pax_record(b"comment", b"x"), kind=b"g") * 20_000 + header() + END
    started = time.thread_time()  # the machine may be busy with other things
    assert read_all(bomb) == [("a.flac", b"")]
    assert time.thread_time() - started < 20


def test_memory_is_bounded_by_the_largest_member(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(60):
            info = tarfile.TarInfo(f"{number}.flac")
            info.size = 1 << 20
            tar.addfile(info, io.BytesIO(bytes(1 << 20)))
    tracemalloc.start()
    shard = scan_foreign_shard(LocalStore(tmp_path), "t.tar", FOREIGN)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(shard.rejections) == 60  # zeros are no audio, and there is no label
    assert peak < 16 << 20


def test_member_over_the_bound_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untar, "MAX_MEMBER_BYTES", 100)
    with pytest.raises(ShardFormatError, match="member of 700 bytes, at most 100"):
        read_all(tar_bytes([("a.flac", DATA)]))


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untar, "MAX_MEMBERS", 2)
    with pytest.raises(ShardFormatError, match="over 2 members"):
        read_all(tar_bytes([(f"{number}.flac", b"") for number in range(3)]))


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("real")
    write_dataset(folder, [clip(number) for number in range(3)])
    return (folder / "train" / "made-000000.tar").read_bytes()


@pytest.mark.parametrize("is_foreign", [False, True])
def test_shard_cut_at_any_byte_is_refused_or_whole(shard: bytes, is_foreign: bool) -> None:
    whole = read_all(shard, is_foreign=is_foreign)
    end = max(number for number, byte in enumerate(shard) if byte)
    num_refused = 0
    for length in range(0, len(shard), 7):
        try:
            assert read_all(shard[:length], is_foreign=is_foreign) == whole
            assert length > end + 1024
        except ShardFormatError:
            num_refused += 1
    assert num_refused > end // 7


def mutate(data: bytes, rng: random.Random) -> bytes:
    mutated = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(mutated) or 1)
        kind = rng.randrange(6)
        if kind == 0:
            mutated[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            mutated[place:] = b""
        elif kind == 2:
            mutated[place : place + rng.randint(1, 600)] = b""
        elif kind == 3:
            mutated[place:place] = mutated[: rng.randint(1, 1024)]
        elif kind == 4:
            mutated[place : place + 512] = bytes(512)
        else:  # a field of a header, with its checksum made right again
            block = place - place % 512
            head = bytearray(mutated[block : block + 512].ljust(512, b"\0"))
            start = rng.choice([0, 100, 124, 124, 136, 156, 156, 257, 345])
            head[start : start + rng.randint(1, 12)] = rng.choice(
                [rng.randbytes(12), b"\xff" * 12, b"\x80" + rng.randbytes(11), b"7" * 12, b"../../"]
            )
            head = head[:512].ljust(512, b"\0")
            head[148:156] = b" " * 8
            head[148:156] = b"%06o\0 " % sum(head)
            mutated[block : block + 512] = head
    return bytes(mutated)


def check_mutation(shard: bytes, seed: int, folder: Path) -> bool:
    """Read a mutated shard all ways; say whether it was taken. No other exception may come out."""
    data = mutate(shard, random.Random(seed))
    try:
        members = list(read_members(data, where="t"))
        assert all(data[m.offset : m.offset + len(m.data)] == m.data for m in members)
        was_read = True
    except ShardFormatError:
        was_read = False
    (folder / "t.tar").write_bytes(data)
    try:
        found = scan_foreign_shard(LocalStore(folder), "t.tar", FOREIGN, decode=range(100))
        assert len(found.rows) == len(found.labels)
    except ShardFormatError:
        assert not was_read  # what is strictly right is right for the lenient reader too
    return was_read


@hypothesis_settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 1 << 40))
def test_mutated_shard_is_refused_or_read_and_nothing_else(
    shard: bytes, tmp_path: Path, seed: int
) -> None:
    check_mutation(shard, seed, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["t.tar"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_thousand_mutated_shards(shard: bytes, tmp_path: Path) -> None:
    taken = sum(check_mutation(shard, seed, tmp_path) for seed in range(20_000))
    assert 0 < taken < 20_000
    assert [path.name for path in tmp_path.iterdir()] == ["t.tar"]
