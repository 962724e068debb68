"""The folder of an availability report: the page, the card, the tables, the id lists."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from jobs.availability.card import dataset_card
from jobs.availability.census import AUDIOSET_FLOOR
from jobs.availability.report_page import render_availability
from jobs.availability.standing import STATES
from jobs.availability.survey import Survey
from jobs.availability.survey_json import survey_json
from jobs.html_page import write_page
from shardwriter.errors import ShardFormatError
from shardwriter.shard_names import check_split

PAGE_NAME = "report.html"
CARD_NAME = "dataset_card.md"
SUMMARY_NAME = "summary.json"


def write_report_files(survey: Survey, folder: Path, *, floor: int = AUDIOSET_FLOOR) -> list[str]:
    """Write all files of a report; return their names, relative to the folder.

    `report.html`, `dataset_card.md`, `summary.json`; as CSV and as parquet `census_splits`,
    `census_classes`, `census_reasons`, `label_shift` and, given an earlier run, `changes`;
    `ids/SPLIT.txt`, each the canonical list whose SHA-256 the card quotes.

    Raises:
        ShardFormatError: a split whose name is no file name.
    """
    # The names go into paths, and the listing is somebody else's file.
    for split in survey.alive:
        try:
            check_split(split)
        except ValueError as err:
            raise ShardFormatError(f"the listing of {survey.facts.url}: {err}") from err
    (folder / "ids").mkdir(parents=True, exist_ok=True)
    texts = {
        PAGE_NAME: render_availability(survey, floor=floor),
        CARD_NAME: dataset_card(survey),
        SUMMARY_NAME: json.dumps(survey_json(survey), indent=1, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        write_page(text, folder / name)
    tables = report_tables(survey)
    for name, table in tables.items():
        pyarrow.csv.write_csv(table, folder / f"{name}.csv")
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
    for split, ids in survey.alive.items():
        (folder / "ids" / f"{split}.txt").write_bytes(ids.data)
    return [
        *texts,
        *(f"{name}.{suffix}" for name in tables for suffix in ("csv", "parquet")),
        *(f"ids/{split}.txt" for split in survey.alive),
    ]


def report_tables(survey: Survey) -> dict[str, pa.Table]:
    """Return the tables that lie beside a report, by name."""
    tables = {
        "census_splits": _splits(survey),
        "census_classes": survey.census.classes,
        "census_reasons": _reasons(survey),
        "label_shift": pa.concat_tables(
            shift.classes.add_column(0, "split", [pa.array([shift.split] * len(shift.classes))])
            for shift in survey.shifts
        ),
    }
    if survey.diff is not None:
        tables["changes"] = survey.diff.changes
    return tables


def _splits(survey: Survey) -> pa.Table:
    tallies = survey.census.splits.values()
    return pa.table(
        {
            "split": pa.array(survey.census.splits, pa.string()),
            "num_listed": pa.array([tally.num_listed for tally in tallies], pa.int64()),
            **{
                state: pa.array([tally.counts[state] for tally in tallies], pa.int64())
                for state in STATES
            },
            "survival": pa.array([tally.survival for tally in tallies], pa.float64()),
            "survival_at_most": pa.array(
                [tally.survival_at_most for tally in tallies], pa.float64()
            ),
            "hours_listed": pa.array(
                [tally.seconds_listed / 3600 for tally in tallies], pa.float64()
            ),
            "hours_alive": pa.array(
                [tally.seconds_alive / 3600 for tally in tallies], pa.float64()
            ),
            "ids_sha256": pa.array([ids.sha256 for ids in survey.alive.values()], pa.string()),
        }
    )


def _reasons(survey: Survey) -> pa.Table:
    reasons = survey.census.reasons
    return pa.table(
        {
            "state": pa.array([reason.state for reason in reasons], pa.string()),
            "code": pa.array([reason.code for reason in reasons], pa.string()),
            "num_clips": pa.array([reason.num_clips for reason in reasons], pa.int64()),
        }
    )
