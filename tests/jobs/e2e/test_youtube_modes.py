"""However much of a video is fetched, the dataset holds the same samples; the log tells which."""

from pathlib import Path

import pytest

from jobs.availability.log_table import read_attempts
from shardwriter.storage import LocalStore
from tests.jobs.e2e.drifting_site import ingest, listed, write_list
from tests.jobs.fetching.media import noise, youtube_m4a, youtube_webm
from tests.jobs.fetching.site import Site
from tests.jobs.fetching.youtube_site import put_video

SECONDS = 25


def test_all_modes_write_the_same_samples(site: Site, tmp_path: Path) -> None:
    rows = listed(3)
    csv = write_list(tmp_path / "list.csv", rows)
    for row, media in zip(rows, (youtube_webm, youtube_m4a, youtube_webm), strict=True):
        data = media(noise(SECONDS, seed=row.start))
        put_video(site, data, video_id=row.video, duration=SECONDS, filesize=len(data))
    found = {}
    for mode in ("prefix", "range", "whole"):
        out = tmp_path / mode
        assert ingest(csv, out, "--youtube-mode", mode) == 0
        table = read_attempts(LocalStore(out), ["clip_id", "pcm_sha256", "fetch_mode", "num_bytes"])
        assert table["fetch_mode"].to_pylist() == [mode] * len(rows)
        assert min(table["num_bytes"].to_pylist()) > 0
        found[mode] = table.select(["clip_id", "pcm_sha256"]).sort_by("clip_id")
    assert found["prefix"].equals(found["whole"])
    assert found["range"].equals(found["whole"])
    assert None not in found["whole"]["pcm_sha256"].to_pylist()


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("prefix", "as each video is fetched up to the end of its clip"),
        ("range", "as only the part around each clip is fetched"),
        ("whole", "all audio of each video, whose length the list doesn't tell"),
    ],
)
def test_a_dry_run_says_what_a_mode_downloads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str, words: str
) -> None:
    csv = write_list(tmp_path / "list.csv", listed(300))
    assert ingest(csv, tmp_path / "out", "--youtube-mode", mode, "--dry-run") == 0
    assert words in capsys.readouterr().out
