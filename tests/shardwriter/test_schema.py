import json
import math
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwriter import (
    AudioFormat,
    Rejection,
    RejectionReason,
    SampleRecord,
    Settings,
    ShardEntry,
    encode_clip,
)
from shardwriter.errors import ShardFormatError
from shardwriter.json_form import canonical_json, check_version, parse_json
from shardwriter.shard_names import check_split, idx_name, index_name, part_name, tar_name
from tests.shardwriter.builders import SETTINGS, make_clip
from tests.shardwriter.properties import bounded

RECORD = encode_clip(make_clip(4), SETTINGS).record
ENTRY = ShardEntry(
    tar="train/made-000003.tar",
    split="train",
    num_samples=3,
    num_bytes=10_240,
    duration_seconds=1.5,
    sha256="0" * 64,
    idx_sha256="1" * 64,
    settings_digest="2" * 64,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Text that is no Unicode has no UTF-8 form.
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NOT_COUNTS = [-1, True, False, 1.0, "1", None, [1]]
NOT_TEXT = [1, None, ["a"], True]


def read_record(row: dict[str, Any]) -> SampleRecord:
    return SampleRecord.from_json_bytes(json.dumps(row).encode(), where="a.tar/k.json")


def record_row() -> dict[str, Any]:
    return dict(json.loads(RECORD.to_json_bytes()))


def read_entry(row: dict[str, Any]) -> ShardEntry:
    return ShardEntry.from_json(row, where="parts/a.json")


def test_names_of_a_shard_and_its_companions() -> None:
    tar = tar_name("train", "esc50", 12)
    assert tar == "train/esc50-000012.tar"
    assert idx_name(tar) == "train/esc50-000012.idx"
    assert part_name(tar) == "parts/train/esc50-000012.json"
    assert index_name("train") == "index/train.parquet"


@pytest.mark.parametrize("split", ["train", "fold_1", "valid-2", "v1.0"])
def test_plain_split_names_are_taken(split: str) -> None:
    check_split(split)


@pytest.mark.parametrize(
    "split", ["", ".", "..", ".tmp-x", "a/b", "../a", "-a", "a b", "ä", "a\n", "parts", "index"]
)
def test_split_that_makes_no_folder_of_its_own_is_refused(split: str) -> None:
    with pytest.raises(ValueError, match="a split's name is"):
        check_split(split)


# Sample records


@bounded(max_examples=150)
@given(
    metadata=st.dictionaries(TEXT, JSON, max_size=4),
    labels=st.lists(TEXT, max_size=4),
    fold=st.none() | st.integers(-9, 9),
    group=st.none() | TEXT,
    count=st.integers(0, 2**40),
)
def test_record_comes_back_from_json(
    metadata: dict[str, Any], labels: list[str], fold: int | None, group: str | None, count: int
) -> None:
    record = replace(
        RECORD,
        metadata=metadata,
        labels=tuple(labels),
        label_ids=tuple(range(len(labels))),
        fold=fold,
        group=group,
        num_samples=count,
        source=None if count % 2 else RECORD.source,
    )
    data = record.to_json_bytes()
    assert SampleRecord.from_json_bytes(data, where="a.tar/k.json") == record
    assert b"\n" not in data[:-1]


def test_record_has_one_json_form() -> None:
    shuffled = dict(reversed(RECORD.metadata.items()))
    assert replace(RECORD, metadata=shuffled).to_json_bytes() == RECORD.to_json_bytes()


def test_record_carries_version_and_duration_for_other_readers() -> None:
    row = record_row()
    assert row["version"] == 1
    assert row["duration_seconds"] == RECORD.num_samples / RECORD.sample_rate_hz


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_record_never_holds_what_json_lacks(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        replace(RECORD, metadata={"x": value}).to_json_bytes()


@pytest.mark.parametrize(
    "field", sorted(set(record_row()) - {"version", "duration_seconds"}), ids=str
)
def test_record_that_lacks_a_field_is_refused_with_its_name(field: str) -> None:
    row = record_row()
    del row[field]
    with pytest.raises(ShardFormatError, match=rf"a\.tar/k\.json.*'{field}'"):
        read_record(row)


@pytest.mark.parametrize("field", ["sample_rate_hz", "num_samples", "num_clipped"])
@pytest.mark.parametrize("value", NOT_COUNTS, ids=repr)
def test_count_of_a_record_is_an_integer_from_0(field: str, value: Any) -> None:
    with pytest.raises(ShardFormatError, match=r"a\.tar/k\.json"):
        read_record(record_row() | {field: value})


@pytest.mark.parametrize("field", ["key", "id", "split", "pcm_sha256"])
@pytest.mark.parametrize("value", NOT_TEXT, ids=repr)
def test_text_of_a_record_is_text(field: str, value: Any) -> None:
    with pytest.raises(ShardFormatError, match=r"a\.tar/k\.json"):
        read_record(record_row() | {field: value})


@pytest.mark.parametrize(
    "change",
    [
        {"labels": "dog"},
        {"labels": [1]},
        {"labels": None},
        {"labels": {"dog": 1}},
        {"label_ids": "12"},
        {"label_ids": [True]},
        {"label_ids": [-1]},
        {"label_ids": [0.0]},
        {"label_ids": 1},
        {"source": {}},
        {"source": "a.wav"},
        {"source": record_row()["source"] | {"num_samples": "7"}},
        {"source": record_row()["source"] | {"num_samples": -7}},
        {"source": record_row()["source"] | {"file": None}},
        {"source": record_row()["source"] | {"more": 1}},
        {"fold": True},
        {"fold": "1"},
        {"group": 1},
        {"metadata": None},
        {"metadata": []},
    ],
    ids=repr,
)
def test_mistyped_record_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ShardFormatError, match=r"a\.tar/k\.json"):
        read_record(record_row() | change)


def test_field_of_a_later_minor_change_is_passed_over() -> None:
    assert read_record(record_row() | {"comment": "added"}) == RECORD


# Versions and JSON itself


@pytest.mark.parametrize("version", [0, 2, "1", 1.0, True, None])
def test_other_version_is_refused_with_the_way_out(version: Any) -> None:
    with pytest.raises(ShardFormatError, match=r"x\.json: format version .*reads 1.*ingest"):
        check_version({"version": version}, where="x.json")


def test_missing_version_is_refused() -> None:
    with pytest.raises(ShardFormatError, match="format version None"):
        check_version({}, where="x.json")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"1", b"null", b'"a"', b"\xff\xfe", b"[" * 100_000, b'{"a":\xff}'],
    ids=lambda data: repr(data[:9]),
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(ShardFormatError, match=r"^x\.json: "):
        parse_json(data, where="x.json")


@bounded(max_examples=100)
@given(value=JSON)
def test_canonical_json_reads_back(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


# Shard entries


def test_entry_comes_back_from_json() -> None:
    row = parse_json(ENTRY.to_json_bytes(), where="x")
    check_version(row, where="x")
    assert read_entry(row) == ENTRY


@pytest.mark.parametrize("field", sorted(asdict(ENTRY)))
def test_entry_that_lacks_a_field_is_refused(field: str) -> None:
    row = asdict(ENTRY)
    del row[field]
    with pytest.raises(ShardFormatError, match=rf"parts/a\.json.*'{field}'"):
        read_entry(row)


def test_entry_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ShardFormatError, match=r"parts/a\.json.*'more'"):
        read_entry(asdict(ENTRY) | {"more": 1})


@pytest.mark.parametrize("field", ["num_samples", "num_bytes"])
@pytest.mark.parametrize("value", NOT_COUNTS, ids=repr)
def test_count_of_an_entry_is_an_integer_from_0(field: str, value: Any) -> None:
    with pytest.raises(ShardFormatError, match=r"parts/a\.json"):
        read_entry(asdict(ENTRY) | {field: value})


@pytest.mark.parametrize("value", [-1.0, "1", None, True, math.nan, math.inf], ids=repr)
def test_duration_of_an_entry_is_a_finite_number_from_0(value: Any) -> None:
    with pytest.raises(ShardFormatError, match=r"parts/a\.json"):
        read_entry(asdict(ENTRY) | {"duration_seconds": value})


@pytest.mark.parametrize("field", ["tar", "split", "sha256", "idx_sha256", "settings_digest"])
@pytest.mark.parametrize("value", NOT_TEXT, ids=repr)
def test_text_of_an_entry_is_text(field: str, value: Any) -> None:
    with pytest.raises(ShardFormatError, match=r"parts/a\.json"):
        read_entry(asdict(ENTRY) | {field: value})


# Settings


@pytest.mark.parametrize(
    "change",
    [
        {"codec": "mp3"},
        {"sample_rate_hz": 999},
        {"sample_rate_hz": 655_351},
        {"num_channels": 2},
        {"bits_per_sample": 24},
        {"frame_num_samples": 15},
        {"frame_num_samples": 4609},
    ],
    ids=repr,
)
def test_audio_format_that_the_writer_cannot_make_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        AudioFormat(**change)


def test_default_audio_is_flac_at_32_khz() -> None:
    audio = AudioFormat()
    assert (audio.codec, audio.sample_rate_hz, audio.frame_num_samples) == ("flac", 32_000, 1152)


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", ".tmp-a", "a b", "ä", "-a"])
def test_dataset_name_that_makes_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a dataset's name is"):
        Settings(name=name, audio=AudioFormat(), labels=("a",))


def test_vocabulary_that_lists_a_label_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Settings(name="made", audio=AudioFormat(), labels=("a", "b", "a"))


@pytest.mark.parametrize(
    "other",
    [
        replace(SETTINGS, name="other"),
        replace(SETTINGS, labels=SETTINGS.labels[::-1]),
        replace(SETTINGS, audio=replace(SETTINGS.audio, sample_rate_hz=16_000)),
        replace(SETTINGS, audio=replace(SETTINGS.audio, frame_num_samples=128)),
    ],
)
def test_every_setting_is_in_the_digest(other: Settings) -> None:
    assert other.digest != SETTINGS.digest
    assert replace(other, **asdict_shallow(SETTINGS)).digest == SETTINGS.digest


def asdict_shallow(settings: Settings) -> dict[str, Any]:
    return {"name": settings.name, "audio": settings.audio, "labels": settings.labels}


def test_rejection_is_a_row_of_the_log() -> None:
    rejection = Rejection(
        clip_id="a/1", stage="clean", reason=RejectionReason.TRUNCATED, detail="cut"
    )
    assert json.loads(json.dumps(rejection.to_json())) == {
        "clip_id": "a/1",
        "stage": "clean",
        "reason": "truncated",
        "detail": "cut",
    }
