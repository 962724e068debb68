"""The published files themselves, where they lie beside the checkout; they are not part of it."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from jobs.catalogues.audioset_ontology import read_ontology
from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.catalogues.trials import read_trials
from jobs.sources import open_source
from shardwriter.errors import ConfigError
from tests.jobs.builders import write_folder
from tests.jobs.published_files import (
    DATASETS,
    ListedSource,
    needs_published_files,
    unpacked,
)

pytestmark = needs_published_files


def read(name: str, folder: Path, **options: str) -> Catalogue:
    return read_catalogue(find_dataset(name), open_source(str(folder)), options)


@pytest.mark.parametrize(
    ("split", "num_clips", "num_labels", "num_short"),
    [("balanced", 22_160, 52_882, 345), ("eval", 20_371, 51_804, 361)],
)
def test_audioset_comes_out_as_published(
    split: str, num_clips: int, num_labels: int, num_short: int
) -> None:
    options = {"split": split, "csv": str(DATASETS / "audioset")}
    catalogue = read_catalogue(find_dataset("audioset"), None, options)
    assert catalogue.differences == ()
    assert len(catalogue.clips) == num_clips
    per_class = Counter(label for clip in catalogue.clips for label in clip.labels)
    assert sum(per_class.values()) == num_labels
    assert (len(per_class), min(per_class.values())) == (527, 59)
    assert len({clip.group for clip in catalogue.clips}) == num_clips
    lengths = [clip.duration.seconds for clip in catalogue.clips if clip.duration is not None]
    assert len(lengths) == num_clips
    assert sum(seconds < 10 for seconds in lengths) == num_short


def test_the_published_ontology_has_38_classes_with_several_parents() -> None:
    data = (DATASETS / "audioset" / "ontology.json").read_bytes()
    ontology = read_ontology(data, where="ontology.json")
    assert len(ontology.parents) == 632
    assert sum(len(parents) > 1 for parents in ontology.parents.values()) == 38
    assert sum(not parents for parents in ontology.parents.values()) == 7


def test_mangled_audioset_lists_are_all_refused() -> None:
    paths = sorted((DATASETS / "audioset" / "mangled").iterdir())
    assert len(paths) == 7
    for path in paths:
        with pytest.raises(ConfigError, match=r" line [123]: expected '# .*take the file as publ"):
            read_catalogue(find_dataset("audioset"), None, {"split": "eval", "csv": str(path)})


def test_fsd50k_comes_out_as_published(tmp_path: Path) -> None:
    truth = unpacked(DATASETS / "fsd50k", "dev.csv", "eval.csv")
    truth["vocabulary.csv"] = (DATASETS / "fsd50k" / "vocabulary.csv").read_bytes()
    write_folder(tmp_path / "FSD50K.ground_truth", truth)
    shutil.copytree(DATASETS / "fsd50k" / "audio_sample", tmp_path, dirs_exist_ok=True)
    catalogue = read("fsd50k", tmp_path)
    assert catalogue.differences == ()
    by_split = Counter(clip.split for clip in catalogue.clips)
    assert by_split == {"train": 36_796, "val": 4_170, "eval": 10_231}
    assert sum(clip.file is not None for clip in catalogue.clips) == 10
    listed = {clip.id for clip in catalogue.clips}
    for leak in find_dataset("fsd50k").leaks:
        assert all(pair <= listed for pair in leak.clips)


def test_voxceleb1_comes_out_as_published() -> None:
    folder = DATASETS / "voxceleb"
    lists = unpacked(folder, "vox1_dev_duration.txt", "vox1_tst_duration.txt")
    names = [line.split()[0] for data in lists.values() for line in data.decode().splitlines()]
    assert len(names) == 153_516
    (trials,) = unpacked(folder, "verif_original.txt").values()
    files = {"vox1_meta.csv": (folder / "vox1_meta.csv").read_bytes(), "veri_test.txt": trials}
    source = ListedSource([f"wav/{name}.wav" for name in names], files)
    catalogue = read_catalogue(find_dataset("voxceleb1"), source)
    assert catalogue.differences == ()
    assert len({clip.group for clip in catalogue.clips}) == 1251
    (pairs,) = catalogue.trials
    assert (len(pairs), sum(pairs.is_same)) == (37_720, 18_860)
    genders = {clip.group: clip.metadata["gender"] for clip in catalogue.clips}
    assert Counter(genders.values()) == {"m": 690, "f": 561}
    assert len({clip.metadata["nationality"] for clip in catalogue.clips}) == 36


def test_voxceleb2s_test_part_comes_out_as_published() -> None:
    folder = DATASETS / "voxceleb"
    (data,) = unpacked(folder, "vox2_tst_duration.txt").values()
    names = [line.split()[0] for line in data.decode().splitlines()]
    files = {"vox2_meta.csv": (folder / "vox2_meta.csv").read_bytes()}
    source = ListedSource([f"aac/{name}.m4a" for name in names], files)
    catalogue = read_catalogue(find_dataset("voxceleb2"), source)
    assert Counter(clip.split for clip in catalogue.clips) == {"test": 36_237}
    assert len({clip.group for clip in catalogue.clips}) == 118
    assert len(catalogue.labels) == 6114
    assert [difference.what for difference in catalogue.differences] == [
        "clips of split dev",
        "classes",
    ]


def test_a_list_of_trials_without_a_last_newline_has_all_its_rows() -> None:
    (data,) = unpacked(DATASETS / "voxceleb", "verif_original.txt").values()
    pairs = read_trials(data.rstrip(), name="vox1-o", dataset="voxceleb1", where="veri_test.txt")
    assert len(pairs) == 37_720
    assert len({*pairs.first, *pairs.second}) == 4715


def test_esc50_comes_out_as_published() -> None:
    catalogue = read("esc50", DATASETS / "esc50")
    assert (catalogue.differences, len(catalogue.clips)) == ((), 2000)
    folds: dict[str, set[int]] = {}
    for clip in catalogue.clips:
        if clip.group is not None and clip.fold is not None:
            folds.setdefault(clip.group, set()).add(clip.fold)
    straddling = {group for group, found in folds.items() if len(found) > 1}
    (leak,) = find_dataset("esc50").leaks
    assert straddling == leak.groups
