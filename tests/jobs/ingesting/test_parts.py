"""Array jobs: parts never overlap, run side by side, and merge to what one job would have made."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest import IngestOptions, plan
from jobs.ingesting.parts import Part
from jobs.ingesting.tally import REJECTIONS_NAME
from jobs.verify import verify
from loader.dataset import open_dataset
from shardwriter.errors import ConfigError
from shardwriter.index import index_rows
from shardwriter.manifest import load_manifest
from shardwriter.publish import load_idx
from shardwriter.storage import LocalStore
from tests.jobs.ingesting.site import (
    SiteFetcher,
    catalogue,
    clip_id,
    requests,
    run_site,
    write_site,
)

NUM_CLIPS = 60
PARTS = ("1/3", "2/3", "3/3")


def samples(out: Path) -> dict[str, bytes]:
    """Hash of each clip's samples by its key; a clip that is there twice is an error."""
    store = LocalStore(out)
    found = {}
    for shard in load_manifest(store).shards:
        for row in index_rows(load_idx(store, shard.tar)):
            assert row.key not in found
            found[row.key] = row.pcm_hash
    return found


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Clip 7 is private, 8 is age-gated; all others come."""
    return write_site(tmp_path / "site", {clip_id(7): ["private"], clip_id(8): ["age_gated"]})


@given(st.integers(0, 300), st.integers(1, 70))
def test_parts_are_disjoint_in_order_and_cover_everything(num_items: int, count: int) -> None:
    items = list(range(num_items))
    parts = [Part(number=number, count=count).of(items) for number in range(1, count + 1)]
    assert [item for part in parts for item in part] == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "-1/3", "1/0", "1/100001", "1/3/4", ""])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a part"):
        Part.parse(text)


def test_three_parts_hold_the_samples_of_one_run(site: Path, tmp_path: Path) -> None:
    run_site(site, tmp_path / "one", NUM_CLIPS)
    waiting = [run_site(site, tmp_path / "three", NUM_CLIPS, part=part) for part in PARTS]
    assert [summary.unfinished_parts for summary in waiting] == [(2, 3), (3,), ()]
    assert [summary.manifest is None for summary in waiting] == [True, True, False]
    assert samples(tmp_path / "three") == samples(tmp_path / "one")
    assert len(samples(tmp_path / "one")) == NUM_CLIPS - 2
    store = LocalStore(tmp_path / "three")
    assert len(open_dataset(store, split="eval", folds=None)) == NUM_CLIPS // 5
    assert verify(str(tmp_path / "three")) == 0
    expected = (tmp_path / "one" / REJECTIONS_NAME).read_bytes()
    assert (tmp_path / "three" / REJECTIONS_NAME).read_bytes() == expected


def test_parts_that_run_and_end_at_once_publish_everything(site: Path, tmp_path: Path) -> None:
    run_site(site, tmp_path / "one", NUM_CLIPS)
    with ThreadPoolExecutor(6) as pool:
        futures = [
            pool.submit(run_site, site, tmp_path / "six", NUM_CLIPS, part=f"{number}/6")
            for number in range(1, 7)
        ]
        summaries = [future.result() for future in futures]
    assert any(summary.manifest for summary in summaries)
    assert samples(tmp_path / "six") == samples(tmp_path / "one")
    run_site(site, tmp_path / "six", NUM_CLIPS, merge_only=True)  # alone, so it clears
    assert not [path for path in (tmp_path / "six").iterdir() if path.name.startswith(".tmp-")]


def test_part_that_never_ends_is_left_to_the_merge(site: Path, tmp_path: Path) -> None:
    for part in PARTS[:2]:
        run_site(site, tmp_path / "out", NUM_CLIPS, part=part)
    with pytest.raises(ConfigError, match="its ingest did not finish"):
        load_manifest(LocalStore(tmp_path / "out"))
    summary = run_site(site, tmp_path / "out", NUM_CLIPS, merge_only=True)
    assert summary.manifest is not None
    assert len(samples(tmp_path / "out")) == NUM_CLIPS * 2 // 3 - 2
    run_site(site, tmp_path / "out", NUM_CLIPS, part=PARTS[2])
    assert len(samples(tmp_path / "out")) == NUM_CLIPS - 2


def test_part_run_again_asks_only_for_what_is_not_there(site: Path, tmp_path: Path) -> None:
    for part in PARTS:
        run_site(site, tmp_path / "out", NUM_CLIPS, part=part)
    write_site(site, {clip_id(8): ["age_gated"]})
    again = run_site(site, tmp_path / "out", NUM_CLIPS, part=PARTS[0], retry=("all",))
    assert set(requests(site)) == {clip_id(7), clip_id(8)}
    assert (again.num_written, again.num_already_there) == (1, NUM_CLIPS // 3 - 2)
    assert again.manifest is not None  # all others are done, so it publishes
    assert len(samples(tmp_path / "out")) == NUM_CLIPS - 1


def test_other_count_of_parts_goes_on_behind_the_first(site: Path, tmp_path: Path) -> None:
    run_site(site, tmp_path / "out", NUM_CLIPS, part="1/3")
    for number in range(1, 6):
        run_site(site, tmp_path / "out", NUM_CLIPS, part=f"{number}/5")
    assert len(samples(tmp_path / "out")) == NUM_CLIPS - 2
    assert requests(site)[clip_id(0)] == 1


def test_whole_run_goes_on_behind_parts(site: Path, tmp_path: Path) -> None:
    run_site(site, tmp_path / "out", NUM_CLIPS, part="2/3")
    summary = run_site(site, tmp_path / "out", NUM_CLIPS)
    assert summary.num_already_there == NUM_CLIPS // 3
    assert len(samples(tmp_path / "out")) == NUM_CLIPS - 2


def test_part_without_any_usable_clip_is_done_too(tmp_path: Path) -> None:
    gone = {clip_id(number): ["private"] for number in range(20)}
    site = write_site(tmp_path / "site", gone)
    for part in PARTS:
        run_site(site, tmp_path / "out", NUM_CLIPS, part=part)
    assert len(samples(tmp_path / "out")) == NUM_CLIPS - 20


@pytest.mark.parametrize("options", [{"merge_only": True}, {"executor": "ray"}])
def test_part_goes_with_no_other_way_to_split(
    site: Path, tmp_path: Path, options: dict[str, object]
) -> None:
    with pytest.raises(ConfigError, match="--part goes with neither"):
        run_site(site, tmp_path / "out", NUM_CLIPS, part="1/3", **options)


def test_plan_counts_what_is_left_and_touches_nothing(site: Path, tmp_path: Path) -> None:
    options = IngestOptions(out=str(tmp_path / "out"), sample_rate_hz=8000)
    lines = plan(catalogue(NUM_CLIPS), SiteFetcher(site), options)
    assert "60 of 60 clips to fetch" in lines[0]
    assert not (tmp_path / "out").exists()
    assert not requests(site)
    run_site(site, tmp_path / "out", NUM_CLIPS)
    (first, there, *_) = plan(catalogue(NUM_CLIPS), SiteFetcher(site), options)
    assert "2 of 60 clips to fetch" in first
    assert "58 clips" in there
