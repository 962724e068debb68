from pathlib import Path

import pyarrow as pa
import pytest

from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.sources import open_source
from jobs.sources.row_files import RowFile, cell_name
from shardwriter.errors import ConfigError, StorageError
from tests.jobs.builders import write_folder
from tests.jobs.ingest_and_load import round_trip
from tests.jobs.table_builders import flac, save_to_disk, table, write_parquet


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.parametrize("order", [range(40), [39, 3, 3, 17, 16, 0, 39]])
def test_rows_come_as_they_were_written_in_any_order(
    tmp_path: Path, kind: str, order: list[int]
) -> None:
    rows = table([0] * 40)
    if kind == "parquet":
        name = write_parquet(tmp_path / "train.parquet", rows, rows_a_group=18).name
    else:
        save_to_disk(tmp_path, train=rows)
        name = "train/data-00000-of-00001.arrow"
    source = open_source(str(tmp_path))
    for row in order:
        assert source.read(cell_name(name, row, "audio")) == flac(row)


def test_bytes_without_a_struct_are_audio_too(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", pa.table({"audio": [flac(1), None]}))
    source = open_source(str(tmp_path))
    assert source.read("train.parquet/0/audio") == flac(1)
    with pytest.raises(StorageError, match="row 1 column audio holds no audio"):
        source.read("train.parquet/1/audio")


@pytest.mark.parametrize(
    "name",
    [
        "train.parquet/3/audio",
        "train.parquet/0/sound",
        "gone.parquet/0/audio",
        "../train.parquet/0/audio",
        "/train.parquet/0/audio",
        "cut.parquet/0/audio",
        "no.arrow/0/audio",
    ],
)
def test_cell_that_is_not_there_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    path = write_parquet(tmp_path / "in/train.parquet", table([0, 1]))
    data = path.read_bytes()
    write_folder(tmp_path / "in", {"cut.parquet": data[:-100], "no.arrow": b"ARROW?"})
    write_folder(tmp_path, {"train.parquet": data})
    with pytest.raises(StorageError, match=name.rpartition("/")[0].split("/")[-2]):
        open_source(str(tmp_path / "in")).read(name)


def test_damaged_page_is_an_error_of_that_cell(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "train.parquet", table([0] * 4))
    data = bytearray(path.read_bytes())
    data[4:40] = bytes(36)
    path.write_bytes(data)
    with pytest.raises(StorageError, match="row 0 column audio"):
        RowFile(path).read(0, "audio")


def test_audiosets_audio_may_lie_in_tables(tmp_path: Path) -> None:
    videos = ["--PJHxphWEs", "--ZhevVpy1s"]
    rows = pa.table(
        {
            "video_id": videos,
            "audio": [{"bytes": flac(n, seconds=10.0), "path": f"{n}.flac"} for n in range(2)],
            "labels": [["/m/09x0r"], ["/m/012xff"]],
            "human_labels": [["Speech"], ["Toothbrush"]],
        }
    )
    write_parquet(tmp_path / "hub/data/bal_train/00.parquet", rows)
    segments = (
        b"# Segments csv created Sun Mar  5 10:54:31 2017\n"
        b"# num_ytids=3, num_segs=3, num_unique_labels=3, num_positive_labels=4\n"
        b"# YTID, start_seconds, end_seconds, positive_labels\n"
        b'--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n'
        b'--ZhevVpy1s, 50.000, 60.000, "/m/012xff"\n'
        b'--aE2O5G5WE, 0.000, 10.000, "/m/03fwl"\n'
    )
    lists = write_folder(tmp_path / "lists", {"balanced_train_segments.csv": segments})
    options = {"split": "balanced", "csv": str(lists), "audio": "parquet"}
    found = round_trip("audioset", tmp_path / "hub", tmp_path / "out", **options)
    assert {name: record.labels for name, record in found.records.items()} == {
        "audioset/--PJHxphWEs_30000": ("Speech", "Gush"),
        "audioset/--ZhevVpy1s_50000": ("Toothbrush",),
    }
    assert found.reasons == {"audioset/--aE2O5G5WE_0": "absent"}
    with pytest.raises(ConfigError, match="no parquet table with the columns video_id and audio"):
        read_catalogue(find_dataset("audioset"), open_source(str(lists)), options)
