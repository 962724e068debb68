"""Tables as the Hugging Face Hub has them, written by `datasets` itself, without its audio code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from tests.audio import encoded, tone

WORDS = ("yes", "no")
FEATURES = datasets.Features(
    {
        "audio": datasets.Audio(sampling_rate=8000),
        "word": datasets.ClassLabel(names=list(WORDS)),
        "tags": datasets.List(datasets.ClassLabel(names=["loud", "clear"])),
        "speaker": datasets.Value("string"),
    }
)


def flac(number: int, *, seconds: float = 0.3) -> bytes:
    """A clip that differs from those of other numbers."""
    return encoded(tone(round(8000 * seconds), hertz=200.0 + number), container="FLAC")


def table(
    words: Sequence[int], *, first: int = 0, features: datasets.Features = FEATURES
) -> pa.Table:
    """A row for each word's number, with audio that differs from row to row."""
    numbers = range(first, first + len(words))
    columns: dict[str, Any] = {
        "audio": [{"bytes": flac(number), "path": f"{number}.flac"} for number in numbers],
        "word": list(words),
        "tags": [[0, 1][: number % 3] for number in numbers],
        "speaker": [f"speaker-{number % 2}" for number in numbers],
    }
    return pa.table(columns, schema=features.arrow_schema)


def write_parquet(path: Path, rows: pa.Table, *, rows_a_group: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path, row_group_size=rows_a_group)
    return path


def save_to_disk(folder: Path, **splits: pa.Table) -> Path:
    """What `DatasetDict.save_to_disk` writes."""
    datasets.disable_progress_bars()
    found = {name: datasets.Dataset(rows) for name, rows in splits.items()}
    datasets.DatasetDict(found).save_to_disk(str(folder))
    return folder
