"""Shards that others made, read as they read them: webdataset's own writer, GNU tar."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import webdataset

from jobs.verify import repair_index, verify
from loader.dataset import open_dataset
from loader.stream import SampleReader
from shardwriter.errors import ConfigError
from shardwriter.foreign import split_name
from shardwriter.index import crc32c
from shardwriter.storage import LocalStore
from tests.shardwriter.dataset_builders import RATE_HZ, noise, tree
from tests.shardwriter.foreign_builders import audio, label, rows_of, run, write_tar

# webdataset leaves the files that it reads to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(params=["USTAR_FORMAT", "GNU_FORMAT", "PAX_FORMAT"])
def made_by_webdataset(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Shards as `webdataset.ShardWriter` makes them: broken seconds, an owner, pax headers."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    names = ("siren", "bark", "rain")
    with webdataset.ShardWriter(
        str(folder / "train-%03d.tar"), maxcount=4, verbose=0, format=request.param
    ) as writer:
        for number in range(10):
            writer.write(
                {
                    "__key__": f"clips/a.b/{number:04d}",
                    "flac": audio(number),
                    "json": {"label": names[number % 3], "n": number},
                }
            )
    return folder


def test_shards_of_webdataset_are_read_as_it_reads_them_itself(made_by_webdataset: Path) -> None:
    before = tree(made_by_webdataset)
    found = run(made_by_webdataset)
    assert (found.rejections, found.num_ignored_members) == ((), 0)
    assert found.manifest.settings.labels == ("bark", "rain", "siren")
    after = tree(made_by_webdataset)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {
        *(name.replace(".tar", ".idx") for name in before),
        *("parts/" + name.replace(".tar", ".json") for name in before),
        "index/train.parquet",
        "dataset.json",
        "availability/rejections.jsonl",
    }
    urls = sorted(str(path) for path in made_by_webdataset.glob("*.tar"))
    theirs = {
        sample["__key__"]: (sample["flac"], json.loads(sample["json"])["label"])
        for sample in webdataset.WebDataset(urls, shardshuffle=False)
    }
    ours = {}
    for tar in sorted(before):
        data = (made_by_webdataset / tar).read_bytes()
        for row in rows_of(made_by_webdataset, tar.replace(".tar", ".idx")):
            encoded = data[row.audio_offset : row.audio_offset + row.audio_num_bytes]
            assert crc32c(encoded) == row.audio_crc32c
            assert (row.num_samples, row.sample_rate_hz) == (3000, RATE_HZ)
            (label_id,) = row.label_ids
            ours[row.key] = (encoded, found.manifest.settings.labels[label_id])
    assert ours == theirs
    assert len(ours) == 10


def test_loader_reads_the_indexed_shards(made_by_webdataset: Path) -> None:
    run(made_by_webdataset)
    store = LocalStore(made_by_webdataset)
    dataset = open_dataset(store, split="train", folds=None)
    reader = SampleReader(dataset, max_open_shards=2, verify_checksums=True)
    assert len(dataset) == 10
    for row in range(10):
        wave_T, rate = soundfile.read(io.BytesIO(reader.read(row)), dtype="int16")
        assert rate == dataset.sample_rate_hz
        assert np.array_equal(wave_T, noise(row, num_samples=3000))


def test_verify_and_repair_work_on_foreign_shards(
    made_by_webdataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(made_by_webdataset)
    before = tree(made_by_webdataset)
    assert verify(str(made_by_webdataset), num_workers=2) == 0
    assert verify(str(made_by_webdataset), num_sampled=3) == 0
    (made_by_webdataset / "train-001.idx").unlink()
    shutil.rmtree(made_by_webdataset / "index")
    assert verify(str(made_by_webdataset)) == 1
    assert repair_index(str(made_by_webdataset)) == 0
    assert tree(made_by_webdataset) == before
    path = made_by_webdataset / "train-002.tar"
    path.write_bytes(path.read_bytes().replace(b'"rain"', b'"bark"', 1))
    capsys.readouterr()
    assert verify(str(made_by_webdataset)) == 1
    errors = capsys.readouterr().err
    assert "the .idx has other values for json_crc32c, label_ids" in errors
    assert "expected SHA-256" in errors
    assert repair_index(str(made_by_webdataset)) == 1


def test_indexing_again_gives_the_same_and_processes_change_nothing(
    made_by_webdataset: Path,
) -> None:
    run(made_by_webdataset)
    before = tree(made_by_webdataset)
    run(made_by_webdataset, num_workers=2)
    assert tree(made_by_webdataset) == before


@pytest.mark.parametrize("tar_format", ["gnu", "oldgnu", "pax", "posix", "ustar", "v7"])
def test_shards_of_gnu_tar_are_read(tmp_path: Path, tar_format: str) -> None:
    tar = shutil.which("tar")
    if tar is None:
        pytest.skip("there is no tar program")
    source = tmp_path / "source"
    deep = "deep/" * 25 if tar_format in ("gnu", "oldgnu", "pax", "posix") else "deep/"
    for number in range(4):
        place = source / deep / f"c{number}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.with_suffix(".wav").write_bytes(audio(number, container="WAV"))
        place.with_suffix(".cls").write_bytes(b"%d\n" % (number % 2 + 1))
    out = tmp_path / "out"
    out.mkdir()
    options = [f"--format={tar_format}", "--sort=name", "--mtime=2020-01-01 00:00:00.123456789"]
    subprocess.run([tar, *options, "-cf", out / "a.tar", "-C", source, "."], check=True)
    found = run(out)
    assert found.rejections == ()
    assert found.manifest.settings.labels == ("0", "1", "2")
    rows = rows_of(out, "a.idx")
    assert [(row.key, row.label_ids) for row in rows] == [
        (f"./{deep}c{number}", (number % 2 + 1,)) for number in range(4)
    ]
    theirs = [s["__key__"] for s in webdataset.WebDataset(str(out / "a.tar"), shardshuffle=False)]
    assert [row.key for row in rows] == theirs
    assert verify(str(out)) == 0


@pytest.mark.parametrize(
    "name",
    [
        "a.flac",
        "a/b.flac",
        "a.b/c.left.FLAC",
        "./a.json",
        "Y-abc_30.000_40.000.flac",
        "README",
        "a.b/README",
        ".hidden",
        "a/.hidden",
        "__MACOSX/._a.flac",
        "é/ü.flac",
        "a..flac",
        "a.",
    ],
)
def test_names_are_split_as_webdataset_splits_them(name: str) -> None:
    key, suffix = webdataset.tariterators.base_plus_ext(name)
    expected = None if key is None else (key, suffix.lower())
    assert split_name(name) == expected


def test_splits_by_pattern_and_by_folder(tmp_path: Path) -> None:
    for number, name in enumerate(["train-0", "train-1", "eval/0", "eval/deep/1", "other"]):
        sample = {f"k{number}": {"flac": audio(number), "cls": b"0"}}
        write_tar(tmp_path / f"{name}.tar", sample)
    found = run(tmp_path, splits={"train": "train-*.tar", "test": "eval/"})
    assert [(shard.split, shard.tar) for shard in found.manifest.shards] == [
        ("test", "eval/0.tar"),
        ("test", "eval/deep/1.tar"),
        ("train", "train-0.tar"),
        ("train", "train-1.tar"),
    ]
    with pytest.raises(ConfigError, match=r"no tar matches 'x\*\.tar' .* holds 5, e\.g\. eval/0"):
        run(tmp_path, splits={"train": "x*.tar"})
    with pytest.raises(ConfigError, match="matches split 'a' and split 'b'"):
        run(tmp_path, splits={"a": "train-*.tar", "b": "*.tar"})
    with pytest.raises(ConfigError, match=r"split '\.\./x'"):
        run(tmp_path, splits={"../x": "*.tar"})


def test_containers_and_labels_of_all_kinds(tmp_path: Path) -> None:
    kinds = [("flac", "FLAC"), ("wav", "WAV"), ("ogg", "OGG"), ("mp3", "MP3")]
    samples = {
        suffix: {
            suffix.upper(): audio(number, container=container),
            "meta.json": label({"tags": {"all": ["b", "a", "b"][:number]}}),
        }
        for number, (suffix, container) in enumerate(kinds)
    }
    write_tar(tmp_path / "a.tar", samples)
    found = run(tmp_path, label_field="meta.json.tags.all")
    assert found.rejections == ()
    rows = rows_of(tmp_path, "a.idx")
    assert [row.label_ids for row in rows] == [(), (1,), (1, 0), (1, 0)]
    assert [bool(row.frame_offsets) for row in rows] == [True, False, False, False]
    assert all(row.num_samples == 3000 for row in rows[:3])
    assert verify(str(tmp_path)) == 0
