"""From a training run and its dataset to the values of a report: pictures drawn, tables filled."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from jobs.inspection import load_index, log_mel_picture, read_clip
from jobs.report import Mistake, Part, Picture, Provenance, Report, Scores, Stage
from jobs.report_html import write_report
from jobs.result_plots import class_histogram, confusion_picture, curves
from jobs.results import Prediction, RunResult
from jobs.sound_plots import MelTile, mel_grid
from jobs.versions import tool_versions
from loader.features import LogMelConfig
from shardwriter.manifest import Manifest, load_manifest
from shardwriter.storage import Store, open_store

_MAX_TILES = 12
_MAX_MISTAKES = 10


def write_run_report(
    path: Path,
    *,
    url: str,
    split: str,
    eval_fold: int,
    result: RunResult,
    stages: Mapping[str, float],
    rejections: Mapping[str, int],
    commands: Sequence[str],
    attribution: str,
    created: str,
    total_seconds: float,
) -> None:
    """Write the HTML report of one training run.

    Args:
        path: The file.
        url: Dataset that the run read.
        split: Its split.
        eval_fold: The held-out fold.
        result: What the run left behind.
        stages: Wall seconds of each stage of the whole job; they don't overlap.
        rejections: Clips left out of the dataset, by reason.
        commands: Command lines that led here.
        attribution: Who made the audio.
        created: Date and time.
        total_seconds: Wall time of the whole job.
    """
    store = open_store(url)
    manifest = load_manifest(store)
    index = load_index(store, split)
    report = Report(
        title=f"{manifest.settings.name}: fold {eval_fold} held out",
        subtitle=result.settings["model"] + f", {result.num_parameters:,} parameters, "
        f"{result.num_processes} process(es) on {result.device}",
        scores=Scores(
            accuracy=result.metrics.accuracy,
            chance_accuracy=result.metrics.chance,
            num_held_out=result.metrics.num_clips,
            macro_map=result.metrics.macro_map,
            clips_per_second=result.clips_per_second,
            total_seconds=total_seconds,
        ),
        stages=[Stage(name=name, seconds=seconds) for name, seconds in stages.items()],
        parts=_parts(index),
        rejections=rejections,
        settings=result.settings | {"bottleneck": result.bottleneck},
        mistakes=_mistakes(result.predictions),
        provenance=Provenance(
            created=created,
            dataset_digest=manifest.digest,
            versions=tool_versions() | {"torch": torch.__version__},
            commands=commands,
            attribution=attribution,
            licence=str(manifest.provenance.get("licence", "not stated")),
        ),
        sound_pictures=[_mel_picture(store, manifest, result.predictions)],
        training_pictures=[
            Picture(
                png=curves(
                    result.losses,
                    (),
                    steps_per_epoch=result.steps_per_epoch,
                    title="Training loss",
                ),
                caption="Training loss of every step, and its running mean.",
            )
        ],
        result_pictures=[
            Picture(
                png=confusion_picture(np.asarray(result.confusion), result.labels),
                caption="Held-out clips by true class (rows) and predicted class (columns).",
            )
        ],
        dataset_pictures=[_class_picture(index, manifest, eval_fold=eval_fold)],
    )
    write_report(report, path)


def _mel_picture(store: Store, manifest: Manifest, predictions: Sequence[Prediction]) -> Picture:
    """Draw held-out clips of as many classes as there is room for, mistakes among them."""
    config = LogMelConfig(
        sample_rate_hz=manifest.settings.audio.sample_rate_hz,
        max_hz=min(14_000.0, manifest.settings.audio.sample_rate_hz / 2),
    )
    tiles = []
    for prediction in _one_of_each_class(predictions)[:_MAX_TILES]:
        _, pcm_T = read_clip(store, manifest, prediction.key)
        tiles.append(
            MelTile(
                mel_MF=log_mel_picture(pcm_T, config),
                label=prediction.true,
                predicted=prediction.predicted,
            )
        )
    return Picture(
        png=mel_grid(
            tiles,
            hop_seconds=config.hop_seconds,
            title="Held-out clips as log-mels, their label and what the network said",
            mel_centres_hz=config.mel_centres_hz(),
        ),
        caption="Log-mel spectrograms in dB, computed from the FLAC clips in the shards.",
    )


def _one_of_each_class(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return one clip a class; a second, wrongly classified one where there is room."""
    first: dict[str, Prediction] = {}
    wrong: dict[str, Prediction] = {}
    for prediction in predictions:
        first.setdefault(prediction.true, prediction)
        if prediction.predicted != prediction.true:
            wrong.setdefault(prediction.true, prediction)
    extra = [prediction for prediction in wrong.values() if prediction not in first.values()]
    return [*first.values(), *extra]


def _class_picture(index: pa.Table, manifest: Manifest, *, eval_fold: int) -> Picture:
    held_out = index.column("fold").to_numpy(zero_copy_only=False) == eval_fold
    return Picture(
        png=class_histogram(
            {
                "training folds": _class_counts(index.filter(pa.array(~held_out)), manifest),
                f"held-out fold {eval_fold}": _class_counts(
                    index.filter(pa.array(held_out)), manifest
                ),
            },
            manifest.settings.labels,
        ),
        caption="Clips per class.",
    )


def _class_counts(index: pa.Table, manifest: Manifest) -> list[int]:
    label_ids = index.column("label_ids").combine_chunks().flatten().to_numpy()
    counts: list[int] = np.bincount(label_ids, minlength=len(manifest.settings.labels)).tolist()
    return counts


def _parts(index: pa.Table) -> list[Part]:
    folds = sorted(fold for fold in pc.unique(index.column("fold")).to_pylist() if fold is not None)
    return [_part(f"fold {fold}", index.filter(pc.field("fold") == fold)) for fold in folds] or [
        _part("all", index)
    ]


def _part(name: str, rows: pa.Table) -> Part:
    seconds = pc.sum(
        pc.divide(rows.column("num_samples").cast(pa.float64()), rows.column("sample_rate_hz"))
    )
    label_ids = rows.column("label_ids").combine_chunks().flatten()
    return Part(
        name=name,
        num_clips=len(rows),
        audio_seconds=seconds.as_py() or 0.0,
        num_bytes=pc.sum(rows.column("audio_num_bytes")).as_py() or 0,
        num_classes=len(pc.unique(label_ids)),
    )


def _mistakes(predictions: Sequence[Prediction]) -> list[Mistake]:
    wrong = [prediction for prediction in predictions if prediction.predicted != prediction.true]
    wrong.sort(key=lambda prediction: -prediction.probability)
    return [
        Mistake(
            key=prediction.key,
            true=prediction.true,
            predicted=prediction.predicted,
            probability=prediction.probability,
        )
        for prediction in wrong[:_MAX_MISTAKES]
    ]
