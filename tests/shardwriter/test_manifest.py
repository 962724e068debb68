import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.manifest import Manifest, build_manifest, load_manifest, load_parts
from shardwriter.schema import ShardEntry
from shardwriter.storage import LocalStore
from tests.shardwriter.builders import SETTINGS


def entry(split: str, number: int, *, num_samples: int = 3) -> ShardEntry:
    return ShardEntry(
        tar=f"{split}/made-{number:06d}.tar",
        split=split,
        num_samples=num_samples,
        num_bytes=10_240 * (number + 1),
        duration_seconds=0.1 * (number + 1),
        sha256=f"{number:064x}",
        idx_sha256=f"{number + 100:064x}",
        settings_digest=SETTINGS.digest,
    )


ENTRIES = (entry("train", 1), entry("test", 0), entry("train", 0), entry("train", 2))
INDEXES = {"train": "a" * 64, "test": "b" * 64}


def make_manifest(*entries: ShardEntry, provenance: dict[str, Any] | None = None) -> Manifest:
    return build_manifest(
        SETTINGS,
        entries or ENTRIES,
        index_sha256=INDEXES,
        provenance=provenance or {"decoder": "naïve 1.0"},
    )


def read(row: dict[str, Any]) -> Manifest:
    return Manifest.from_json_bytes(json.dumps(row).encode(), where="x/dataset.json")


def row() -> dict[str, Any]:
    return dict(json.loads(make_manifest().to_json_bytes()))


def edited(*place: Any, value: Any) -> dict[str, Any]:
    """A manifest's JSON with one value changed."""
    changed = row()
    inner = changed
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return changed


def test_manifest_comes_back_from_json() -> None:
    manifest = make_manifest()
    assert Manifest.from_json_bytes(manifest.to_json_bytes(), where="x") == manifest


def test_shards_are_in_order_of_split_and_number() -> None:
    assert [shard.tar for shard in make_manifest().shards] == [
        "test/made-000000.tar",
        "train/made-000000.tar",
        "train/made-000001.tar",
        "train/made-000002.tar",
    ]


def test_order_in_which_shards_were_finished_does_not_matter() -> None:
    assert make_manifest(*ENTRIES[::-1]).to_json_bytes() == make_manifest().to_json_bytes()


def test_totals_are_sums_over_the_shards_of_a_split() -> None:
    totals = make_manifest().splits["train"]
    assert (totals.num_shards, totals.num_samples, totals.num_bytes) == (3, 9, 61_440)
    assert totals.duration_seconds == pytest.approx(0.6)
    assert totals.index_sha256 == "a" * 64


def test_shards_of_a_split() -> None:
    assert [shard.tar for shard in make_manifest().shards_of("test")] == ["test/made-000000.tar"]


def test_unknown_split_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no split 'eval'; it has: test, train"):
        make_manifest().shards_of("eval")


def test_digest_is_that_of_the_content_and_not_of_how_it_was_made() -> None:
    assert make_manifest(provenance={"decoder": "other"}).digest == make_manifest().digest


@pytest.mark.parametrize(
    "other",
    [
        entry("train", 2, num_samples=4),
        replace(entry("train", 2), sha256="f" * 64),
        entry("train", 3),
    ],
)
def test_digest_tells_other_content(other: ShardEntry) -> None:
    assert make_manifest(*ENTRIES[:3], other).digest != make_manifest().digest


@pytest.mark.parametrize(
    "changed",
    [
        edited("name", value="other"),
        edited("labels", value=["rain", "bark", "wind"]),
        edited("audio", "sample_rate_hz", value=16_000),
        edited("audio", "frame_num_samples", value=128),
        edited("shards", 0, "sha256", value="f" * 64),
        edited("shards", 0, "num_samples", value=4),
        edited("shards", 0, "tar", value="test/made-000009.tar"),
        edited("shards", value=row()["shards"][:-1]),
        edited("shards", value=row()["shards"][::-1]),
        edited("digest", value="0" * 64),
    ],
    ids=range(10),
)
def test_edited_content_is_refused_by_the_digest(changed: dict[str, Any]) -> None:
    with pytest.raises(ShardFormatError, match=r"^x/dataset\.json: digest .* was edited"):
        read(changed)


@pytest.mark.parametrize(
    "changed",
    [
        edited("splits", "train", "num_samples", value=8),
        edited("splits", "train", "num_shards", value=2),
        edited("splits", "train", "num_bytes", value=1),
        edited("splits", "train", "duration_seconds", value=0.5),
        edited("splits", value={"train": row()["splits"]["train"]}),
        edited("splits", value=row()["splits"] | {"eval": row()["splits"]["test"]}),
        edited("shards", 0, "split", value="train"),
        edited("shards", 0, "num_bytes", value=1),
    ],
    ids=range(8),
)
def test_totals_that_do_not_add_up_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ShardFormatError, match=r"^x/dataset\.json: the totals .* was edited"):
        read(changed)


@pytest.mark.parametrize("field", sorted(set(row()) - {"version"}))
def test_manifest_that_lacks_a_field_is_refused(field: str) -> None:
    changed = row()
    del changed[field]
    with pytest.raises(ShardFormatError, match=rf"^x/dataset\.json: .*'{field}'"):
        read(changed)


@pytest.mark.parametrize(
    "changed",
    [
        edited("audio", value=None),
        edited("audio", value=[]),
        edited("audio", "codec", value="mp3"),
        edited("audio", "sample_rate_hz", value="32000"),
        edited("audio", "sample_rate_hz", value=True),
        edited("audio", "more", value=1),
        edited("labels", value=None),
        edited("labels", value=["a", "a"]),
        edited("name", value="../a"),
        edited("name", value=7),
        edited("splits", value=[]),
        edited("splits", "train", value=None),
        edited("splits", "train", "num_samples", value=True),
        edited("splits", "train", "num_samples", value=-9),
        edited("splits", "train", "num_samples", value=9.0),
        edited("splits", "train", "index_sha256", value=None),
        edited("shards", value=None),
        edited("shards", value={"a": 1}),
        edited("shards", 0, value="test/made-000000.tar"),
        edited("shards", 0, "num_samples", value="3"),
        edited("shards", 0, "num_samples", value=-3),
        edited("shards", 0, "num_bytes", value=True),
        edited("shards", 0, "duration_seconds", value=None),
    ],
    ids=range(23),
)
def test_mistyped_manifest_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ShardFormatError, match=r"^x/dataset\.json: "):
        read(changed)


@pytest.mark.parametrize("version", [0, 2, "1", True, None])
def test_manifest_of_another_version_is_refused(version: Any) -> None:
    with pytest.raises(ShardFormatError, match=r"^x/dataset\.json: format version"):
        read(edited("version", value=version))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff"])
def test_manifest_that_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(ShardFormatError, match=r"^x/dataset\.json: "):
        Manifest.from_json_bytes(data, where="x/dataset.json")


# On disk


def test_written_dataset_loads(dataset: Path) -> None:
    manifest = load_manifest(LocalStore(dataset))
    assert manifest.settings == SETTINGS
    assert {name: totals.num_samples for name, totals in manifest.splits.items()} == {
        "test": 3,
        "train": 8,
    }


def test_parts_are_the_manifests_shards(dataset: Path) -> None:
    store = LocalStore(dataset)
    assert tuple(load_parts(store)) == load_manifest(store).shards


def test_folder_without_a_dataset_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"no dataset at {tmp_path} .*melstream ingest"):
        load_manifest(LocalStore(tmp_path))


def test_unfinished_dataset_is_refused_with_the_way_out(own_dataset: Path) -> None:
    (own_dataset / "dataset.json").unlink()
    with pytest.raises(ConfigError, match="did not finish; run the same ingest command again"):
        load_manifest(LocalStore(own_dataset))


def test_manifest_error_names_the_file(own_dataset: Path) -> None:
    path = own_dataset / "dataset.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ShardFormatError, match=f"^{path}: not JSON"):
        load_manifest(LocalStore(own_dataset))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def of_another_version(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"version": 2}))


def mistyped(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"num_samples": -1}))


def of_another_shard(path: Path) -> None:
    path.write_bytes(path.with_name("made-000001.json").read_bytes())


@pytest.mark.parametrize("damage", [cut, of_another_version, mistyped, of_another_shard])
def test_damaged_part_is_refused_with_its_name(
    own_dataset: Path, damage: Callable[[Path], None]
) -> None:
    path = own_dataset / "parts" / "train" / "made-000000.json"
    damage(path)
    with pytest.raises(ShardFormatError, match=f"^{path}"):
        load_parts(LocalStore(own_dataset))
