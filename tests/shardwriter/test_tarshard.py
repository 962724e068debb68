"""One shard as a tar, against GNU tar, tarfile and the ustar header itself."""

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwriter import EncodedSample, encode_clip
from shardwriter.errors import ShardFormatError
from shardwriter.index import IndexRow, crc32c
from shardwriter.tarshard import TarShard, read_members
from tests.shardwriter.builders import SETTINGS, make_clip
from tests.shardwriter.properties import bounded

BLOCK = 512


def make_samples(count: int = 3) -> list[EncodedSample]:
    return [encode_clip(make_clip(number), SETTINGS) for number in range(count)]


def write_shard(path: Path, samples: Sequence[EncodedSample]) -> tuple[str, list[IndexRow]]:
    shard = TarShard(path)
    for sample in samples:
        shard.add(sample)
    return shard.close(), shard.rows


@pytest.fixture(scope="module")
def shard_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("tarshard") / "a.tar"
    write_shard(path, make_samples())
    return path.read_bytes()


def member_tar(name: str, **fields: object) -> bytes:
    """A tar of one member with unusual fields."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(info, field, value)
        tar.addfile(info)
    return file.getvalue()


def with_header_bytes(data: bytes, header: int, start: int, value: bytes) -> bytes:
    """The tar with bytes of a header changed, and the header's checksum made right again."""
    changed = bytearray(data)
    changed[header + start : header + start + len(value)] = value
    changed[header + 148 : header + 156] = b" " * 8
    checksum = sum(changed[header : header + BLOCK])
    changed[header + 148 : header + 156] = b"%06o\0 " % checksum
    return bytes(changed)


def names(data: bytes) -> list[str]:
    return [member.name for member in read_members(data, where="a.tar")]


def is_refused(data: bytes) -> bool:
    try:
        names(data)
    except ShardFormatError:
        return True
    return False


def test_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    digests = {write_shard(tmp_path / name, make_samples())[0] for name in ("a.tar", "b.tar")}
    assert len(digests) == 1
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_hash_is_that_of_the_file(tmp_path: Path) -> None:
    sha256, _ = write_shard(tmp_path / "a.tar", make_samples())
    assert sha256 == hashlib.sha256((tmp_path / "a.tar").read_bytes()).hexdigest()


def test_headers_are_ustar_and_say_nothing_of_this_machine(shard_bytes: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(shard_bytes)) as tar:
        members = tar.getmembers()
    assert len(members) == 6
    for member in members:
        header = shard_bytes[member.offset : member.offset + BLOCK]
        assert header[257:265] == b"ustar\x0000"
        assert (member.uid, member.gid, member.mtime) == (0, 0, 0)
        assert (member.uname, member.gname) == ("", "")
        assert member.mode == 0o644
        assert member.isreg()


def test_sample_is_an_audio_member_and_then_its_label(shard_bytes: bytes) -> None:
    expected = [
        name
        for sample in make_samples()
        for name in (f"{sample.record.key}.flac", f"{sample.record.key}.json")
    ]
    assert names(shard_bytes) == expected


def test_gnu_tar_lists_and_extracts_what_was_written(tmp_path: Path) -> None:
    samples = make_samples()
    write_shard(tmp_path / "a.tar", samples)
    folder = tmp_path / "out"
    folder.mkdir()
    listed = subprocess.run(
        ["tar", "-tf", tmp_path / "a.tar"], check=True, capture_output=True, text=True
    )
    extracted = subprocess.run(
        ["tar", "-xf", tmp_path / "a.tar", "-C", folder], check=True, capture_output=True
    )
    assert listed.stderr == ""
    assert extracted.stderr == b""
    assert listed.stdout.split() == names((tmp_path / "a.tar").read_bytes())
    for sample in samples:
        assert (folder / f"{sample.record.key}.flac").read_bytes() == sample.audio
        label = (folder / f"{sample.record.key}.json").read_bytes()
        assert label == sample.record.to_json_bytes()
    assert len(list(folder.iterdir())) == 2 * len(samples)


def test_read_members_agrees_with_tarfile(shard_bytes: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(shard_bytes)) as tar:
        reference = [
            (info.name, info.offset_data, shard_bytes[info.offset_data :][: info.size])
            for info in tar
        ]
    held = [(m.name, m.offset, m.data) for m in read_members(shard_bytes, where="a.tar")]
    assert held == reference


def test_rows_point_at_the_members_and_have_their_checksums(tmp_path: Path) -> None:
    samples = make_samples()
    _, rows = write_shard(tmp_path / "a.tar", samples)
    data = (tmp_path / "a.tar").read_bytes()
    assert len(rows) == len(samples)
    for sample, row in zip(samples, rows, strict=True):
        label = sample.record.to_json_bytes()
        assert data[row.audio_offset :][: row.audio_num_bytes] == sample.audio
        assert data[row.json_offset :][: row.json_num_bytes] == label
        assert (row.audio_crc32c, row.json_crc32c) == (crc32c(sample.audio), crc32c(label))
        assert row.key == sample.record.key
        assert row.num_samples == sample.record.num_samples
        assert row.label_ids == sample.record.label_ids
        assert row.frame_offsets == sample.frame_offsets
        for offset in row.frame_offsets:
            assert data[row.audio_offset + offset :][:2] == b"\xff\xf8"


def test_longest_key_stays_in_the_ustar_name(tmp_path: Path) -> None:
    record = replace(make_samples(1)[0].record, key="k" * 94)
    write_shard(tmp_path / "a.tar", [replace(make_samples(1)[0], record=record)])
    data = (tmp_path / "a.tar").read_bytes()
    assert names(data) == ["k" * 94 + ".flac", "k" * 94 + ".json"]
    assert data[345:500] == bytes(155)  # no prefix is used


def test_num_bytes_grows_with_what_is_written(tmp_path: Path) -> None:
    shard = TarShard(tmp_path / "a.tar")
    sizes = [shard.num_bytes]
    for sample in make_samples():
        shard.add(sample)
        sizes.append(shard.num_bytes)
    shard.close()
    assert sizes[0] == 0
    assert sizes == sorted(set(sizes))
    assert sizes[-1] <= (tmp_path / "a.tar").stat().st_size


def test_discarded_shard_leaves_no_file(tmp_path: Path) -> None:
    shard = TarShard(tmp_path / "a.tar")
    shard.add(make_samples(1)[0])
    shard.discard()
    assert list(tmp_path.iterdir()) == []


def test_record_without_a_json_form_adds_nothing(tmp_path: Path) -> None:
    good, bad = make_samples(2)
    shard = TarShard(tmp_path / "a.tar")
    with pytest.raises(ValueError, match="JSON"):
        shard.add(replace(bad, record=replace(bad.record, metadata={"x": float("nan")})))
    shard.add(good)
    shard.close()
    write_shard(tmp_path / "b.tar", [good])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


# Damage


def test_shard_cut_anywhere_is_refused(shard_bytes: bytes) -> None:
    """Every block border and the bytes about it, up to where one zero block is left at the end."""
    *_, last = read_members(shard_bytes, where="a.tar")
    end = last.offset + -(-len(last.data) // BLOCK) * BLOCK
    borders = range(0, end + 2 * BLOCK, BLOCK)
    cuts = {max(border + step, 0) for border in borders for step in (-1, 0, 1, 100)}
    tried = [cut for cut in sorted(cuts) if cut < end + 2 * BLOCK]
    assert len(tried) > 50
    assert [cut for cut in tried if not is_refused(shard_bytes[:cut])] == []
    assert not is_refused(shard_bytes[: end + 2 * BLOCK])


def test_cut_member_is_named_with_its_place_and_lengths(shard_bytes: bytes) -> None:
    first, second, *_ = read_members(shard_bytes, where="a.tar")
    with pytest.raises(ShardFormatError) as caught:
        names(shard_bytes[: second.offset + 7])
    assert str(caught.value) == (
        f"a.tar at byte {second.offset - BLOCK}: member {second.name!r} declares "
        f"{len(second.data)} bytes, only 7 are left; the shard is truncated or damaged"
    )
    assert first.name != second.name


def test_shard_cut_at_a_member_border_is_refused_with_the_place(shard_bytes: bytes) -> None:
    third = list(read_members(shard_bytes, where="a.tar"))[2]
    border = third.offset - BLOCK
    with pytest.raises(
        ShardFormatError, match=f"a.tar at byte {border}: .*, got 0; the shard is trunc"
    ):
        names(shard_bytes[:border])


def test_damaged_header_is_refused(shard_bytes: bytes) -> None:
    third = list(read_members(shard_bytes, where="a.tar"))[2]
    kept = []
    for position in range(BLOCK):
        data = bytearray(shard_bytes)
        data[third.offset - BLOCK + position] ^= 1
        if not is_refused(bytes(data)):
            kept.append(position)
    assert kept == [155]  # the space behind the checksum's own digits, which means nothing


def test_bytes_after_the_end_are_refused(shard_bytes: bytes) -> None:
    assert is_refused(shard_bytes + b"x")


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.flac", "a/../../b.flac", ".."])
def test_unsafe_name_is_refused(name: str) -> None:
    with pytest.raises(
        ShardFormatError, match=r"a\.tar at byte 0: .* is not relative to the shard"
    ):
        names(member_tar(name))


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.DIRTYPE,
        tarfile.FIFOTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.GNUTYPE_SPARSE,
    ],
)
def test_what_is_no_plain_file_is_refused(kind: bytes) -> None:
    assert is_refused(member_tar("a.flac", type=kind, linkname="b.flac"))


def test_sparse_member_is_refused_though_tarfile_calls_it_regular(shard_bytes: bytes) -> None:
    assert is_refused(with_header_bytes(shard_bytes, 0, 156, tarfile.GNUTYPE_SPARSE))


@pytest.mark.parametrize("kind", [b"0", b"x", b"g", b"L", b"K", b"S"])
@pytest.mark.parametrize(
    "size",
    [b"77777777777\0", b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\x80\0\0\0\x7f" + b"\xff" * 7],
    ids=["8 GB", "huge", "negative", "exabytes"],
)
def test_size_that_no_file_has_is_refused(shard_bytes: bytes, kind: bytes, size: bytes) -> None:
    third = list(read_members(shard_bytes, where="a.tar"))[2]
    data = with_header_bytes(shard_bytes, third.offset - BLOCK, 156, kind)
    assert is_refused(with_header_bytes(data, third.offset - BLOCK, 124, size))


@pytest.mark.parametrize("data", [b"", b"\0", b"x" * 511, b"x" * 10_240, b"PK\3\4" + bytes(600)])
def test_what_is_no_tar_is_refused(data: bytes) -> None:
    with pytest.raises(ShardFormatError, match=r"^a\.tar at byte 0: "):
        names(data)


@bounded(max_examples=150)
@given(data=st.binary(max_size=1500))
def test_garbage_is_refused_and_nothing_else(data: bytes) -> None:
    assert is_refused(data) or not data.strip(b"\0")


@bounded(max_examples=150)
@given(
    member=st.integers(0, 5),
    edits=st.lists(st.tuples(st.integers(0, 511), st.binary(min_size=1, max_size=12))),
)
def test_forged_header_is_read_or_refused_and_nothing_else(
    shard_bytes: bytes, member: int, edits: list[tuple[int, bytes]]
) -> None:
    header = list(read_members(shard_bytes, where="a.tar"))[member].offset - BLOCK
    data = shard_bytes
    for start, value in edits:
        data = with_header_bytes(data, header, start, value[: BLOCK - start])
    assert is_refused(data) in {True, False}
