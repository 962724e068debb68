import pytest

from jobs.catalogues.audioset_classes import strong_classes, weak_classes
from jobs.catalogues.audioset_ontology import Ontology
from jobs.catalogues.label_map import map_labels

ONTOLOGY = Ontology(
    {
        "/animal": (),
        "/dog": ("/animal",),
        "/pet": ("/animal",),
        "/bark": ("/dog", "/pet"),
        "/yip": ("/bark",),
        "/music": (),
    }
)
TARGET = {"Animal": "/animal", "Dog": "/dog", "Pet": "/pet"}


def test_equal_codes_are_the_same_class_whatever_they_are_called() -> None:
    mapped = map_labels({"Hound": "/dog"}, TARGET).by_label["Hound"]
    assert (mapped.targets, mapped.is_exact) == (("Dog",), True)


@pytest.mark.parametrize(
    ("mid", "targets"),
    [("/yip", ("Dog", "Pet")), ("/bark", ("Dog", "Pet")), ("/music", ()), ("/unheard", ())],
)
def test_missing_class_becomes_its_nearest_ancestors(mid: str, targets: tuple[str, ...]) -> None:
    found = map_labels({"It": mid}, TARGET, ONTOLOGY)
    assert (found.by_label["It"].targets, found.num_exact) == (targets, 0)
    assert found.unmapped == (() if targets else ("It",))
    assert map_labels({"It": mid}, TARGET).unmapped == ("It",)


def test_labels_of_a_clip_are_mapped_once_each() -> None:
    found = map_labels({"Hound": "/dog", "Yip": "/yip", "Tune": "/music"}, TARGET, ONTOLOGY)
    assert found.labels(("Yip", "Hound", "Tune")) == ("Dog", "Pet")
    with pytest.raises(KeyError):
        found.labels(("Purr",))


def test_loop_in_an_ontology_ends() -> None:
    loop = Ontology({"/a": ("/b",), "/b": ("/a",)})
    assert map_labels({"A": "/a"}, {}, loop).unmapped == ("A",)


def test_strong_labels_of_audioset_map_to_the_weak_ones_by_code() -> None:
    found = map_labels(strong_classes().codes, weak_classes().codes)
    assert (len(found.by_label), len(found.unmapped)) == (456, 74)
    renamed = [
        one for one in found.by_label.values() if one.is_exact and one.targets != (one.label,)
    ]
    assert len(renamed) == 12
