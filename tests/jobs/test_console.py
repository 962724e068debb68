import pytest

from jobs.console import complain, counted, human_bytes, progress, say, stage, table


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (67_200_000, "67.2 MB"),
        (999_000_000, "999.0 MB"),
        (1_500_000_000, "1.5 GB"),
        (2e15, "2000.0 TB"),
    ],
)
def test_sizes_are_in_decimal_units(num_bytes: float, text: str) -> None:
    assert human_bytes(num_bytes) == text


def test_one_thing_is_counted_without_a_plural() -> None:
    assert [counted(number, "clip") for number in (0, 1, 2000)] == [
        "0 clips",
        "1 clip",
        "2,000 clips",
    ]
    assert [counted(number, "process", "processes") for number in (1, 2)] == [
        "1 process",
        "2 processes",
    ]


def test_lines_go_to_standard_output_and_complaints_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say("a result")
    complain("a problem")
    stage("1/4 ingest")
    captured = capsys.readouterr()
    assert captured.out == "a result\n\n== 1/4 ingest\n"
    assert captured.err == "a problem\n"


def test_table_aligns_its_second_column(capsys: pytest.CaptureFixture[str]) -> None:
    table([("clips", "400"), ("held-out accuracy", "61.3%")])
    table([])
    assert capsys.readouterr().out == "  clips              400\n  held-out accuracy  61.3%\n"


@pytest.mark.parametrize("hidden", [False, True])
def test_progress_yields_every_item_and_prints_nothing_to_standard_output(
    hidden: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(progress("abc", total=3, what="read", unit="clip", hidden=hidden)) == list("abc")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("read: 100%" in captured.err) is not hidden
