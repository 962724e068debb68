"""The classes of AudioSet: code in the ontology (mid), index and display name.

Labels are display names, as every paper prints them; they are unique in each of the two lists.
The mid is what identifies a class: 12 classes are called otherwise in the list of the strong
labels (`Bicycle` there is `Bicycle, tricycle`), so both lists keep their own names, and every
clip keeps its mids.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jobs.catalogues.tables import TableForm, read_table, table_error

_FOLDER = "data/audioset"
_WEAK = ("class_labels_indices.csv", TableForm(columns=("index", "mid", "display_name")))
_STRONG = (
    "mid_to_display_name.tsv",
    TableForm(columns=("mid", "display_name"), delimiter="\t", has_header=False, is_quoted=False),
)


@dataclass(frozen=True, slots=True)
class AudioSetClasses:
    """A list of classes; a class's index is its position."""

    name_by_mid: dict[str, str]

    @property
    def labels(self) -> tuple[str, ...]:
        """The display names, in order of the published indices."""
        return tuple(self.name_by_mid.values())

    @property
    def codes(self) -> dict[str, str]:
        """The mid of each label."""
        return {name: mid for mid, name in self.name_by_mid.items()}


@cache
def weak_classes() -> AudioSetClasses:
    """Return the 527 classes of the segment lists, as published in 2017."""
    return _read(*_WEAK)


@cache
def strong_classes() -> AudioSetClasses:
    """Return the 456 classes of the strong labels, as published in 2021."""
    return _read(*_STRONG)


def _read(name: str, form: TableForm) -> AudioSetClasses:
    """Read a list that lies in the package (CC BY 4.0; see ATTRIBUTION.md beside it)."""
    data = (files("jobs.catalogues") / _FOLDER / name).read_bytes()
    classes = AudioSetClasses(
        {row["mid"]: row["display_name"] for row in read_table(data, form, where=name)}
    )
    if len(classes.codes) != len(classes.name_by_mid):
        raise table_error(name, "two classes have one name")
    return classes
