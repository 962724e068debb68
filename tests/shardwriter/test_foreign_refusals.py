"""What an index of others' shards leaves out or refuses, and what it says of it."""

import json
import re
from pathlib import Path

import pytest

from jobs.index_foreign import obstacles, print_index
from jobs.verify import verify
from loader.dataset import open_dataset
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.schema import RejectionReason
from shardwriter.storage import LocalStore
from tests.shardwriter.dataset_builders import tar_bytes, tree
from tests.shardwriter.foreign_builders import audio, label, rows_of, run, write_tar


def test_what_lacks_audio_or_label_is_a_rejection_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = label({"label": "dog"})
    write_tar(
        tmp_path / "a.tar",
        {
            "good": {"flac": audio(0), "json": good},
            "silent": {"json": good, "txt": b"x"},
            "unlabelled": {"flac": audio(1), "txt": b"x"},
            "empty": {"flac": audio(2), "json": label({})},
            "odd": {"flac": audio(3), "json": label({"label": 1.5})},
            "broken": {"flac": audio(4), "json": b"{"},
            "deep": {"flac": audio(4), "json": b"[" * 100_000},
            "noise": {"flac": b"not audio", "json": good},
            "cut": {"flac": audio(5, num_samples=9000)[:-9000], "json": good},
            "bare": {"flac": b"", "json": good},
            "__meta__": {"json": b"{}"},
            "twice": {"flac": audio(6)},
            "between": {"flac": audio(7), "json": good},
        },
    )
    tail = tar_bytes([("twice.json", good), ("README", b"hello")])
    path = tmp_path / "a.tar"
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data + bytes(-len(data) % 512) + tail)
    found = run(tmp_path)
    reasons = {rejected.clip_id: rejected.reason for rejected in found.rejections}
    assert reasons == {
        "silent": RejectionReason.NO_AUDIO,
        "unlabelled": RejectionReason.NO_LABEL,
        "empty": RejectionReason.NO_LABEL,
        "odd": RejectionReason.BAD_LABEL,
        "broken": RejectionReason.BAD_LABEL,
        "deep": RejectionReason.BAD_LABEL,
        "noise": RejectionReason.UNREADABLE,
        "cut": RejectionReason.TRUNCATED,
        "bare": RejectionReason.EMPTY,
        "__meta__": RejectionReason.NO_AUDIO,
        "twice": RejectionReason.DUPLICATE,
    }
    assert len(found.rejections) == 12  # twice: once without its label, once without its audio
    assert found.num_ignored_members == 1
    logged = (tmp_path / "availability" / "rejections.jsonl").read_text().splitlines()
    assert [json.loads(line)["clip_id"] for line in logged] == [
        rejected.clip_id for rejected in found.rejections
    ]
    assert [row.key for row in rows_of(tmp_path, "a.idx")] == ["good", "between"]
    assert verify(str(tmp_path)) == 0
    print_index(found, str(tmp_path))
    output = capsys.readouterr().out
    assert re.search(r"rejected: bad_label +3 clips", output)
    assert "other files" in output


def test_what_the_loader_would_refuse_is_said(tmp_path: Path) -> None:
    samples = {
        "mono": {"flac": audio(0), "cls": b"0"},
        "stereo": {"flac": audio(1, channels=2), "cls": b"0"},
        "fast": {"flac": audio(2, rate=16_000), "cls": b"0"},
    }
    write_tar(tmp_path / "a.tar", samples)
    (rates,) = obstacles(run(tmp_path))
    assert "[8000, 16000] Hz" in rates
    with pytest.raises(ConfigError, match=r"mixes the sample rates \[8000, 16000\]"):
        open_dataset(LocalStore(tmp_path), split="train", folds=None)


def test_vocabulary_from_a_file_rules_and_unknown_labels_are_rejected(tmp_path: Path) -> None:
    samples = {name: {"flac": audio(0), "txt": name.encode()} for name in ("siren", "bark", "meow")}
    write_tar(tmp_path / "a.tar", samples)
    vocabulary = tmp_path / "labels.txt"
    vocabulary.write_text("rain\nsiren\nbark\n")
    found = run(tmp_path, vocabulary=vocabulary)
    assert found.manifest.settings.labels == ("rain", "siren", "bark")
    assert [(row.key, row.label_ids) for row in rows_of(tmp_path, "a.idx")] == [
        ("siren", (1,)),
        ("bark", (2,)),
    ]
    (rejected,) = found.rejections
    assert (rejected.clip_id, rejected.reason) == ("meow", RejectionReason.BAD_LABEL)
    assert verify(str(tmp_path)) == 0
    vocabulary.write_text("a\na\n")
    with pytest.raises(ConfigError, match="'a' is there twice"):
        run(tmp_path, vocabulary=vocabulary)


def test_shard_without_a_usable_sample_is_left_out(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"x": {"cls": b"0", "flac": audio(0)}})
    write_tar(tmp_path / "b.tar", {"y": {"cls": b"0"}})
    found = run(tmp_path)
    assert [shard.tar for shard in found.manifest.shards] == ["a.tar"]
    (tmp_path / "a.tar").unlink()
    with pytest.raises(ConfigError, match="no sample has audio and a label"):
        run(tmp_path)


def test_what_is_there_already_is_not_replaced(tmp_path: Path, own_dataset: Path) -> None:
    with pytest.raises(ConfigError, match="dataset that melstream wrote"):
        run(own_dataset)
    write_tar(tmp_path / "t" / "a.tar", {"x": {"cls": b"0", "flac": audio(0)}})
    (tmp_path / "t" / "a.idx").write_text("v1.2 1\nflac 512 3000 x.flac\n")  # DALI's
    with pytest.raises(ConfigError, match="is of another program"):
        run(tmp_path / "t")


def test_folders_without_tars_and_compressed_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no \.tar$"):
        run(tmp_path)
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"decompress 'a\.tar\.gz'"):
        run(tmp_path)


def test_hostile_tar_stops_the_index_and_leaves_nothing(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"x": {"flac": audio(0), "cls": b"0"}})
    write_tar(tmp_path / "b.tar", {"../../x": {"flac": audio(0), "cls": b"0"}})
    before = tree(tmp_path)
    with pytest.raises(ShardFormatError, match=r"b\.tar at byte 0: .* not relative"):
        run(tmp_path)
    assert tree(tmp_path) == before


def test_label_field_that_is_not_found_is_asked_for(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"x": {"flac": audio(0), "json": label({"n": 1})}})
    with pytest.raises(ConfigError, match=r"has the members \.flac, \.json; .* --label-field"):
        run(tmp_path)
