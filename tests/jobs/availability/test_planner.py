import numpy as np
import pyarrow as pa
import pytest

from jobs.availability.listing import LISTING_SCHEMA, listing_table
from jobs.availability.planner import Rates, duration_words, plan_ingest, plan_lines
from jobs.catalogues.catalogue import ClipRef
from shardwriter.audio import Cut
from tests.jobs.availability.drift_builders import catalogue, clip

AUDIOSET_NUM_CLIPS = 2_084_320
DAY = 86_400


def audioset_listing(num_clips: int = AUDIOSET_NUM_CLIPS) -> pa.Table:
    """As many clips as AudioSet has, ten seconds each, that end after 110 s in the mean."""
    numbers = pa.array(np.arange(num_clips)).cast(pa.string())
    columns = {
        "clip_id": numbers,
        "video_id": numbers,
        "stop_seconds": pa.array(np.full(num_clips, 110.0)),
        "seconds": pa.array(np.full(num_clips, 10.0)),
    }
    return pa.table(columns)


@pytest.fixture(scope="module")
def audioset() -> pa.Table:
    return audioset_listing()


def test_all_of_audioset_takes_a_guest_289_days_and_an_account_43(audioset: pa.Table) -> None:
    guest = plan_ingest(audioset, source="youtube")
    assert guest.num_left == guest.num_videos == AUDIOSET_NUM_CLIPS
    assert guest.seconds // DAY == 289
    account = plan_ingest(audioset, source="youtube", is_authenticated=True)
    assert account.seconds // DAY == 43
    assert guest.num_fetched_bytes == pytest.approx(2e6 * AUDIOSET_NUM_CLIPS, rel=0.1)
    assert 0.6e12 < guest.num_stored_bytes < 0.9e12


def test_parts_of_videos_take_a_fifth_of_the_bytes_in_more_requests() -> None:
    listing = audioset_listing(300)
    prefix = plan_ingest(listing, source="youtube")
    ranged = plan_ingest(listing, source="youtube", fetch_mode="range")
    assert prefix.num_fetched_bytes is not None
    assert ranged.num_fetched_bytes is not None
    assert ranged.num_fetched_bytes == pytest.approx(390_000 * 300, rel=0.02)
    assert ranged.num_fetched_bytes < 0.22 * prefix.num_fetched_bytes
    assert ranged.num_requests == prefix.num_requests + 3 * 300
    assert ranged.seconds == prefix.seconds
    assert plan_ingest(listing, source="youtube", fetch_mode="whole").num_fetched_bytes is None


def test_text_suggests_a_copy_of_ones_own_first(audioset: pa.Table) -> None:
    plan = plan_ingest(audioset, source="youtube", num_workers=2)
    lines = plan_lines(plan, title="AudioSet", copies=["datasets/somebody/AudioSet, 85 %"])
    text = "\n".join(lines)
    assert "AudioSet from youtube: 2,084,320 of 2,084,320 clips to fetch" in text
    assert "about 289 days at 300 videos an hour, YouTube's limit for a guest session" in text
    own = text.index("Bring your own copy first")
    assert "in about 4.8 hours" in text[own:]
    assert own < text.index("known copy: datasets/somebody/AudioSet") < text.index("cookies")


def test_what_is_done_is_not_planned_again() -> None:
    listing = listing_table(catalogue(*(clip(number) for number in range(10))))
    plan = plan_ingest(listing, source="youtube", done=[clip(3).id, clip(4).id, "toy/else"])
    assert (plan.num_clips, plan.num_done, plan.num_left, plan.num_videos) == (10, 2, 8, 8)
    assert plan.polite_seconds == 8 / 300 * 3600
    assert "there already   2 clips" in "\n".join(plan_lines(plan, title="Toy"))
    done = plan_ingest(listing, source="youtube", done=listing["clip_id"].combine_chunks())
    assert done.seconds == 0
    assert plan_lines(done, title="Toy")[-1] == "  nothing is left to do"


def test_clips_of_one_video_are_one_video_but_several_fetches() -> None:
    clips = [
        ClipRef(id=f"toy/{n}", file=None, split="s", labels=(), video_id="v", cut=Cut())
        for n in "ab"
    ]
    plan = plan_ingest(listing_table(catalogue(*clips)), source="youtube")
    assert (plan.num_videos, plan.num_left) == (1, 2)
    assert plan.num_fetched_bytes is None  # nobody knows where the clips end
    assert plan.num_unknown_lengths == 2


@pytest.mark.parametrize("source", ["folder", "zip", "tar", "s3"])
def test_own_sources_have_no_rate_and_take_what_decoding_takes(source: str) -> None:
    listing = listing_table(catalogue(*(clip(number) for number in range(600))))
    plan = plan_ingest(listing, source=source, num_workers=2)
    assert plan.rate_per_hour is None
    assert plan.seconds == 600 * 10 / 600 / 2
    assert plan.num_requests == (600 if source == "s3" else 0)
    text = "\n".join(plan_lines(plan, title="Toy"))
    assert "about 5 s of decoding and encoding" in text
    assert "Bring your own" not in text


def test_servers_are_asked_politely_and_rates_can_be_chosen() -> None:
    listing = listing_table(catalogue(*(clip(number) for number in range(100))))
    assert plan_ingest(listing, source="http").seconds == 100
    slow = plan_ingest(listing, source="http", rates=Rates(http_requests_per_hour=360))
    assert slow.seconds == 1000
    assert "if the server gives 360 files an hour" in "\n".join(plan_lines(slow, title="Toy"))


def test_clips_of_unknown_length_are_taken_as_the_mean() -> None:
    unknown = ClipRef(id="toy/x", file="x.wav", split="train", labels=())
    plan = plan_ingest(listing_table(catalogue(clip(1), unknown)), source="folder")
    assert (plan.audio_seconds, plan.num_unknown_lengths) == (20.0, 1)
    assert "1 clips of unknown length" in "\n".join(plan_lines(plan, title="Toy"))


def test_wrong_arguments_are_refused() -> None:
    listing = LISTING_SCHEMA.empty_table()
    with pytest.raises(ValueError, match="got 'ftp'"):
        plan_ingest(listing, source="ftp")
    with pytest.raises(ValueError, match="at least one worker, got 0"):
        plan_ingest(listing, source="folder", num_workers=0)
    assert plan_ingest(listing, source="youtube").seconds == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 s"), (119, "119 s"), (120, "2 minutes"), (9000, "2.5 hours"), (260_000, "3 days")],
)
def test_durations_are_rough_words(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words
