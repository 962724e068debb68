"""Lists of pairs for speaker verification: is it the same speaker, or not."""

import io
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.catalogues.tables import TableForm, read_table
from shardwriter.errors import ShardFormatError
from shardwriter.parquet import read_parquet

TRIALS_SCHEMA = pa.schema(
    [
        pa.field("is_same", pa.bool_(), nullable=False),
        pa.field("first", pa.string(), nullable=False),  # ids of clips, as shards hold them
        pa.field("second", pa.string(), nullable=False),
    ]
)
_FORM = TableForm(
    columns=("label", "first", "second"), delimiter=" ", has_header=False, is_quoted=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationPairs:
    """A list of trials."""

    name: str
    """As the field calls it, e.g. `vox1-o`; it becomes a file name."""
    is_same: tuple[bool, ...]
    first: tuple[str, ...]
    """Ids of clips."""
    second: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.is_same)

    @property
    def object_name(self) -> str:
        """Name of the list beside the dataset."""
        return f"trials/{self.name}.parquet"

    def to_parquet(self) -> bytes:
        """Return the list as a parquet file of `TRIALS_SCHEMA`, in its own order."""
        columns = [pa.array(self.is_same), pa.array(self.first), pa.array(self.second)]
        file = io.BytesIO()
        pq.write_table(pa.table(columns, schema=TRIALS_SCHEMA), file, compression="zstd")
        return file.getvalue()

    @classmethod
    def from_parquet(cls, data: bytes, *, name: str, where: str) -> "VerificationPairs":
        """Read what `to_parquet` returned; anything else is a `ShardFormatError` that names it."""
        try:
            rows = read_parquet(data).cast(TRIALS_SCHEMA).to_pydict()
        except (pa.ArrowException, OSError, ValueError) as err:
            raise ShardFormatError(f"{where}: not a list of trials: {err}; ingest again") from err
        return cls(name=name, **{column: tuple(values) for column, values in rows.items()})


def read_trials(data: bytes, *, name: str, dataset: str, where: str) -> VerificationPairs:
    """Read a list of `LABEL PATH PATH` lines, label 1 for the same speaker and 0 for another.

    Args:
        data: The file; its last line may end without a newline.
        name: What the list is called.
        dataset: First part of the ids of its clips.
        where: The file, for messages.

    Raises:
        ConfigError: a line of another form, or a label that the paths contradict.
    """
    is_same: list[bool] = []
    first: list[str] = []
    second: list[str] = []
    ids: dict[str, str] = {}
    for row in read_table(data, _FORM, where=where):
        if row["label"] not in ("0", "1"):
            raise row.error(f"the label is {row['label']!r}, expected 0 or 1")
        same = row["label"] == "1"
        speakers = {row[side].partition("/")[0] for side in ("first", "second")}
        if same != (len(speakers) == 1):
            raise row.error(f"the label {row['label']} contradicts the speakers {speakers}")
        is_same.append(same)
        for side, place in (("first", first), ("second", second)):
            path = row[side]
            place.append(ids.setdefault(path, f"{dataset}/{path.rpartition('.')[0]}"))
    return VerificationPairs(
        name=name, is_same=tuple(is_same), first=tuple(first), second=tuple(second)
    )
