from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.availability.listing import (
    LISTING_NAME,
    LISTING_SCHEMA,
    listing_table,
    published_num_clips,
    read_listing,
    write_listing,
)
from jobs.catalogues.catalogue import ClipRef
from shardwriter.audio import Cut, DurationRule
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.storage import Store, open_store
from tests.jobs.availability.drift_builders import LABELS, catalogue, clip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def test_listing_holds_every_field_of_a_clip_in_the_order_of_the_catalogue() -> None:
    plain = ClipRef(id="toy/b", file="b.wav", split="eval", labels=(), fold=3, group="g")
    table = listing_table(catalogue(clip(1, labels=("dog", "rain")), plain))
    assert table.schema.equals(LISTING_SCHEMA)
    assert table.to_pylist() == [
        {
            "clip_id": "toy/-0001_30000",
            "split": "train",
            "labels": ["dog", "rain"],
            "fold": None,
            "group": None,
            "video_id": "-0001",
            "start_seconds": 30.0,
            "stop_seconds": 40.0,
            "seconds": 10.0,
        },
        {
            "clip_id": "toy/b",
            "split": "eval",
            "labels": [],
            "fold": 3,
            "group": "g",
            "video_id": None,
            "start_seconds": None,
            "stop_seconds": None,
            "seconds": None,
        },
    ]


def test_duration_rule_says_how_long_a_clip_is_before_its_cut_does() -> None:
    rule = DurationRule(seconds=5.0, tolerance_seconds=0.1)
    ruled = ClipRef(id="a", file="a", split="s", labels=(), duration=rule, cut=Cut(stop_seconds=9))
    open_ended = ClipRef(id="b", file="b", split="s", labels=(), cut=Cut(start_seconds=2))
    assert listing_table(catalogue(ruled, open_ended))["seconds"].to_pylist() == [5.0, None]


def test_what_is_written_is_what_is_read(store: Store) -> None:
    listed = catalogue(clip(1), clip(2))
    write_listing(store, listed)
    table, labels = read_listing(store)
    assert table.equals(listing_table(listed))
    assert labels == LABELS
    assert published_num_clips(table) == {"Toy": 3}


def test_listing_the_same_again_changes_no_byte(store: Store) -> None:
    write_listing(store, catalogue(clip(1), clip(2)))
    before = store.read(LISTING_NAME)
    write_listing(store, catalogue(clip(1), clip(2)))
    assert store.read(LISTING_NAME) == before


def test_second_split_is_listed_beside_the_first_and_rows_listed_again_are_renewed(
    store: Store,
) -> None:
    write_listing(store, catalogue(clip(1), clip(2), title="Toy train"))
    renewed = clip(2, labels=("cat",))
    write_listing(store, catalogue(clip(3, split="eval"), renewed, title="Toy eval"))
    table, _ = read_listing(store)
    assert table["clip_id"].to_pylist() == [clip(1).id, clip(2).id, clip(3).id]
    assert table["labels"].to_pylist() == [["dog"], ["cat"], ["dog"]]
    assert published_num_clips(table) == {"Toy train": 3, "Toy eval": 3}


def test_listing_of_other_classes_is_refused(store: Store) -> None:
    write_listing(store, catalogue(clip(1)))
    with pytest.raises(ConfigError, match="other classes \\(3 of them\\); ingest into a folder"):
        write_listing(store, catalogue(clip(1), labels=("dog", "fox")))


def test_missing_listing_names_the_way_out(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"listing\.parquet is not there.*`melstream ingest`"):
        read_listing(store)


def test_damaged_listings_are_refused(store: Store) -> None:
    store.put(LISTING_NAME, b"no parquet")
    with pytest.raises(ShardFormatError, match="not a listing"):
        read_listing(store)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"clip_id": ["a"]}), sink)
    store.put(LISTING_NAME, sink.getvalue().to_pybytes(), replace=True)
    with pytest.raises(ShardFormatError, match="not a listing"):
        read_listing(store)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": ["a"]}).replace_schema_metadata({"labels": "[]"}), sink)
    store.put(LISTING_NAME, sink.getvalue().to_pybytes(), replace=True)
    with pytest.raises(ShardFormatError, match=r"columns \['a'\], expected \['clip_id'"):
        read_listing(store)
