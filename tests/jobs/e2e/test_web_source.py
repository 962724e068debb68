"""Clips as files on a web server, whose names the user tells."""

from pathlib import Path

import pytest

from jobs.cli import main, parser
from jobs.source_flags import fetch_options
from tests.jobs.builders import csv_bytes, esc50_row, wav
from tests.jobs.fetching.site import Page, Site
from tests.jobs.shard_records import records_of

ROWS = [esc50_row(number, target=number) for number in range(1, 5)]


@pytest.fixture
def names(site: Site, tmp_path: Path) -> Path:
    """The names of what the server holds: the list and four clips, of which one is gone."""
    files = {"meta/esc50.csv": csv_bytes(ROWS)}
    files |= {f"audio/{row['filename']}": wav(hz=8000 + 10 * n) for n, row in enumerate(ROWS)}
    for name, data in files.items():
        site.put(f"/esc50/{name}", Page(body=data, etag='"1"'))
    site.put(f"/esc50/audio/{ROWS[3]['filename']}", Page(status=404))
    (tmp_path / "names").write_text("\n".join(files))
    return tmp_path / "names"


def ingest(site: Site, out: Path, *flags: str) -> int:
    command = ["ingest", "esc50", "--source", f"{site.url}/esc50", "--out", str(out)]
    return main([*command, "--sample-rate", "8000", "--workers", "0", *flags])


def test_clips_come_by_http_and_one_that_is_gone_is_told(
    site: Site, names: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert ingest(site, out, "--names", str(names), "--allow-private-hosts") == 0
    assert {record.id for record in records_of(out)} == {
        f"esc50/{row['filename'].removesuffix('.wav')}" for row in ROWS[:3]
    }
    assert "rejected: http_404" in capsys.readouterr().out
    assert max(site.paths().count(path) for path in site.paths()) == 1


def test_server_without_names_is_refused_with_the_way_out(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ingest(site, tmp_path / "out", "--allow-private-hosts") == 2
    assert "as --names FILE" in capsys.readouterr().err


def test_http_source_gets_two_connections_unless_told_otherwise() -> None:
    command = ["ingest", "esc50", "--source", "https://x.example/a", "--out", "out"]
    for flags, expected in (([], 2), (["--connections", "7"], 7)):
        arguments = parser().parse_args([*command, *flags])
        assert fetch_options(arguments).http.connections_per_host == expected
