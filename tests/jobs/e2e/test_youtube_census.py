"""A list whose videos are in every state comes out with exactly that census, then and later.

The command as a user runs it, AudioSet's list, the real yt-dlp; YouTube is on the loopback address.
"""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from jobs.availability.log_table import read_attempts
from jobs.availability.outcome import GROUPS, Code, Group
from jobs.availability.snapshot import read_snapshot
from jobs.cli import main
from jobs.verify import verify
from shardwriter.storage import LocalStore
from tests.jobs.e2e.drifting_site import (
    Listed,
    Videos,
    asked,
    ingest,
    json_of,
    listed,
    mixed,
    on_day,
    write_list,
)
from tests.jobs.fetching.site import Site

JUDGED_BY_WHOLE_BYTES = frozenset({Code.SILENT, Code.SHORT_CLIP})
MIX = {
    Code.PRIVATE: 20,
    Code.REMOVED_BY_UPLOADER: 6,
    Code.ACCOUNT_TERMINATED: 6,
    Code.COPYRIGHT: 4,
    Code.AGE_GATED: 8,
    Code.MEMBERS_ONLY: 4,
    Code.GEO_BLOCKED: 6,
    Code.UNAVAILABLE_UNSPECIFIED: 12,
    Code.BOT_CHECK: 2,
    Code.HTTP_403_MEDIA: 2,
    Code.HTTP_5XX: 3,
    Code.RESET: 3,
    Code.DNS: 2,
    Code.TRUNCATED: 3,
    Code.EXTRACTOR_BUG: 2,
    Code.CLIP_PAST_END: 3,
    Code.SHORT_CLIP: 3,
    Code.SILENT: 4,
    Code.LIVE_PENDING: 2,
}
"""So many of 500; the others are well."""
SMALL_MIX = dict.fromkeys(MIX, 1) | {Code.PRIVATE: 2}


def states_of(out: Path) -> dict[str, str]:
    table = read_snapshot(LocalStore(out))
    return dict(zip(table["clip_id"].to_pylist(), table["state"].to_pylist(), strict=True))


def codes_of(out: Path) -> dict[str, str]:
    """The last code of each clip."""
    table = read_snapshot(LocalStore(out))
    return dict(zip(table["clip_id"].to_pylist(), table["code"].to_pylist(), strict=True))


def expected_states(rows: list[Listed], codes: dict[Listed, Code]) -> dict[str, str]:
    """What two windows make of it: no claim but by what speaks of the clip itself."""
    states = {
        Group.OK: "alive",
        Group.PERMANENT: "gone",
        Group.GATED: "gated",
        Group.BLOCKED: "blocked",
        Group.TRANSIENT: "unknown",
        Group.OURS: "unknown",
        Group.UNCLEAR: "unknown",
    }
    return {row.id: states[GROUPS[codes.get(row, Code.OK)]] for row in rows}


def copy(csv: Path, out: Path, *, day: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest, and once more on the next day: what is gone is confirmed by two windows."""
    on_day(day, monkeypatch)
    assert ingest(csv, out) == 0
    on_day(day + 1, monkeypatch)
    assert ingest(csv, out) == 0


def check_census(out: Path, rows: list[Listed], codes: dict[Listed, Code]) -> None:
    assert codes_of(out) == {row.id: codes.get(row, Code.OK).value for row in rows}
    assert states_of(out) == expected_states(rows, codes)
    assert verify(str(out), decode=False) == 0


def check_drift(
    folder: Path,
    site: Site,
    num_clips: int,
    mix: dict[Code, int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows, videos = listed(num_clips), Videos(site)
    listing = write_list(folder / "balanced_train_segments.csv", rows)
    codes = mixed(rows, mix)
    videos.put(rows, codes)
    copy(listing, folder / "first", day=0, monkeypatch=monkeypatch)
    check_census(folder / "first", rows, codes)
    check_tries(folder / "first", site, codes)

    private = [row for row, code in codes.items() if code is Code.PRIVATE]
    revived = private[: len(private) // 2]
    removed = [row for row in rows if row not in codes][:: max(1, num_clips // 9)]
    later = {row: code for row, code in codes.items() if row not in revived}
    later |= dict.fromkeys(removed, Code.REMOVED_BY_UPLOADER)
    videos.put(rows, later)
    copy(listing, folder / "second", day=400, monkeypatch=monkeypatch)
    check_census(folder / "second", rows, later)

    changes = folder / "changes.csv"
    first, second = str(folder / "first"), str(folder / "second")
    json_of(capsys, "availability", "diff", first, second, "--out", str(changes))
    with changes.open(newline="") as file:
        told = {row["clip_id"]: row["change"] for row in csv.DictReader(file)}
    assert told == dict.fromkeys((row.id for row in revived), "recovered") | dict.fromkeys(
        (row.id for row in removed), "lost"
    )
    check_top_up(folder / "first", listing, revived, monkeypatch, capsys)


def check_tries(out: Path, site: Site, codes: dict[Listed, Code]) -> None:
    """What settles is asked for once a run; nothing is asked for that was there."""
    tries = Counter(asked(site))
    assert {num for video, num in tries.items() if video not in {row.video for row in codes}} <= {
        1,
        2,  # as a canary of the second run
    }
    for row, code in codes.items():
        if GROUPS[code] is Group.GATED:
            assert tries[row.video] == 1
        if GROUPS[code] is Group.PERMANENT:
            # Once in each window; whole bytes that are no clip will be none tomorrow.
            assert tries[row.video] == (1 if code in JUDGED_BY_WHOLE_BYTES else 2)
    attempts = read_attempts(LocalStore(out), ("clip_id", "tool", "licence", "code"))
    assert {tool.split()[0] for tool in attempts["tool"].to_pylist()} == {"yt-dlp"}


def check_top_up(
    out: Path,
    listing: Path,
    revived: list[Listed],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A later run on the first copy that asks for what is gone brings back what is there again."""
    on_day(402, monkeypatch)
    assert ingest(listing, out, "--retry", "gone") == 0
    found: Any = json_of(capsys, "availability", "diff", str(out))
    assert found["changes"]["recovered"] == len(revived)
    assert {row.id for row in revived} <= {
        clip for clip, state in states_of(out).items() if state == "alive"
    }


@pytest.mark.usefixtures("no_waiting")
def test_sixty_clips_come_out_with_their_census_and_their_drift(
    tmp_path: Path,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    check_drift(tmp_path, site, 60, SMALL_MIX, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("no_waiting")
def test_five_hundred_clips_come_out_with_their_census_and_their_drift(
    tmp_path: Path,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    check_drift(tmp_path, site, 500, MIX, monkeypatch, capsys)
    out = tmp_path / "report"
    assert main(["availability", "report", str(tmp_path / "second"), "--out", str(out)]) == 0
    assert (out / "report.html").stat().st_size > 10_000
