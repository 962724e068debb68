"""The AudioSet ontology: which class is a kind of which others. A graph: 38 have several parents.

Raters marked what they were asked about, so a clip may be a `Bark` without being a `Dog`; the
published labels are not propagated. Evaluations differ in whether they are.
"""

import json
from dataclasses import dataclass
from functools import cached_property

from jobs.catalogues.tables import table_error


@dataclass(frozen=True)
class Ontology:
    """The parents of each class, by mid."""

    parents: dict[str, tuple[str, ...]]

    @cached_property
    def ancestors(self) -> dict[str, tuple[str, ...]]:
        """All ancestors of each class, nearer ones first, none twice."""
        return {mid: self._ancestors(mid) for mid in self.parents}

    def _ancestors(self, mid: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        level = self.parents[mid]
        while level:
            found.update(dict.fromkeys(level))
            above = dict.fromkeys(parent for near in level for parent in self.parents[near])
            level = tuple(parent for parent in above if parent not in found)
        found.pop(mid, None)
        return tuple(found)


def read_ontology(data: bytes, *, where: str) -> Ontology:
    """Read `ontology.json`.

    Raises:
        ConfigError: it is not of the published form, or names a child that it does not hold.
    """
    try:
        nodes = {node["id"]: list(node["child_ids"]) for node in json.loads(data)}
        parents: dict[str, list[str]] = {mid: [] for mid in nodes}
        for mid, children in nodes.items():
            for child in children:
                parents[child].append(mid)
    except (ValueError, RecursionError) as err:
        raise table_error(where, f"is not JSON: {err}") from err
    except (KeyError, TypeError) as err:
        raise table_error(where, f"is no list of classes with their children: {err}") from err
    return Ontology({mid: tuple(found) for mid, found in parents.items()})
