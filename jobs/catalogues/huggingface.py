"""Any Hugging Face audio dataset on disk: tables, AudioFolder, or tars of WebDataset.

Nothing is fetched and `datasets` is not needed: the files are read as they lie. What a loading
script would do is not done; a repository that has one also has parquet, in its branch refs/convert.
"""

from collections.abc import Mapping
from dataclasses import replace

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.folder import LICENCE, dataset_name, own_catalogue
from jobs.catalogues.huggingface_files import audio_folder_clips
from jobs.catalogues.huggingface_tables import TableOptions, read_tables, table_names
from jobs.catalogues.huggingface_tars import holds_tars, tar_clips
from jobs.catalogues.order import mixed
from jobs.sources import Source
from shardwriter.foreign_labels import MAX_NUM_CLASSES


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    name = dataset_name(options["name"], source)
    names: tuple[str, ...] = ()
    if table_names(source, options["files"]):
        chosen = TableOptions(
            name=name, label=options["label"], group=options["group"], files=options["files"]
        )
        found = read_tables(source, chosen)
        # Not mixed: a table is read from front to back.
        clips, names = found.clips, found.names
    elif holds_tars(source):
        clips = tar_clips(source, dataset=name, label=options["label"], group=options["group"])
    else:
        clips = mixed(
            audio_folder_clips(source, dataset=name, label=options["label"], group=options["group"])
        )
    vocabulary = names or _numbers({label for clip in clips for label in clip.labels})
    catalogue = own_catalogue(DATASET, clips, name=name, vocabulary=vocabulary, where=source.url)
    return replace(catalogue, licence=options[LICENCE.name] or catalogue.licence)


def _numbers(labels: set[str]) -> tuple[str, ...]:
    """Return all numbers from 0 where labels are bare numbers, so that these stay their ids."""
    if not labels or not all(label.isdecimal() and label.isascii() for label in labels):
        return ()
    highest = max(int(label) for label in labels)
    is_spelt_so = all(str(int(label)) == label for label in labels)
    if not is_spelt_so or highest >= MAX_NUM_CLASSES:
        return ()
    return tuple(str(number) for number in range(highest + 1))


DATASET = Dataset(
    name="huggingface",
    title="a Hugging Face audio dataset",
    summary="any audio dataset of the Hub on disk: parquet, arrow, AudioFolder, WebDataset tars",
    num_classes=0,
    size="its own",
    licence="its own: see its README.md",
    citation="",
    homepage="https://huggingface.co/datasets",
    how_to_get="`hf download --repo-type dataset OWNER/NAME --local-dir DIR`, or "
    "`save_to_disk` of a dataset that is loaded",
    layout="data/train-00000-of-00005.parquet or <split>/00.parquet, with a column of audio bytes\n"
    "or <split>/data-00000-of-00005.arrow, as `save_to_disk` writes it\n"
    "or [<split>/][<class>/]<file> with or without metadata.csv or metadata.jsonl (AudioFolder)\n"
    "or <split>-0000.tar with members KEY.flac, KEY.json (WebDataset), directly in the folder",
    read=_read,
    options=(
        Option(name="name", help="of the dataset (default: that of the folder)"),
        Option(
            name="label",
            help="column or JSON field of the labels; for an AudioFolder without metadata the "
            "folder's name; none: clips have none (default: the first of classes)",
            metavar="COLUMN",
        ),
        Option(name="group", help="column of what must not be in two splits", metavar="COLUMN"),
        Option(
            name="files",
            help="which tables, where a repository holds several sets: 'en/train-*' (default: all)",
            metavar="GLOB",
        ),
        LICENCE,
    ),
)
