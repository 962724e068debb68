"""AudioSet (Gemmeke 2017): 2.1 M clips of 10 s from YouTube, 527 classes, several a clip.

Published are lists only. The audio comes from YouTube, where a part of it is gone, or from files
that someone has: a folder, an archive, an S3 prefix of clips or of whole videos.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from jobs.catalogues.audioset_classes import strong_classes, weak_classes
from jobs.catalogues.audioset_lists import ListContext, read_segments, read_strong
from jobs.catalogues.audioset_ontology import Ontology, read_ontology
from jobs.catalogues.audioset_tables import video_rows
from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.reading import assemble, chosen_file, published_file
from jobs.catalogues.video_clips import VideoFiles
from jobs.sources import NoFiles, Source
from shardwriter.errors import ConfigError

_BALANCED, _UNBALANCED, _EVAL = "balanced_train", "unbalanced_train", "eval"
_WEAK_SPLITS = {
    "all": (_BALANCED, _UNBALANCED, _EVAL),
    "train": (_BALANCED, _UNBALANCED),
    "balanced": (_BALANCED,),
    "unbalanced": (_UNBALANCED,),
    "eval": (_EVAL,),
}
_STRONG_SPLITS = {"all": ("train", "eval"), "train": ("train",), "eval": ("eval",)}
_NUM_CLIPS = {_BALANCED: 22_160, _UNBALANCED: 2_041_789, _EVAL: 20_371}
_NUM_LABELS = {_BALANCED: 52_882, _UNBALANCED: 4_020_212, _EVAL: 51_804}
_NUM_STRONG_CLIPS = {"train": 103_463, "eval": 16_996}


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    is_strong = options["labels"] == "strong"
    lists = _STRONG_SPLITS if is_strong else _WEAK_SPLITS
    splits = lists.get(options["split"])
    if splits is None:
        raise ConfigError(
            f"the strong labels have the splits {', '.join(lists)}, got {options['split']!r}"
        )
    if len(splits) > 1 and Path(options["csv"]).is_file():
        raise ConfigError(
            f"{options['csv']} is one list, and split {options['split']} has {len(splits)}: "
            "choose the split that it is, or give the folder of the lists"
        )
    classes = strong_classes() if is_strong else weak_classes()
    expected = _expected(splits, is_strong=is_strong)
    catalogue = assemble(
        DATASET,
        _clips(source, options, splits=splits, is_strong=is_strong),
        labels=classes.labels,
        expected=replace(expected, num_labels_by_split={}) if options["ontology"] else expected,
        where=options["csv"] or source.url,
    )
    if is_strong:
        catalogue = replace(catalogue, name="audioset-strong", title="AudioSet, strong labels")
    return replace(catalogue, label_codes=classes.codes)


def _clips(
    source: Source, options: Mapping[str, str], *, splits: tuple[str, ...], is_strong: bool
) -> Iterator[ClipRef]:
    ontology = _ontology(options["ontology"])
    rows = video_rows(source) if options["audio"] == "parquet" else None
    files = VideoFiles(source, are_whole=options["audio"] == "videos", rows=rows)
    for split in splits:
        name = f"audioset_{split}_strong.tsv" if is_strong else f"{split}_segments.csv"
        data, where = _list(source, options, name)
        context = ListContext(
            where=where,
            split=split,
            classes=strong_classes() if is_strong else weak_classes(),
            files=files,
            ontology=ontology,
        )
        yield from (read_strong if is_strong else read_segments)(data, context)


def _ontology(path: str) -> Ontology | None:
    if not path:
        return None
    data, where = chosen_file(path, "ontology.json")
    return read_ontology(data, where=where)


def _list(source: Source, options: Mapping[str, str], name: str) -> tuple[bytes, str]:
    if options["csv"]:
        return chosen_file(options["csv"], name)
    if isinstance(source, NoFiles):
        raise ConfigError(f"give the published list {name}, or the folder of the lists, as csv")
    return published_file(source, name, layout=DATASET.layout)


def _expected(splits: tuple[str, ...], *, is_strong: bool) -> ExpectedCounts:
    if is_strong:
        return ExpectedCounts(
            name="strong labels", num_by_split={split: _NUM_STRONG_CLIPS[split] for split in splits}
        )
    return ExpectedCounts(
        name="segments",
        num_by_split={split: _NUM_CLIPS[split] for split in splits},
        num_labels_by_split={split: _NUM_LABELS[split] for split in splits},
    )


DATASET = Dataset(
    name="audioset",
    title="AudioSet",
    summary="2,084,320 clips of 10 s from YouTube, 527 classes, several a clip",
    num_classes=527,
    size="lists 100 MB; audio from YouTube, 300 videos an hour as a guest",
    licence="lists and labels by Google: CC BY 4.0; audio by its uploaders' terms",
    citation="J. F. Gemmeke et al. Audio Set: An ontology and human-labeled dataset for audio "
    "events. ICASSP 2017; strong labels: S. Hershey et al. The Benefit of Temporally-Strong "
    "Labels in Audio Event Classification. ICASSP 2021",
    homepage="https://research.google.com/audioset/",
    how_to_get="download the lists; for the audio use a copy that you have, and YouTube for what "
    "that lacks",
    layout="balanced_train_segments.csv, unbalanced_train_segments.csv, eval_segments.csv\n"
    "(strong labels: audioset_train_strong.tsv, audioset_eval_strong.tsv)\n"
    "audio anywhere below, as VIDEO.wav, YVIDEO.wav, VIDEO_START.flac, VIDEO_START_END.m4a; "
    "START in s or ms",
    read=_read,
    options=(
        Option(
            name="split",
            help="which lists; the strong labels have all, train and eval",
            choices=tuple(_WEAK_SPLITS),
            default="all",
        ),
        Option(
            name="csv",
            help="the list, or the folder of the lists, if not in the source",
            metavar="FILE_OR_DIR",
        ),
        Option(
            name="labels",
            help="weak: of the clip; strong: of its events, with their times",
            choices=("weak", "strong"),
            default="weak",
        ),
        Option(
            name="ontology",
            help="ontology.json: add the ancestors of every label (default: labels as published)",
            metavar="FILE",
        ),
        Option(
            name="audio",
            help="what a file named by its video alone holds; parquet: clips are rows of tables, "
            "as in agkphysics/AudioSet on the Hugging Face Hub",
            choices=("clips", "videos", "parquet"),
            default="clips",
        ),
    ),
    expected=(
        _expected(_WEAK_SPLITS["all"], is_strong=False),
        _expected(_STRONG_SPLITS["all"], is_strong=True),
    ),
    targets={"mids": "the labels as codes of the ontology", "events": "strong labels with times"},
    faults=(
        "345 clips of the balanced list and 361 of the eval list are shorter than 10 s",
        "the web page gives 22,176 / 2,042,985 / 20,383 clips; the lists hold fewer, as above",
        "12 classes that are in use are blacklisted in the ontology",
        "74 of the 456 classes of the strong labels are not among the 527, and 12 that are have "
        "another name there",
        "labels are not propagated to the ancestors of a class",
    ),
    has_videos=True,
)
