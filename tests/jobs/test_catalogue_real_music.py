"""Music sets as published, and what vocabularies share; see `test_catalogue_real_files`."""

import gzip
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from jobs.catalogues.audioset_classes import weak_classes
from jobs.catalogues.audioset_ontology import read_ontology
from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.label_map import map_labels
from jobs.catalogues.magnatagatune_tags import TOP50
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.catalogues.tables import TableForm, read_table
from jobs.sources import open_source
from jobs.split import SplitOptions, catalogue_clips, part_totals, split_parts
from tests.jobs.builders import write_folder
from tests.jobs.ingest_and_load import round_trip
from tests.jobs.test_catalogue_magnatagatune import LISTS
from tests.jobs.test_catalogue_real_files import DATASETS, ListedSource, unpacked

pytestmark = pytest.mark.skipif(
    not DATASETS.is_dir(),
    reason="no published metadata in ../shared/datasets, nor where MELSTREAM_DATASETS says",
)


def groups_in_two_places(catalogue: Catalogue) -> set[str]:
    places: dict[str, set[object]] = {}
    for clip in catalogue.clips:
        if clip.group is not None:
            places.setdefault(clip.group, set()).add((clip.split, clip.fold))
    return {group for group, found in places.items() if len(found) > 1}


@pytest.fixture(scope="module")
def magnatagatune() -> ListedSource:
    names = ("annotations_final.csv", "clip_info_final.csv")
    return ListedSource([], unpacked(DATASETS / "magnatagatune", *names))


def gtzan_splits(kind: str) -> dict[str, str]:
    lists = {part: DATASETS / "gtzan" / f"{part}_{kind}.txt" for part in ("train", "valid", "test")}
    return {
        Path(line).stem: part for part, path in lists.items() for line in path.read_text().split()
    }


@pytest.mark.parametrize("kind", ["filtered", "stratified"])
def test_gtzans_splits_are_those_of_the_lists(kind: str) -> None:
    lines = unpacked(DATASETS / "gtzan", "official_audio_md5.txt").popitem()[1].decode().split()
    source = ListedSource(lines[1::2], {})
    catalogue = read_catalogue(find_dataset("gtzan"), source, {"split": kind})
    assert catalogue.differences == ()
    assert all(clip.file is not None for clip in catalogue.clips)
    splits = {clip.id.removeprefix("gtzan/"): clip.split for clip in catalogue.clips}
    assert splits == gtzan_splits(kind)


def test_gtzans_identical_files_are_all_known() -> None:
    lines = unpacked(DATASETS / "gtzan", "official_audio_md5.txt").popitem()[1].decode().split()
    by_md5: dict[str, set[str]] = {}
    for md5, path in zip(lines[::2], lines[1::2], strict=True):
        by_md5.setdefault(md5, set()).add(f"gtzan/{Path(path).stem}")
    pairs = {frozenset(names) for names in by_md5.values() if len(names) > 1}
    assert len(pairs) == 14
    split = gtzan_splits("stratified")
    crossing = {
        pair for pair in pairs if len({split[name.removeprefix("gtzan/")] for name in pair}) > 1
    }
    assert crossing == {pair for leak in find_dataset("gtzan").leaks for pair in leak.clips}


def test_gtzans_folds_and_artists_are_those_of_the_lists() -> None:
    options = {"split": "artists"}
    catalogue = read_catalogue(find_dataset("gtzan"), ListedSource([], {}), options)
    folds: dict[str, int] = {}
    for fold in (1, 2, 3):
        text = (DATASETS / "gtzan" / f"sturm3fold_f{fold}_test.txt").read_text()
        names = (Path(line).stem.replace("_", ".") for line in text.split())
        folds |= dict.fromkeys(names, fold)
    assert {clip.id.removeprefix("gtzan/"): clip.fold for clip in catalogue.clips} == folds
    assert len({clip.group for clip in catalogue.clips}) == 412
    assert groups_in_two_places(catalogue) == set()


def test_magnatagatune_comes_out_as_published(magnatagatune: ListedSource) -> None:
    dataset = find_dataset("magnatagatune")
    catalogue = read_catalogue(dataset, magnatagatune)
    assert (catalogue.differences, catalogue.warnings) == ((), ())
    counts = Counter(label for clip in catalogue.clips for label in clip.labels)
    assert (counts["guitar"], counts["choral"], counts["electro"]) == (4852, 490, 474)
    assert {label for label, _ in counts.most_common(50)} == set(TOP50)
    assert sum(not clip.labels for clip in catalogue.clips) == 4221
    assert len({clip.group for clip in catalogue.clips}) == 230
    (leak,) = dataset.leaks
    assert groups_in_two_places(catalogue) == leak.groups
    assert len(leak.groups) == 56
    empty = {"magnatagatune/35644", "magnatagatune/55753", "magnatagatune/57881"}
    assert {clip.split for clip in catalogue.clips if clip.id in empty} == {"train"}


@pytest.mark.parametrize(
    ("tags", "synonyms", "num_clips"),
    [("top50", "keep", 21_111), ("all", "merge", 21_642), ("top50", "merge", 21_358)],
)
def test_magnatagatunes_choices_of_tags_have_known_counts(
    magnatagatune: ListedSource, tags: str, synonyms: str, num_clips: int
) -> None:
    options = {"tags": tags, "synonyms": synonyms, "untagged": "drop"}
    catalogue = read_catalogue(find_dataset("magnatagatune"), magnatagatune, options)
    assert catalogue.differences == ()
    assert len(catalogue.clips) == num_clips


def test_magnatagatune_can_be_split_by_artists_with_every_tag_in_each_part(
    magnatagatune: ListedSource,
) -> None:
    options = {"tags": "top50", "untagged": "drop"}
    catalogue = read_catalogue(find_dataset("magnatagatune"), magnatagatune, options)
    clips = list(catalogue_clips(catalogue))
    parts = split_parts(clips, SplitOptions(weights={"train": 12, "val": 1, "test": 3}))
    artists: dict[str | None, set[str]] = {}
    for clip in clips:
        artists.setdefault(clip.group, set()).add(parts[clip.id].split)
    assert all(len(found) == 1 for found in artists.values())
    totals = {found.name: found for found in part_totals(clips, parts)}
    shares = {name: found.num_clips / len(clips) for name, found in totals.items()}
    assert shares == pytest.approx({"train": 12 / 16, "val": 1 / 16, "test": 3 / 16}, abs=0.02)
    assert {found.num_classes for found in totals.values()} == {50}


@pytest.mark.parametrize(
    ("subset", "num_classes"),
    [("all", 183), ("top50", 50), ("genre", 87), ("instrument", 40), ("moodtheme", 56)],
)
def test_mtg_jamendos_split_0_comes_out_as_published(subset: str, num_classes: int) -> None:
    files = {
        path.name.removesuffix(".gz").replace("split-0_", "split-0/"): gzip.decompress(
            path.read_bytes()
        )
        for path in (DATASETS / "mtg_jamendo").glob("split-0_*.tsv.gz")
    }
    catalogue = read_catalogue(
        find_dataset("mtg-jamendo"), ListedSource([], files), {"subset": subset}
    )
    assert (catalogue.differences, len(catalogue.labels)) == ((), num_classes)
    assert groups_in_two_places(catalogue) == set()
    if subset == "all":
        assert len({clip.group for clip in catalogue.clips}) == 3565
        lasting = [clip.duration.seconds for clip in catalogue.clips if clip.duration]
        assert sum(seconds > 3600 for seconds in lasting) == 5
    if subset == "top50":
        top50 = (DATASETS / "mtg_jamendo" / "top50.txt").read_text().split()
        assert set(catalogue.labels) == set(top50)


def test_mtg_jamendos_tars_have_the_published_checksums() -> None:
    archives = {file.file: file.sha256 for file in find_dataset("mtg-jamendo").archives}
    for kind in ("audio", "audio-low"):
        text = (DATASETS / "mtg_jamendo" / f"raw_30s_{kind}_sha256_tars.txt").read_text()
        published = dict(reversed(line.split()) for line in text.splitlines())
        assert {name: archives[name] for name in published} == published


def test_real_magnatagatune_clip_has_the_length_that_is_asked_for(tmp_path: Path) -> None:
    clip = (DATASETS / "formats/good/joram-moments_of_clarity-08-solipsism-59-88.mp3").read_bytes()
    path = "0/american_bach_soloists-solo-01-aria-146-175.mp3"
    place = write_folder(tmp_path / "mtt", LISTS | {path: clip})
    found = round_trip("magnatagatune", place, tmp_path / "out")
    record = found.records["magnatagatune/6"]
    assert (record.num_samples, record.sample_rate_hz) == (465_984, 16_000)


def fsd50k_codes() -> Mapping[str, str]:
    path = DATASETS / "fsd50k" / "vocabulary.csv"
    form = TableForm(columns=("index", "label", "mid"), has_header=False)
    return {
        row["label"]: row["mid"]
        for row in read_table(path.read_bytes(), form, where="vocabulary.csv")
    }


def test_fsd50k_and_audioset_share_192_classes_and_ancestors_stand_for_the_rest() -> None:
    path = DATASETS / "audioset" / "ontology.json"
    ontology = read_ontology(path.read_bytes(), where="ontology.json")
    fsd50k, audioset = fsd50k_codes(), weak_classes().codes
    there = map_labels(fsd50k, audioset, ontology)
    assert (len(there.by_label), there.num_exact) == (200, 192)
    assert there.unmapped == (  # kinds of kinds, of which AudioSet lists no ancestor either
        *("Domestic_sounds_and_home_sounds", "Human_group_actions", "Human_voice"),
        *("Packing_tape_and_duct_tape", "Respiratory_sounds", "Screech"),
    )
    clip = ("Chewing_and_mastication", "Gull_and_seagull", "Bark")
    assert there.labels(clip) == ("Chewing, mastication", "Bird", "Bark")
    back = map_labels(audioset, fsd50k, ontology)
    assert (len(back.by_label), back.num_exact) == (527, 192)
    for label, mid in fsd50k.items():
        mapped = there.by_label[label]
        if mapped.is_exact:
            assert back.by_label[mapped.targets[0]].targets == (label,)
        else:
            assert {audioset[name] for name in mapped.targets} <= set(ontology.ancestors[mid])


def test_spoken_digits_come_out_by_their_columns_alone() -> None:
    options = {"csv": "metadata.csv", "name": "fsdd"}
    place = DATASETS / "fsdd"
    source = open_source(str(place))
    catalogue = read_catalogue(find_dataset("folder"), source, options | {"group": "speaker"})
    assert Counter(clip.split for clip in catalogue.clips) == {"train": 30, "test": 30}
    assert all(clip.file is not None for clip in catalogue.clips)
    assert catalogue.labels == tuple("0123456789")
    assert groups_in_two_places(catalogue) == {clip.group for clip in catalogue.clips}
