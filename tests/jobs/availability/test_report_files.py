import csv
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.availability.card import dataset_card
from jobs.availability.listing import listing_table
from jobs.availability.report_files import write_report_files
from jobs.availability.report_page import render_availability
from jobs.availability.report_plots import named_dots
from jobs.availability.standing import STATES
from jobs.availability.survey import DatasetFacts, Survey, take_survey
from jobs.catalogues.catalogue import ClipRef
from shardwriter.errors import ShardFormatError
from tests.jobs.availability.drift_builders import LABELS, catalogue, clip, snapshot

EVIL = "<script>alert(1)</script>|*$x^2$"
FACTS = DatasetFacts(
    url="s3://bucket/toy",
    name="toy",
    title="Toy sounds",
    licence="CC0",
    citation="Nobody 2026",
    digest="f00d",
    audio={"format": "flac 32000 Hz"},
    tools="melstream: 0.1.0",
)


def clips(num_clips: int = 24) -> list[ClipRef]:
    return [
        clip(number, split=("train", "eval")[number % 2], labels=LABELS[number % 3 :])
        for number in range(num_clips)
    ]


def run_states(num_clips: int = 24, *, rotated: int = 0) -> pa.Table:
    """Two clips in three alive, the rest in every other state, one window suspect."""
    states = {}
    for number, c in enumerate(clips(num_clips)):
        missing = STATES[1 + (number // 3 + rotated) % (len(STATES) - 1)]
        states[c.id] = "alive" if number % 3 else missing
    times = {c.id: f"2026-11-22T16:{n:02}:00.000Z" for n, c in enumerate(clips(num_clips))}
    suspect = {clip(0).id: "suspect", clip(3).id: "claimed"}
    return snapshot(states, last_attempt=times, verdict_strength=suspect)


def survey(facts: DatasetFacts = FACTS, *, labels: tuple[str, ...] = LABELS) -> Survey:
    renamed = dict(zip(LABELS, labels, strict=True))
    listed = [replace(c, labels=tuple(renamed[label] for label in c.labels)) for c in clips()]
    return take_survey(
        facts,
        listing_table(catalogue(*listed, labels=labels, title=facts.title)),
        labels,
        run_id="run-2",
        snapshot=run_states(),
        earlier=("run-1", run_states(rotated=1)),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with an earlier run."""
    path = tmp_path_factory.mktemp("report")
    names = write_report_files(survey(), path, floor=5)
    there = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert there == set(names)
    return path


def test_report_folder_holds_page_card_id_lists_and_tables_in_two_forms(folder: Path) -> None:
    for name in ("report.html", "dataset_card.md", "summary.json", "ids/eval.txt", "ids/train.txt"):
        assert (folder / name).stat().st_size > 0
    for name in ("census_splits", "census_classes", "census_reasons", "label_shift", "changes"):
        table = pq.read_table(folder / f"{name}.parquet")
        with (folder / f"{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(table) > 0
        assert list(rows[0]) == table.column_names


def test_summary_says_what_the_tables_and_lists_hold(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["listed"] == 24
    assert summary["states"]["alive"] == 16
    assert summary["survival"] == pytest.approx(16 / 24)
    assert summary["published"] == {"Toy sounds (eval, train)": 25}
    for split, row in summary["splits"].items():
        data = (folder / "ids" / f"{split}.txt").read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["ids_sha256"]
        assert data.count(b"\n") == row["states"]["alive"]
    assert summary["since"]["run"] == "run-1"
    assert summary["suspect_windows"][0]["clips"] == 1
    assert summary["unknown_but_once_as_if_gone"] == 0


def test_page_has_every_section_and_its_pictures(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert re.findall("<h2>(.*?)</h2>", page) == [
        "Splits",
        "Reasons",
        "Classes",
        "Label shift",
        "Since the earlier run",
        "When we looked",
        "Which clips: cite these",
        "Provenance",
    ]
    assert page.count("data:image/png;base64,") == 7
    assert "66.67%" in page
    assert "24 clips are listed, but 25 are published" in page
    assert "2026-11-22T16:23:00.000Z" in page


def test_same_survey_gives_the_same_bytes(folder: Path) -> None:
    assert render_availability(survey(), floor=5) == (folder / "report.html").read_text()
    assert dataset_card(survey()) == (folder / "dataset_card.md").read_text()


def test_untrusted_text_is_no_markup_in_page_and_card() -> None:
    evil = replace(FACTS, title=EVIL, licence=EVIL, citation=EVIL, audio={EVIL: EVIL}, tools=EVIL)
    told = survey(evil, labels=(EVIL, "ca|t\n# x", "r`ain"))
    page, card = render_availability(told), dataset_card(told)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    body = card.split("---\n", 2)[2]  # behind the front matter, which is quoted as JSON
    assert "<script>" not in body.replace("\\<script\\>", "")
    blocks = re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE)
    assert len(blocks) == 5
    for block in blocks:  # no label opens a column or a line of its own
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}) == 1


def test_card_says_what_a_paper_quotes() -> None:
    told = survey()
    card = dataset_card(told)
    assert card.startswith('---\npretty_name: "Toy sounds"\n')
    assert "16 of 24 listed clips are there (**66.67%**)" in card
    assert "**24 clips are listed, 25 are published** (Toy sounds (eval, train): 25)" in card
    for ids in told.alive.values():
        assert f"`{ids.sha256}`" in card
    assert "| digest of the shards | f00d |" in card
    assert "CC0" in card
    assert "Nobody 2026" in card


def test_dataset_of_which_nothing_was_tried_or_listed_has_a_report_too(tmp_path: Path) -> None:
    nothing = snapshot({})
    for number, listed in enumerate((catalogue(*clips()), catalogue())):
        told = take_survey(
            FACTS, listing_table(listed), LABELS, run_id="r", snapshot=nothing, earlier=None
        )
        write_report_files(told, tmp_path / str(number))
        page = (tmp_path / str(number) / "report.html").read_text()
        assert "No clip was looked at yet" in page
        assert "Since the earlier run" not in page
        summary = json.loads((tmp_path / str(number) / "summary.json").read_text())
        assert summary["since"] is None
        assert summary["states"]["alive"] == 0


def test_split_whose_name_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    listing = listing_table(catalogue(clip(1, split="../../evil")))
    told = take_survey(FACTS, listing, LABELS, run_id="r", snapshot=snapshot({}), earlier=None)
    with pytest.raises(ShardFormatError, match="a split's name is letters"):
        write_report_files(told, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_names_of_classes_in_a_picture_leave_each_other_room() -> None:
    place_NX = np.array([[0.1, 0.5], [0.1, 0.5], [0.15, 0.51], [0.6, 0.5], [0.1, 0.9], [0.9, 0.9]])
    far_N = np.array([5.0, 4.0, 3.0, 6.0, 7.0, 1.0])
    assert named_dots(place_NX, far_N) == [(4, 0), (3, 0), (0, 1)]


def test_classes_that_fell_under_the_floor_are_those_that_had_as_many() -> None:
    assert "classes had 4 clips or more in a split, and have fewer" in render_availability(
        survey(), floor=4
    )
    assert "Every class that had 1,000 clips in a split still has" in render_availability(
        survey(), floor=1000
    )
