"""From one vocabulary to another, where both name nodes of the AudioSet ontology.

FSD50K calls `/m/05tny_` `Bark` as AudioSet does, but `/m/03cczk` `Chewing_and_mastication`, which
is `Chewing, mastication` there. The code (mid) decides. A class that the other vocabulary lacks, as
AudioSet's 527 lack `Gull_and_seagull`, goes to its nearest ancestor that it has, `Bird`: true of
the clip too, but it says less.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jobs.catalogues.audioset_ontology import Ontology


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedLabel:
    """What a label is in the other vocabulary."""

    label: str
    targets: tuple[str, ...]
    """One if it is the same class, several if several ancestors are equally near, none if none is
    there."""
    is_exact: bool


@dataclass(frozen=True, slots=True)
class LabelMap:
    """Every label of a vocabulary, and what it is in another."""

    by_label: Mapping[str, MappedLabel]

    @property
    def num_exact(self) -> int:
        """How many are the same class there."""
        return sum(mapped.is_exact for mapped in self.by_label.values())

    @property
    def unmapped(self) -> tuple[str, ...]:
        """The labels of which not even an ancestor is there."""
        return tuple(mapped.label for mapped in self.by_label.values() if not mapped.targets)

    def labels(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Return a clip's labels in the other vocabulary, none twice.

        Raises:
            KeyError: a label that the first vocabulary lacks.
        """
        targets = (target for label in labels for target in self.by_label[label].targets)
        return tuple(dict.fromkeys(targets))


def map_labels(
    source: Mapping[str, str], target: Mapping[str, str], ontology: Ontology | None = None
) -> LabelMap:
    """Return the map between two vocabularies.

    Args:
        source: Label to mid, as in `Catalogue.label_codes`.
        target: The same of the other vocabulary.
        ontology: For classes that it lacks: their ancestors. None: such classes stay unmapped.
    """
    names = {mid: label for label, mid in target.items()}
    found = {}
    for label, mid in source.items():
        is_exact = mid in names
        targets = (names[mid],) if is_exact else _nearest(mid, names, ontology)
        found[label] = MappedLabel(label=label, targets=targets, is_exact=is_exact)
    return LabelMap(found)


def _nearest(mid: str, names: Mapping[str, str], ontology: Ontology | None) -> tuple[str, ...]:
    """Return the names of the ancestors that are there, of the first level that has any."""
    parents = ontology.parents if ontology else {}
    level = tuple(parents.get(mid, ()))
    seen: set[str] = set()
    while level:
        there = tuple(names[above] for above in level if above in names)
        if there:
            return there
        seen.update(level)
        higher = dict.fromkeys(up for above in level for up in parents.get(above, ()))
        level = tuple(up for up in higher if up not in seen)
    return ()
