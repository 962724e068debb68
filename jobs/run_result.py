"""From a finished training to its `RunResult`. Axes: N clips, K classes."""

from dataclasses import asdict

import numpy as np

from jobs.augmentation import contents
from jobs.console import counted
from jobs.distributed import device_name
from jobs.evaluation import Scored
from jobs.metrics import confusion
from jobs.recipe import Recipe
from jobs.results import Prediction, RunResult
from jobs.training import Trainer
from jobs.verification import Verification
from loader.features import LogMelConfig


def make_result(
    trainer: Trainer,
    scored: Scored,
    *,
    verification: Verification | None,
    clips_per_second: float,
    total_seconds: float,
) -> RunResult:
    """Return what the run leaves behind."""
    labels = trainer.loader.labels
    scores_NK = scored.scores_NK.numpy()
    targets_NK = scored.targets_NK.numpy() > 0
    is_single_label = trainer.objective.kind in ("ce", "aam")
    counts = confusion(scores_NK, targets_NK) if is_single_label else np.zeros((0, 0), np.int64)
    overlap = trainer.pipeline.stats().overlap
    return RunResult(
        metrics=scored.metrics(),
        verification=verification,
        labels=labels,
        confusion=tuple(tuple(int(count) for count in row) for row in counts),
        predictions=predictions(scored, labels),
        losses=tuple(trainer.history.losses),
        evaluations=tuple(trainer.history.evaluations),
        steps_per_epoch=trainer.num_steps // trainer.options.recipe.epochs,
        clips_per_second=clips_per_second,
        seconds=trainer.history.seconds,
        total_seconds=total_seconds,
        bottleneck=trainer.loader.stats().bottleneck(),
        num_parameters=sum(parameter.numel() for parameter in trainer.network.parameters()),
        num_processes=trainer.world.size,
        device=device_name(trainer.device),
        settings=_settings(trainer)
        | ({} if overlap is None else {"features behind steps": f"{overlap:.0%} of their time"}),
    )


def predictions(scored: Scored, labels: tuple[str, ...]) -> tuple[Prediction, ...]:
    """Return the highest score of each clip, in order of key."""
    rows = []
    for key, score_K, target_K in zip(
        scored.keys, scored.scores_NK.numpy(), scored.targets_NK.numpy() > 0, strict=True
    ):
        top = int(score_K.argmax())
        true = [labels[k] for k in np.flatnonzero(target_K)]
        rows.append(
            Prediction(
                key=key,
                # Of several labels the one that was found, if it is among them.
                true=labels[top] if labels[top] in true else ", ".join(true) or "no label",
                predicted=labels[top],
                probability=float(score_K[top]),
            )
        )
    return tuple(sorted(rows, key=lambda prediction: prediction.key))


def _settings(trainer: Trainer) -> dict[str, str]:
    options, recipe = trainer.options, trainer.options.recipe
    defaults = asdict(Recipe())
    others = {
        name.replace("_", " "): str(value)
        for name, value in asdict(recipe).items()
        if value != defaults[name] and name not in _SAID
    }
    processes = counted(trainer.world.size, "process", "processes")
    parts = f" in {recipe.accumulation} parts" if recipe.accumulation > 1 else ""
    return {
        "model": f"{recipe.model} at {recipe.width:g} of its width"
        + (f", from {recipe.weights}" if recipe.weights else ", from scratch"),
        "trained on": options.selection,
        "held out": options.held_out,
        "objective": trainer.objective.kind,
        "epochs": str(recipe.epochs),
        "clips a step": f"{recipe.batch_size} over {processes}{parts}",
        "optimiser": f"AdamW, learning rate {recipe.learning_rate:g}, "
        f"weight decay {recipe.weight_decay:g}, warm-up and cosine",
        "features": _features(recipe.preset, trainer.front_end.config.log_mel),
        "precision": str(trainer.amp_dtype or "torch.float32").removeprefix("torch."),
        "seed": str(options.seed),
        **contents(trainer.augmentation.banks),
        **others,
    }


def _features(preset: str, config: LogMelConfig) -> str:
    """Return the front end in a line."""
    return (
        f"{preset}: {config.num_mels} mels from {config.min_hz:g} to {config.max_hz:g} Hz, "
        f"{1 / config.hop_seconds:g} frames a second"
    )


_SAID = {
    *("model", "width", "weights", "objective", "epochs", "batch_size", "accumulation"),
    *("learning_rate", "weight_decay", "preset", "precision"),
}
