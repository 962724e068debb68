from pathlib import Path

import pytest

from jobs.catalogues.audioset_classes import strong_classes, weak_classes
from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, ingest
from jobs.sources import open_source
from shardwriter import RejectionReason
from shardwriter.audio import Cut
from shardwriter.errors import ConfigError
from tests.jobs.builders import wav, write_folder
from tests.jobs.shard_records import records_of

AUDIOSET = find_dataset("audioset")
# Rows as published; ids may begin with `-` and hold `_`, starts need not be whole, clips not 10 s.
ROWS = (
    '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"',
    '-0_abcdef_9, 0.000, 9.000, "/m/04rlf"',
    'Zzzzzzzzzz_, 12.345, 22.345, "/m/04rlf"',
)
STRONG_HEADER = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n"


def segments(
    rows: tuple[str, ...] = ROWS, *, num_clips: int = 3, num_labels: int = 4, newline: str = "\n"
) -> bytes:
    lines = (
        "# Segments csv created Sun Mar  5 10:54:31 2017",
        f"# num_ytids={num_clips}, num_segs={num_clips}, num_unique_labels=527, "
        f"num_positive_labels={num_labels}",
        "# YTID, start_seconds, end_seconds, positive_labels",
        *rows,
    )
    return (newline.join(lines) + newline).encode()


def read(folder: Path, data: bytes, **options: str) -> Catalogue:
    path = folder / "lists" / "eval_segments.csv"
    write_folder(folder, {"lists/eval_segments.csv": data})
    chosen = {"split": "eval", "csv": str(path)} | options
    return read_catalogue(AUDIOSET, None, chosen)


def test_clips_hold_what_their_rows_say(tmp_path: Path) -> None:
    catalogue = read(tmp_path, segments())
    first, second, third = catalogue.clips
    assert first.id == "audioset/--PJHxphWEs_30000"
    assert (first.labels, first.metadata) == (
        ("Speech", "Gush"),
        {"mids": ["/m/09x0r", "/t/dd00088"]},
    )
    assert (first.split, first.group, first.video_id) == ("eval", "--PJHxphWEs", "--PJHxphWEs")
    assert (first.file, first.cut) == (None, Cut(start_seconds=30, stop_seconds=40))
    assert second.id == "audioset/-0_abcdef_9_0"
    assert second.duration is not None
    assert second.duration.seconds == 9
    assert third.id == "audioset/Zzzzzzzzzz__12345"
    assert second.metadata is third.metadata
    assert catalogue.labels == weak_classes().labels
    assert catalogue.label_codes["Speech"] == "/m/09x0r"


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    data = segments(newline="\r\n")
    assert read(tmp_path, data).clips == read(tmp_path, segments()).clips


def test_counts_that_are_not_the_published_ones_are_listed(tmp_path: Path) -> None:
    assert [str(found) for found in read(tmp_path, segments()).differences] == [
        "clips of split eval: expected 20,371, got 3",
        "labels of split eval: expected 51,804, got 4",
    ]


def test_classes_are_in_the_published_order_and_both_lists_keep_their_names() -> None:
    weak, strong = weak_classes(), strong_classes()
    assert (len(weak.labels), len(strong.labels)) == (527, 456)
    assert weak.labels[:2] == ("Speech", "Male speech, man speaking")
    both = weak.name_by_mid.keys() & strong.name_by_mid.keys()
    assert len(both) == 382
    renamed = [mid for mid in both if weak.name_by_mid[mid] != strong.name_by_mid[mid]]
    assert len(renamed) == 12
    assert weak.name_by_mid["/m/0199g"] == "Bicycle"
    assert strong.name_by_mid["/m/0199g"] == "Bicycle, tricycle"


# The ways in which copies in circulation are damaged; the ids are real, the files are excerpts.
MANGLED = {
    "comments and quotes lost, labels spilt": (
        '--4gqARaEJE,0.000,10.000,"""/m/068hy",/m/07q6cd_,"/m/0jbk""",,,,\r\n',
        "line 1: expected '# Segments csv created ...'.* with empty columns .* a spreadsheet",
    ),
    "header without its hash": (
        segments().decode().replace("# YTID", "YTID"),
        "line 3: expected '# YTID, .* the comment lines are missing or changed",
    ),
    "comments with columns behind, ids turned to errors": (
        segments().decode().replace("2017\n", "2017,,,,\n").replace("--PJHxphWEs", "#NAME?"),
        r"line 1: .* a spreadsheet saved this copy; line 4 holds '#NAME\?'",
    ),
    "comments lost": (
        'YTID,start_seconds,end_seconds,positive_labels\n--PJHxphWEs,30,40,"/m/09x0r"\n',
        "line 1: .* the comment lines are missing",
    ),
    "first comment lost, ids turned to errors": (
        "\n".join(segments().decode().split("\n")[1:]).replace("--PJ", "#NAME?"),
        r"line 1: .*; line 3 holds '#NAME\?' or its like",
    ),
    "only an id turned to an error": (
        segments().decode().replace("--PJHxphWEs", "#NAME?"),
        r"line 4: column YTID is '#NAME\?': a spreadsheet saved this copy",
    ),
    "quotes lost": (
        segments().decode().replace('"', ""),
        "line 4: expected 4 columns, got 5: quotes are missing",
    ),
    "columns behind": (
        segments().decode().replace('88"\n', '88",,,\n'),
        "line 4: expected 4 columns, got 7, the last 3 empty",
    ),
    "rows lost": (
        segments(ROWS[:2]).decode(),
        "line 2 says 3 segments with 4 labels, there are 2 with 3: rows are lost",
    ),
    "labels lost": (
        segments().decode().replace(",/t/dd00088", ""),
        "line 2 says 3 segments with 4 labels, there are 3 with 3",
    ),
    "empty": ("", "line 1: expected '# Segments csv created"),
}


@pytest.mark.parametrize("name", MANGLED)
def test_mangled_copy_is_refused_with_what_is_wrong_and_where(tmp_path: Path, name: str) -> None:
    text, problem = MANGLED[name]
    with pytest.raises(ConfigError, match=problem) as caught:
        read(tmp_path, text.encode())
    assert str(caught.value).startswith(f"{tmp_path}/lists/eval_segments.csv")
    assert "take the file as published" in str(caught.value)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('../../passwd, 0, 10, "/m/04rlf"', "YTID is '../../passwd', expected 11 letters"),
        ('--PJHxphWE, 0, 10, "/m/04rlf"', "YTID is '--PJHxphWE', expected 11"),
        ('--PJHxphWEs, 10, 10, "/m/04rlf"', "ends at 10.0 s, before it starts at 10.0 s"),
        ('--PJHxphWEs, x, 10, "/m/04rlf"', "start_seconds is 'x', expected a number"),
        ('--PJHxphWEs, 0, inf, "/m/04rlf"', "end_seconds is 'inf', expected a number"),
        ('--PJHxphWEs, 0, 10, "/m/nothing"', "'/m/nothing' is none of the 527 classes' mids"),
        ('--PJHxphWEs, 0, 10, ""', "'' is none of the 527"),
        ('--PJHxphWEs, 0, 10, "/m/04rlf,/m/04rlf"', "a label is there twice"),
    ],
)
def test_row_that_makes_no_sense_is_refused_by_line(tmp_path: Path, row: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        read(tmp_path, segments((*ROWS, row)))
    assert "eval_segments.csv line 7: " in str(caught.value)


def test_strong_labels_of_a_clip_are_those_of_its_events_wherever_the_rows_lie(
    tmp_path: Path,
) -> None:
    text = STRONG_HEADER + (
        "s9d-2nhu_CQ_30000\t2.627\t7.237\t/m/053hz1\n"
        "b0RFKhbpFJA_30000\t0.000\t10.000\t/m/03m9d0z\n"
        "s9d-2nhu_CQ_30000\t8.0\t9.5\t/m/0199g\n"
        "s9d-2nhu_CQ_30000\t0.1\t0.2\t/m/053hz1\n"
    )
    write_folder(tmp_path, {"audioset_eval_strong.tsv": text.encode()})
    options = {"split": "eval", "labels": "strong", "csv": str(tmp_path)}
    catalogue = read_catalogue(AUDIOSET, None, options)
    assert (catalogue.name, len(catalogue.labels)) == ("audioset-strong", 456)
    clip, other = catalogue.clips
    assert clip.id == "audioset/s9d-2nhu_CQ_30000"
    assert clip.labels == ("Cheering", "Bicycle, tricycle")
    assert clip.metadata["mids"] == ["/m/053hz1", "/m/0199g"]
    assert clip.metadata["events"] == [
        [2.627, 7.237, "/m/053hz1"],
        [8.0, 9.5, "/m/0199g"],
        [0.1, 0.2, "/m/053hz1"],
    ]
    assert clip.cut == Cut(start_seconds=30, stop_seconds=40)
    assert clip.duration is None  # the list does not say where the video ends
    assert other.group == "b0RFKhbpFJA"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("s9d-2nhu_CQ\t0\t1\t/m/053hz1", "segment_id is 's9d-2nhu_CQ', expected <video>_<start"),
        ("s9d-2nhu_CQ_3.0\t0\t1\t/m/053hz1", "segment_id is"),
        ("s9d-2nhu_CQ_30000\t2\t1\t/m/053hz1", "ends at 1.0 s, before it starts at 2.0 s"),
        ("s9d-2nhu_CQ_30000\t0\t1\tCheering", "'Cheering' is none of the classes' mids"),
    ],
)
def test_strong_label_that_makes_no_sense_is_refused(
    tmp_path: Path, row: str, problem: str
) -> None:
    text = f"{STRONG_HEADER}{row}\n"
    write_folder(tmp_path, {"audioset_eval_strong.tsv": text.encode()})
    options = {"split": "eval", "labels": "strong", "csv": str(tmp_path)}
    with pytest.raises(ConfigError, match=problem):
        read_catalogue(AUDIOSET, None, options)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"split": "eval"}, "give the published list eval_segments.csv"),
        ({"split": "eval", "csv": "/nowhere"}, "/nowhere: No such file .* give eval_segments.csv"),
        ({"split": "balanced", "labels": "strong"}, "strong labels have the splits all, train"),
    ],
)
def test_choices_that_can_t_be_met_are_refused(options: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_catalogue(AUDIOSET, None, options)


def test_one_list_does_not_stand_for_several(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is one list, and split all has 3: choose the split"):
        read(tmp_path, segments(), split="all")


def test_all_lists_are_read_from_the_source_each_as_its_split(tmp_path: Path) -> None:
    lists = ("balanced_train", "unbalanced_train", "eval")
    ids = ("aaaaaaaaaaa", "bbbbbbbbbbb", "ccccccccccc")
    for name, video in zip(lists, ids, strict=True):
        rows = (f'{video}, 0.000, 10.000, "/m/04rlf"',)
        data = segments(rows, num_clips=1, num_labels=1)
        write_folder(tmp_path, {f"csv/{name}_segments.csv": data, f"clips/{video}.wav": b""})
    catalogue = read_catalogue(AUDIOSET, open_source(str(tmp_path)))
    assert [(clip.split, clip.file) for clip in catalogue.clips] == [
        (name, f"clips/{video}.wav") for name, video in zip(lists, ids, strict=True)
    ]


def test_clips_and_whole_videos_of_ones_own_go_to_shards(tmp_path: Path) -> None:
    files = {
        "eval_segments.csv": segments(),
        "audio/Y--PJHxphWEs_30.000_40.000.wav": wav(10.0, hz=8000),
        "audio/-0_abcdef_9.wav": wav(20.0, hz=8000),  # the whole video, of which 9 s are the clip
    }
    source = open_source(str(write_folder(tmp_path / "own", files)))
    catalogue = read_catalogue(AUDIOSET, source, {"split": "eval", "audio": "videos"})
    out = tmp_path / "shards"
    options = IngestOptions(out=str(out), sample_rate_hz=8000, num_workers=0, quiet=True)
    summary = ingest(catalogue, open_fetcher(source.url), options)
    assert {rejection.clip_id: rejection.reason for rejection in summary.rejections} == {
        "audioset/Zzzzzzzzzz__12345": RejectionReason.ABSENT
    }
    found = {record.id: (record.num_samples, record.labels) for record in records_of(out)}
    assert found == {
        "audioset/--PJHxphWEs_30000": (80_000, ("Speech", "Gush")),
        "audioset/-0_abcdef_9_0": (72_000, ("Music",)),
    }
