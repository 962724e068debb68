"""From a training run and its dataset to the values of a report: pictures drawn, tables filled."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from jobs.console import counted
from jobs.report import Mistake, Part, Picture, Provenance, Report, Scores, Stage
from jobs.report_html import write_report
from jobs.result_plots import class_histogram, confusion_picture, curves, evaluation_curves
from jobs.results import Prediction, RunResult, metric_rows
from jobs.shown_clip import load_index, show_clip
from jobs.sound_plots import MelTile, mel_grid
from jobs.versions import tool_versions
from shardwriter.manifest import Manifest, load_manifest
from shardwriter.storage import Store, open_store

_MAX_TILES = 12
_MAX_MISTAKES = 10
_MAX_CLASSES = 50
"""More don't fit a picture."""


def write_run_report(
    path: Path,
    *,
    url: str,
    split: str,
    eval_folds: tuple[int, ...] | None,
    result: RunResult,
    stages: Mapping[str, float],
    rejections: Mapping[str, int] | None,
    commands: Sequence[str],
    attribution: str,
    created: str,
    total_seconds: float,
    store: Store | None = None,
) -> None:
    """Write the HTML report of one training run.

    Args:
        path: The file.
        url: Dataset that the run read.
        split: Its split with the held-out clips.
        eval_folds: The held-out folds of it; None means all of the split.
        result: What the run left behind.
        stages: Wall seconds of each stage of the whole job; they don't overlap.
        rejections: Clips left out of the dataset, by reason; None where that is not known.
        commands: Command lines that led here.
        attribution: Who made the audio.
        created: Date and time.
        total_seconds: Wall time of the whole job.
        store: Where the dataset lies, already open.
    """
    store = open_store(url) if store is None else store
    manifest = load_manifest(store)
    index = load_index(store, split)
    report = Report(
        title=f"{manifest.settings.name}: {result.settings['held out']} held out",
        subtitle=result.settings["model"] + f", {result.num_parameters:,} parameters, "
        f"{counted(result.num_processes, 'process', 'processes')} on {result.device}",
        scores=Scores(
            accuracy=result.metrics.accuracy,
            chance_accuracy=result.metrics.chance,
            num_held_out=result.metrics.num_clips,
            macro_map=result.metrics.macro_map,
            clips_per_second=result.clips_per_second,
            total_seconds=total_seconds,
        ),
        stages=[Stage(name=name, seconds=seconds) for name, seconds in stages.items()],
        headlines=_headlines(result),
        figures=metric_rows(result.metrics, result.verification),
        parts=_parts(index, split=split),
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
            ),
            *_evaluation_pictures(result),
        ],
        result_pictures=_result_pictures(result),
        dataset_pictures=_class_pictures(index, manifest, eval_folds=eval_folds),
    )
    write_report(report, path)


def _headlines(result: RunResult) -> list[tuple[str, str, str]]:
    """Return what stands in place of accuracy and mAP, where these are not what was tested."""
    trials = result.verification
    if trials is not None:
        return [
            ("EER", f"{trials.eer:.2%}", f"{trials.num_trials:,} trials of {trials.name}"),
            ("minDCF", f"{trials.min_dcf_01:.3f}", "normalised, target probability 0.01"),
        ]
    if result.metrics.macro_map is None:
        why = f"none of the {result.metrics.num_clips:,} held-out clips has a label"
        return [("Held-out accuracy", "n/a", why)]
    if result.metrics.is_multi_label:
        about = f"average precision, mean over classes, on {result.metrics.num_clips:,} clips"
        d_prime = result.metrics.d_prime
        return [
            ("Macro mAP", f"{result.metrics.macro_map:.3f}", about),
            ("d'", "n/a" if d_prime is None else f"{d_prime:.2f}", "from the mean area under ROC"),
        ]
    return []


def _mel_picture(store: Store, manifest: Manifest, predictions: Sequence[Prediction]) -> Picture:
    """Draw held-out clips of as many classes as there is room for, mistakes among them."""
    shown = _one_of_each_class(predictions)[:_MAX_TILES]
    clips = [show_clip(store, manifest, prediction.key) for prediction in shown]
    config = clips[0].config
    return Picture(
        png=mel_grid(
            [
                MelTile(mel_MF=clip.mel_MF, label=each.true, predicted=each.predicted)
                for clip, each in zip(clips, shown, strict=True)
            ],
            hop_seconds=config.hop_seconds,
            title="Held-out clips as log-mels, their label and what the network said",
            mel_centres_hz=config.mel_centres_hz(),
        ),
        caption="Log-mel spectrograms in dB, "
        + ("computed from the clips" if manifest.settings.features is None else "as they lie")
        + " in the shards.",
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


def _evaluation_pictures(result: RunResult) -> list[Picture]:
    if not result.evaluations:
        return []
    # The last step's is the run's result; it closes the curve.
    final = {
        "step": float(len(result.losses)),
        "accuracy": result.metrics.accuracy,
        "macro_map": result.metrics.macro_map,
    }
    return [
        Picture(
            png=evaluation_curves(
                [*result.evaluations, final], steps_per_epoch=result.steps_per_epoch
            ),
            caption="Held-out clips after some epochs and at the end.",
        )
    ]


def _result_pictures(result: RunResult) -> list[Picture]:
    if not result.confusion or len(result.labels) > _MAX_CLASSES:
        return []
    return [
        Picture(
            png=confusion_picture(np.asarray(result.confusion), result.labels),
            caption="Held-out clips by true class (rows) and predicted class (columns).",
        )
    ]


def _class_pictures(
    index: pa.Table, manifest: Manifest, *, eval_folds: tuple[int, ...] | None
) -> list[Picture]:
    if len(manifest.settings.labels) > _MAX_CLASSES:
        return []
    if eval_folds is None:
        counts = {"held out": _class_counts(index, manifest)}
    else:
        held_out = pc.is_in(index.column("fold"), value_set=pa.array(eval_folds, pa.int32()))
        name = "held-out fold " + ", ".join(map(str, eval_folds))
        counts = {
            "training folds": _class_counts(index.filter(pc.invert(held_out)), manifest),
            name: _class_counts(index.filter(held_out), manifest),
        }
    return [
        Picture(png=class_histogram(counts, manifest.settings.labels), caption="Clips per class.")
    ]


def _class_counts(index: pa.Table, manifest: Manifest) -> list[int]:
    label_ids = index.column("label_ids").combine_chunks().flatten().to_numpy()
    counts: list[int] = np.bincount(label_ids, minlength=len(manifest.settings.labels)).tolist()
    return counts


def _parts(index: pa.Table, *, split: str) -> list[Part]:
    folds = sorted(fold for fold in pc.unique(index.column("fold")).to_pylist() if fold is not None)
    return [_part(f"fold {fold}", index.filter(pc.field("fold") == fold)) for fold in folds] or [
        _part(f"split {split}, held out", index)
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
