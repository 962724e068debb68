"""Every kind of damage is reported, with the object and the place in it."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shardwriter.check import ShardReport, check_indexes, check_shards
from shardwriter.index import IndexRow, idx_to_bytes, index_rows, merge_idx, read_idx
from shardwriter.manifest import Manifest, load_manifest
from shardwriter.schema import ShardEntry
from shardwriter.shard_names import part_name
from shardwriter.storage import LocalStore
from shardwriter.tarshard import Member, read_members
from tests.shardwriter.builders import flip_byte

TAR = "train/made-000001.tar"
IDX = "train/made-000001.idx"


def check(folder: Path, *, decode: bool = True) -> list[ShardReport]:
    store = LocalStore(folder)
    manifest = load_manifest(store)
    return list(check_shards(store, manifest, manifest.shards, decode=decode))


def problems(folder: Path, *, decode: bool = True) -> dict[str, tuple[str, ...]]:
    """Problems by shard, of the shards that have any."""
    return {
        report.tar: report.problems for report in check(folder, decode=decode) if report.problems
    }


def index_problems(folder: Path) -> list[str]:
    store = LocalStore(folder)
    return check_indexes(store, load_manifest(store))


def members(folder: Path, tar: str = TAR) -> list[Member]:
    return list(read_members((folder / tar).read_bytes(), where=tar))


def rows(folder: Path) -> list[IndexRow]:
    return index_rows(read_idx((folder / IDX).read_bytes(), where=IDX))


def forge(folder: Path, edit: Callable[[ShardEntry], ShardEntry]) -> None:
    """Make the manifest agree with an edited shard, so that only its content can tell."""
    store = LocalStore(folder)
    manifest = load_manifest(store)
    shards = tuple(edit(shard) if shard.tar == TAR else shard for shard in manifest.shards)
    store.put("dataset.json", replace(manifest, shards=shards).to_json_bytes(), replace=True)
    for shard in shards:
        store.put(part_name(shard.tar), shard.to_json_bytes(), replace=True)


def forge_tar(folder: Path, data: bytes) -> None:
    (folder / TAR).write_bytes(data)
    forge(folder, lambda shard: replace(shard, sha256=hashlib.sha256(data).hexdigest()))


def forge_idx(folder: Path, edited: list[IndexRow]) -> None:
    data = idx_to_bytes(edited)
    (folder / IDX).write_bytes(data)
    forge(folder, lambda shard: replace(shard, idx_sha256=hashlib.sha256(data).hexdigest()))


def the_problems_of(folder: Path) -> str:
    """The problems of the one shard that has any."""
    found = problems(folder)
    assert list(found) == [TAR]
    return "\n".join(found[TAR])


# Whole


@pytest.mark.parametrize("decode", [True, False])
def test_whole_dataset_has_no_problem(dataset: Path, decode: bool) -> None:
    reports = check(dataset, decode=decode)
    assert [report.num_samples for report in reports] == [3, 3, 3, 2]
    assert [report.problems for report in reports] == [()] * 4
    assert index_problems(dataset) == []


# Damage to bytes


@pytest.mark.parametrize("member", [0, 2, 5], ids=["audio", "second audio", "label"])
@pytest.mark.parametrize("place", [0, 0.5, 0.999])
def test_flipped_byte_is_reported_with_its_sample_and_offset(
    own_dataset: Path, member: int, place: float
) -> None:
    damaged = members(own_dataset)[member]
    audio = members(own_dataset)[member - member % 2]
    flip_byte(own_dataset / TAR, damaged.offset + int(place * len(damaged.data)))
    found = problems(own_dataset)
    assert list(found) == [TAR]
    text = "\n".join(found[TAR])
    where = f"{own_dataset}/{TAR}"
    assert f"{where}: expected SHA-256" in text or f"{where}/{damaged.name}" in text
    assert f"at byte {audio.offset}" in text or f"{where}/{damaged.name}" in text
    assert damaged.name in text


def test_flipped_byte_in_a_header_is_reported(own_dataset: Path) -> None:
    offset = members(own_dataset)[2].offset - 512
    flip_byte(own_dataset / TAR, offset)
    where = f"{own_dataset}/{TAR} at byte {offset}"
    assert f"{where}: no readable tar header: its checksum is " in the_problems_of(own_dataset)


def test_flipped_byte_in_the_padding_is_reported(own_dataset: Path) -> None:
    member = members(own_dataset)[0]
    flip_byte(own_dataset / TAR, member.offset + len(member.data))
    assert f"{own_dataset}/{TAR}: expected SHA-256" in the_problems_of(own_dataset)


def test_cut_tar_is_reported_with_the_member_and_its_offset(own_dataset: Path) -> None:
    member = members(own_dataset)[3]
    path = own_dataset / TAR
    whole = path.read_bytes()
    path.write_bytes(whole[: member.offset + 10])
    text = the_problems_of(own_dataset)
    num_bytes = member.offset + 10
    assert f"{path}: expected {len(whole)} bytes, got {num_bytes}" in text
    where = f"{path} at byte {member.offset - 512}"
    assert f"{where}: member {member.name!r} declares {len(member.data)} bytes, only 10" in text


@pytest.mark.parametrize("num_bytes", [1, 512, 1024, 5000])
def test_cut_end_is_reported(own_dataset: Path, num_bytes: int) -> None:
    path = own_dataset / TAR
    path.write_bytes(path.read_bytes()[:-num_bytes])
    assert f"{path}: expected" in the_problems_of(own_dataset)


def test_tar_of_zeros_is_reported(own_dataset: Path) -> None:
    path = own_dataset / TAR
    path.write_bytes(bytes(path.stat().st_size))
    assert f"{path}: the manifest lists 3 samples" in the_problems_of(own_dataset)


def test_swapped_shards_are_both_reported(own_dataset: Path) -> None:
    paths = [own_dataset / "train" / f"made-00000{number}.tar" for number in (0, 1)]
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, contents[::-1], strict=True):
        path.write_bytes(content)
    found = problems(own_dataset)
    assert list(found) == ["train/made-000000.tar", "train/made-000001.tar"]
    for path, text in zip(paths, found.values(), strict=True):
        assert f"{path}: expected SHA-256" in "\n".join(text)
        assert f"{path} at byte 512: expected members" in "\n".join(text)


@pytest.mark.parametrize("name", [TAR, IDX, f"parts/{TAR}".replace(".tar", ".json")])
def test_missing_file_is_reported(own_dataset: Path, name: str) -> None:
    (own_dataset / name).unlink()
    assert the_problems_of(own_dataset) == f"{own_dataset}/{name} is not there"


@pytest.mark.parametrize("place", [0, 0.3, 0.6, 0.999])
def test_flipped_byte_in_an_idx_is_reported(own_dataset: Path, place: float) -> None:
    path = own_dataset / IDX
    flip_byte(path, int(place * path.stat().st_size))
    assert str(path) in the_problems_of(own_dataset)


def test_edited_part_is_reported(own_dataset: Path) -> None:
    path = own_dataset / "parts" / "train" / "made-000001.json"
    path.write_bytes(path.with_name("made-000000.json").read_bytes())
    assert the_problems_of(own_dataset).startswith(f"{path}: is not what the manifest says")


# Content that agrees with forged hashes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audio_offset": 1024}, "the .idx says (offset, bytes, crc32c) (1024, "),
        ({"audio_num_bytes": 7}, "the .idx says (offset, bytes, crc32c)"),
        ({"audio_crc32c": 7}, "the .idx says (offset, bytes, crc32c)"),
        ({"json_offset": 7}, ".json: the .idx says (offset, bytes, crc32c)"),
        ({"json_num_bytes": 7}, ".json: the .idx says (offset, bytes, crc32c)"),
        ({"json_crc32c": 7}, ".json: the .idx says (offset, bytes, crc32c)"),
        ({"key": "other"}, "expected members ('other.flac', 'other.json')"),
        ({"num_samples": 7}, "the .idx says num_samples 7"),
        ({"sample_rate_hz": 7}, "the .idx says sample_rate_hz 7"),
        ({"label_ids": (2, 1, 0)}, "the .idx says label_ids (2, 1, 0)"),
        ({"fold": 99}, "the .idx says fold 99"),
        ({"group": None}, "the .idx says group None"),
        ({"frame_offsets": ()}, "the .idx has 0 frame offsets"),
        ({"frame_offsets": (1,)}, "the .idx has 1 frame offsets that differ from those of its "),
    ],
    ids=lambda value: str(value)[:40],
)
def test_idx_that_contradicts_the_tar_is_reported_with_the_place(
    own_dataset: Path, change: dict[str, object], message: str
) -> None:
    offset = members(own_dataset)[2].offset
    first, second, third = rows(own_dataset)
    forge_idx(own_dataset, [first, replace(second, **change), third])
    text = the_problems_of(own_dataset)
    assert f"{own_dataset}/{TAR} at byte {offset}: " in text
    assert message in text


def test_idx_that_lacks_a_frame_is_reported(own_dataset: Path) -> None:
    first, *others = rows(own_dataset)
    fewer = replace(first, frame_offsets=first.frame_offsets[:-1])
    forge_idx(own_dataset, [fewer, *others])
    assert "frame offsets" in the_problems_of(own_dataset)


def test_idx_that_lacks_a_sample_is_reported(own_dataset: Path) -> None:
    forge_idx(own_dataset, rows(own_dataset)[:-1])
    assert "the manifest lists 3 samples, the .idx 2, the tar holds 6 members" in the_problems_of(
        own_dataset
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"num_clipped":', b'"num_klipped":', "lacks or mistypes 'num_clipped'"),
        (b'"version":1', b'"version":2', "format version 2"),
        (b'"labels":["', b'"labels":[X', "not JSON"),
        (b'"num_samples":1', b'"num_samples":-', "expected an integer"),
    ],
    ids=["field", "version", "json", "count"],
)
def test_label_that_breaks_the_format_is_reported_with_its_name(
    own_dataset: Path, old: bytes, new: bytes, message: str
) -> None:
    label = members(own_dataset)[1]
    data = bytearray((own_dataset / TAR).read_bytes())
    at = data.index(old, label.offset)
    data[at : at + len(new)] = new  # the length stays
    forge_tar(own_dataset, bytes(data))
    text = the_problems_of(own_dataset)
    assert f"{own_dataset}/{TAR}/{label.name}" in text
    assert message in text


def test_label_whose_hash_is_not_the_audios_is_reported(own_dataset: Path) -> None:
    audio, label = members(own_dataset)[:2]
    data = bytearray((own_dataset / TAR).read_bytes())
    at = data.index(b'"pcm_sha256":"', label.offset) + 14
    data[at : at + 8] = b"00000000"
    forge_tar(own_dataset, bytes(data))
    text = the_problems_of(own_dataset)
    assert f"at byte {audio.offset}: {audio.name}: the decoded samples' SHA-256 is not" in text


def test_audio_is_decoded_only_on_request(own_dataset: Path) -> None:
    label = members(own_dataset)[1]
    data = bytearray((own_dataset / TAR).read_bytes())
    at = data.index(b'"pcm_sha256":"', label.offset) + 14
    data[at : at + 8] = b"00000000"
    forge_tar(own_dataset, bytes(data))
    assert not any("decoded samples" in p for p in problems(own_dataset, decode=False)[TAR])


# The splits' indexes


def edited_index(manifest: Manifest, folder: Path) -> bytes:
    table = pq.read_table(io.BytesIO((folder / "index" / "train.parquet").read_bytes()))
    place = table.schema.get_field_index("num_samples")
    values = pa.array([1] * len(table), pa.int64())
    file = io.BytesIO()
    pq.write_table(table.set_column(place, table.schema.field(place), values), file)
    return file.getvalue()


def test_edited_index_is_reported_with_its_name(own_dataset: Path) -> None:
    path = own_dataset / "index" / "train.parquet"
    path.write_bytes(edited_index(load_manifest(LocalStore(own_dataset)), own_dataset))
    assert index_problems(own_dataset) == [f"{path}: its SHA-256 is not the one in the manifest"]
    assert problems(own_dataset) == {}


def test_index_that_agrees_with_a_forged_hash_is_reported(own_dataset: Path) -> None:
    store = LocalStore(own_dataset)
    manifest = load_manifest(store)
    data = edited_index(manifest, own_dataset)
    totals = replace(manifest.splits["train"], index_sha256=hashlib.sha256(data).hexdigest())
    forged = replace(manifest, splits={**manifest.splits, "train": totals})
    store.put("index/train.parquet", data, replace=True)
    store.put("dataset.json", forged.to_json_bytes(), replace=True)
    (problem,) = index_problems(own_dataset)
    assert problem.startswith(f"{own_dataset}/index/train.parquet: is not what its shards' .idx")


def test_index_of_other_shards_is_reported(own_dataset: Path) -> None:
    data = merge_idx([(TAR, read_idx((own_dataset / IDX).read_bytes(), where=IDX))])
    (own_dataset / "index" / "train.parquet").write_bytes(data)
    (problem,) = index_problems(own_dataset)
    assert problem.startswith(f"{own_dataset}/index/train.parquet: its SHA-256")


@pytest.mark.parametrize("name", ["index/train.parquet", IDX])
def test_missing_index_is_reported(own_dataset: Path, name: str) -> None:
    (own_dataset / name).unlink()
    assert index_problems(own_dataset) == [f"{own_dataset}/{name} is not there"]
