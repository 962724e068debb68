import json
from pathlib import Path

import pytest

from jobs.catalogues.audioset_ontology import read_ontology
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from shardwriter.errors import ConfigError
from tests.jobs.builders import write_folder

# Real classes; `Bark` is a kind of two, and one of its ancestors is not among the 527 classes.
DOG, BARK, DOMESTIC, ANIMAL = "/m/0bt9lr", "/m/05tny_", "/m/068hy", "/m/0jbk"
NODES = {"/root": [ANIMAL], ANIMAL: [DOMESTIC, DOG], DOMESTIC: [DOG], DOG: [BARK], BARK: []}
LIST = (
    "# Segments csv created Sun Mar  5 10:54:25 2017\n"
    "# num_ytids=1, num_segs=1, num_unique_labels=527, num_positive_labels=2\n"
    "# YTID, start_seconds, end_seconds, positive_labels\n"
    f'--4gqARaEJE, 0.000, 10.000, "{BARK},{DOMESTIC}"\n'
)


def ontology(nodes: object = NODES) -> bytes:
    if isinstance(nodes, dict):
        nodes = [{"id": mid, "child_ids": children} for mid, children in nodes.items()]
    return json.dumps(nodes).encode()


def test_ancestors_are_all_above_each_once_and_nearer_first() -> None:
    ancestors = read_ontology(ontology(), where="ontology.json").ancestors
    assert ancestors[BARK] == (DOG, ANIMAL, DOMESTIC, "/root")
    assert ancestors["/root"] == ()


def test_circle_ends(tmp_path: Path) -> None:
    ancestors = read_ontology(ontology({"a": ["b"], "b": ["a"]}), where="o").ancestors
    assert ancestors == {"a": ("b",), "b": ("a",)}


def test_ancestors_that_are_classes_are_added_to_the_labels_if_asked_for(tmp_path: Path) -> None:
    files = {"eval_segments.csv": LIST.encode(), "ontology.json": ontology()}
    write_folder(tmp_path, files)
    options = {"split": "eval", "csv": str(tmp_path)}
    audioset = find_dataset("audioset")
    (plain,) = read_catalogue(audioset, None, options).clips
    assert plain.labels == ("Bark", "Domestic animals, pets")
    propagated = read_catalogue(audioset, None, options | {"ontology": str(tmp_path)})
    (clip,) = propagated.clips
    assert clip.labels == ("Bark", "Domestic animals, pets", "Dog", "Animal")
    assert clip.metadata["mids"] == [BARK, DOMESTIC, DOG, ANIMAL]
    assert [found.what for found in propagated.differences] == ["clips of split eval"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"{", "is not JSON"),
        (ontology({"a": ["b"]}), "no list of classes with their children: 'b'"),
        (ontology([{"id": "a"}]), "no list of classes with their children: 'child_ids'"),
        (b"[1]", "no list of classes"),
        (b"7", "no list of classes"),
    ],
)
def test_file_that_is_no_ontology_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^o: is {problem}|^o: {problem}"):
        read_ontology(data, where="o")
