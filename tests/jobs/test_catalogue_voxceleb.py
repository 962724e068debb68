import io
from pathlib import Path

import av
import numpy as np
import pytest

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.catalogues.trials import VerificationPairs, read_trials
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, ingest
from jobs.sources import open_source
from shardwriter.errors import ConfigError, ShardFormatError
from tests.jobs.archive_builders import write_parts, zip_bytes
from tests.jobs.builders import wav, write_folder
from tests.jobs.shard_records import records_of

VOX1 = find_dataset("voxceleb1")
VOX2 = find_dataset("voxceleb2")
# As published: tabs in the one; BOM, CRLF and a space behind every value in the other.
META1 = (
    b"VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    b"id10001\tA.J._Buckley\tm\tIreland\tdev\n"
    b"id10003\tAamir_Khan\tm\tIndia\tdev\n"
    b"id10270\tEartha_Kitt\tf\tUSA\ttest\n"
)
META2 = (
    b"\xef\xbb\xbfVoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \r\n"
    b"id00012 ,n000012 ,m ,dev \r\nid00017 ,n000017 ,f ,test \r\n"
)
DEV = ("id10001/1zcIwhmdeo4/00001", "id10001/7w0IBEWc9Qw/00002", "id10003/na8-QEFmj44/00003")
TEST = ("id10270/x6uYqmx31kE/00001", "id10270/8jEAjG6SegY/00008")
TRIALS = b"1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav\n"


def speech(number: int) -> bytes:
    return wav(4.0 + number / 16_000, hz=16_000)


def m4a(seconds: float) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        tone_T = 0.3 * np.sin(np.arange(round(seconds * 16_000)) / 8)
        frame = av.AudioFrame.from_ndarray(tone_T[None].astype("f4"), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def publish_vox1(folder: Path) -> Path:
    """The parts, the test archive and the lists, as they are handed out."""
    dev = {f"wav/{name}.wav": speech(number) for number, name in enumerate(DEV)}
    names = [f"vox1_dev_wav_parta{letter}" for letter in "abcd"]
    write_parts(folder, names, zip_bytes(dev))
    test = {f"wav/{name}.wav": speech(5 + number) for number, name in enumerate(TEST)}
    (folder / "vox1_test_wav.zip").write_bytes(zip_bytes(test))
    iden = f"1 {DEV[0]}.wav\n2 {DEV[1]}.wav\n3 {DEV[2]}.wav\n1 {TEST[0]}.wav\n3 {TEST[1]}.wav\n"
    lists = {"vox1_meta.csv": META1, "veri_test.txt": TRIALS, "iden_split.txt": iden.encode()}
    return write_folder(folder, lists)


def read(folder: Path, files: dict[str, bytes], **options: str) -> Catalogue:
    return read_catalogue(VOX1, open_source(str(write_folder(folder, files))), options)


def test_parts_go_to_shards_and_back(tmp_path: Path) -> None:
    source = open_source(str(publish_vox1(tmp_path / "vox1")))
    catalogue = read_catalogue(VOX1, source)
    out = tmp_path / "shards"
    options = IngestOptions(out=str(out), sample_rate_hz=16_000, num_workers=1, quiet=True)
    summary = ingest(catalogue, open_fetcher(source.url), options)
    assert (summary.num_written, summary.rejections) == (5, ())
    records = {record.id: record for record in records_of(out)}
    assert {name: record.split for name, record in records.items()} == {
        **{f"voxceleb1/{name}": "dev" for name in DEV},
        **{f"voxceleb1/{name}": "test" for name in TEST},
    }
    record = records["voxceleb1/id10003/na8-QEFmj44/00003"]
    assert (record.labels, record.label_ids, record.group) == (("id10003",), (1,), "id10003")
    assert record.num_samples == 64_002
    assert record.metadata == {
        "speaker": "id10003",
        "video": "na8-QEFmj44",
        "gender": "m",
        "nationality": "India",
    }
    (pairs,) = catalogue.trials
    assert {*pairs.first, *pairs.second} <= records.keys()


def test_identification_splits_videos_and_groups_by_them(tmp_path: Path) -> None:
    source = open_source(str(publish_vox1(tmp_path)))
    catalogue = read_catalogue(VOX1, source, {"protocol": "identification"})
    assert {clip.id.removeprefix("voxceleb1/"): clip.split for clip in catalogue.clips} == {
        DEV[0]: "train",
        DEV[1]: "val",
        DEV[2]: "test",
        TEST[0]: "train",
        TEST[1]: "test",
    }
    assert {clip.group for clip in catalogue.clips} == {
        name.rpartition("/")[0] for name in DEV + TEST
    }
    assert catalogue.labels == ("id10001", "id10003", "id10270")


def test_utterance_that_a_list_names_and_no_file_holds_is_absent(tmp_path: Path) -> None:
    iden = f"1 {DEV[0]}.wav\n1 {DEV[1]}.wav\n".encode()
    files = {"vox1_meta.csv": META1, "iden_split.txt": iden, f"wav/{DEV[0]}.wav": b""}
    files[f"wav/{DEV[2]}.wav"] = b""
    catalogue = read(tmp_path, files)
    assert {clip.id.removeprefix("voxceleb1/"): clip.file for clip in catalogue.clips} == {
        DEV[0]: f"wav/{DEV[0]}.wav",
        DEV[1]: None,
        DEV[2]: f"wav/{DEV[2]}.wav",
    }
    identification = read(tmp_path, files, protocol="identification")
    assert len(identification.clips) == 2
    assert identification.warnings == (f"1 utterances are not in iden_split.txt, e.g. {DEV[2]}",)


def test_every_difference_to_the_published_counts_and_lists_is_listed(tmp_path: Path) -> None:
    files = {"vox1_meta.csv": META1, "veri_test.txt": TRIALS, f"wav/{TEST[0]}.wav": b""}
    assert [str(found) for found in read(tmp_path, files).differences] == [
        "clips of split dev: expected 148,642, got 0",
        "clips of split test: expected 4,874, got 1",
        "classes: expected 1,251, got 1",
        "trials of vox1-o: expected 37,720, got 1",
        "utterances of vox1-o that are there: expected 2, got 1",
    ]


def test_m4a_of_voxceleb2_goes_to_shards(tmp_path: Path) -> None:
    files = {
        "dev/aac/id00012/21Uxsk56VDQ/00001.m4a": m4a(4.0),
        "aac/id00017/OLguY5ofUrY/00044.m4a": m4a(4.5),
    }
    (tmp_path / "vox2_test_aac.zip").write_bytes(zip_bytes(files))
    write_folder(tmp_path, {"vox2_meta.csv": META2})
    source = open_source(str(tmp_path))
    catalogue = read_catalogue(VOX2, source)
    assert {(clip.split, clip.labels) for clip in catalogue.clips} == {
        ("dev", ("id00012",)),
        ("test", ("id00017",)),
    }
    out = tmp_path / "shards"
    options = IngestOptions(out=str(out), sample_rate_hz=16_000, num_workers=0, quiet=True)
    assert ingest(catalogue, open_fetcher(source.url), options).num_written == 2
    lengths = {record.id: record.duration_seconds for record in records_of(out)}
    assert lengths["voxceleb2/id00012/21Uxsk56VDQ/00001"] == pytest.approx(4.0, abs=0.07)
    assert lengths["voxceleb2/id00017/OLguY5ofUrY/00044"] == pytest.approx(4.5, abs=0.07)


def test_converted_wav_goes_before_the_original(tmp_path: Path) -> None:
    names = ("b/id00012/21Uxsk56VDQ/00001.wav", "a/id00012/21Uxsk56VDQ/00001.m4a")
    write_folder(tmp_path, dict.fromkeys(names, b"") | {"vox2_meta.csv": META2})
    (clip,) = read_catalogue(VOX2, open_source(str(tmp_path))).clips
    assert clip.file == names[0]


def test_speakers_of_the_other_set_are_left_alone(tmp_path: Path) -> None:
    files = {"vox1_meta.csv": META1, f"vox1/wav/{DEV[0]}.wav": b""}
    files["vox2/aac/id00012/21Uxsk56VDQ/00001.m4a"] = b""
    assert [clip.labels for clip in read(tmp_path, files).clips] == [("id10001",)]


def test_names_of_people_are_not_kept(tmp_path: Path) -> None:
    catalogue = read(tmp_path, {"vox1_meta.csv": META1, f"wav/{DEV[0]}.wav": b""})
    assert "Buckley" not in repr(catalogue)


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "holds no vox1_meta.csv"),
        ({"vox1_meta.csv": META1}, "holds no utterance called <speaker>/<video>/<utterance>"),
        (
            {"vox1_meta.csv": META1, "wav/A.J._Buckley/Y8hIVOBuels_0000002.wav": b""},
            "releases that name folders by people are older",
        ),
        (
            {"vox1_meta.csv": META1, "wav/id10999/na8-QEFmj44/00003.wav": b""},
            "the speaker id10999, whom the meta file does not list",
        ),
        (
            {"vox1_meta.csv": META1.replace(b"\t", b","), f"wav/{DEV[0]}.wav": b""},
            "expected the columns VoxCeleb1 ID\tVGGFace1 ID",
        ),
        (
            {"vox1_meta.csv": META1.replace(b"\tm\tInd", b"\tx\tInd"), f"wav/{DEV[0]}.wav": b""},
            "line 3: expected Set dev or test and Gender m or f, got 'dev', 'x'",
        ),
        (
            {"vox1_meta.csv": META1 * 2, f"wav/{DEV[0]}.wav": b""},
            "line 5: 'VoxCeleb1 ID' is no speaker's id",
        ),
        (
            {"vox1_meta.csv": META1, f"wav/{DEV[0]}.wav": b"", "iden_split.txt": b"4 x.wav\n"},
            "iden_split.txt line 1: expected 1, 2 or 3",
        ),
    ],
)
def test_files_that_are_not_as_published_are_refused(
    tmp_path: Path, files: dict[str, bytes], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path, files)


def test_identification_needs_its_list(tmp_path: Path) -> None:
    files = {"vox1_meta.csv": META1, f"wav/{DEV[0]}.wav": b""}
    with pytest.raises(ConfigError, match=r"holds no iden_split\.txt"):
        read(tmp_path, files, protocol="identification")


def test_trials_are_the_same_after_a_file(tmp_path: Path) -> None:
    data = TRIALS + b"0 id10270/x6uYqmx31kE/00001.wav id10300/ize_eiCFEg0/00003.wav"
    pairs = read_trials(data, name="vox1-o", dataset="voxceleb1", where="veri_test.txt")
    assert len(pairs) == 2  # the last line has no newline
    assert pairs.is_same == (True, False)
    assert pairs.second[1] == "voxceleb1/id10300/ize_eiCFEg0/00003"
    assert pairs.object_name == "trials/vox1-o.parquet"
    data = pairs.to_parquet()
    assert VerificationPairs.from_parquet(data, name="vox1-o", where="vox1-o.parquet") == pairs
    with pytest.raises(ShardFormatError, match=r"vox1-o\.parquet: not a list of trials: .*again"):
        VerificationPairs.from_parquet(data[:-4], name="vox1-o", where="vox1-o.parquet")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"2 id1/a/1.wav id1/a/2.wav", "line 1: the label is '2', expected 0 or 1"),
        (b"0 id1/a/1.wav id1/a/2.wav", "line 1: the label 0 contradicts the speakers"),
        (b"1 id1/a/1.wav id2/a/2.wav", "line 1: the label 1 contradicts the speakers"),
        (b"1 id1/a/1.wav", "line 1: expected 3 columns, got 2"),
    ],
)
def test_trial_that_contradicts_itself_is_refused(line: bytes, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_trials(line, name="x", dataset="voxceleb1", where="veri_test.txt")
