"""Clips that workers make together: in which lists they travel, and what comes back in order."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from jobs.availability.outcome import Code, Group
from jobs.catalogues.catalogue import ClipRef
from jobs.catalogues.esc50 import read_catalogue
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, ingest
from jobs.ingesting import making, pool
from jobs.ingesting.making import ClipMaker, Job, Tried
from jobs.sources import open_source
from tests.jobs.builders import dataset_tree, real_source

NUM_CLIPS = 23


def job(number: int) -> Job:
    clip = ClipRef(id=f"made/{number}", file=f"{number}.wav", split="train", labels=("a",))
    return Job(clip=clip)


def jobs(*numbers: int | None) -> list[Job | None]:
    return [None if number is None else job(number) for number in numbers]


class FullWorker:
    """Has room for so many clips at a time; notes what it was asked for."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.asked: list[int] = []

    def make(self, group: Sequence[Job]) -> list[Tried]:
        self.asked.append(len(group))
        return [
            Tried(code=Code.OK, group=Group.OK, detail=one.clip.id) for one in group[: self.room]
        ]


def pairs(tries: Iterable[tuple[Job, Tried]]) -> list[str]:
    made = list(tries)
    assert all(one.clip.id == tried.detail for one, tried in made)
    return [one.clip.id for one, _ in made]


ALL_IDS = [f"made/{number}" for number in range(NUM_CLIPS)]


@pytest.mark.parametrize("room", [1, 3, 16])
def test_what_a_worker_has_no_room_for_is_made_next_here(room: int) -> None:
    worker = FullWorker(room)
    tries = pool._try_here(cast("ClipMaker", worker), jobs(*range(NUM_CLIPS)), size=16)
    assert pairs(tries) == ALL_IDS
    assert worker.asked[0] == 16


@pytest.mark.parametrize("room", [1, 3, 16])
def test_what_a_worker_has_no_room_for_goes_back_to_one_in_order(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_make_in_worker", FullWorker(room).make)
    with ThreadPoolExecutor(2) as threads:
        workers = cast("ProcessPoolExecutor", threads)
        tries = pool._try_in_order(workers, jobs(*range(NUM_CLIPS)), size=5, num_in_flight=3)
        assert pairs(tries) == ALL_IDS


def test_a_none_among_jobs_is_answered_before_the_next_job_is_taken() -> None:
    taken: list[int | None] = []

    def asking() -> Iterator[Job | None]:
        for number in (0, 1, None, 2, 3, 4, None, None):
            taken.append(number)
            yield None if number is None else job(number)

    seen = []
    for one, _ in pool._try_here(cast("ClipMaker", FullWorker(16)), asking(), size=3):
        seen.append((one.clip.id, len(taken)))
    assert seen == [
        *[("made/0", 3), ("made/1", 3)],
        *[("made/2", 6), ("made/3", 6), ("made/4", 6)],
    ]


def test_clips_that_fill_the_memory_one_by_one_become_the_same_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = real_source(tmp_path / "source", clips_per_fold=4)
    for room in (1, 64 << 20):
        monkeypatch.setattr(making, "_MAX_BYTES_TOGETHER", room)
        opened = open_source(str(source))
        options = IngestOptions(
            out=str(tmp_path / str(room)), sample_rate_hz=8000, num_workers=0, quiet=True
        )
        ingest(read_catalogue(opened), open_fetcher(opened.url), options)
    assert dataset_tree(tmp_path / "1") == dataset_tree(tmp_path / str(64 << 20))
