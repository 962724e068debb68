"""Scalars for TensorBoard, of rank 0, where that was asked for."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from jobs.optimisation import cosine_with_warm_up
from jobs.results import RunResult
from jobs.train_options import TrainOptions
from jobs.training import Trainer
from loader import World
from shardwriter.errors import ConfigError

FOLDER_NAME = "tensorboard"
_OF_RESULT = ("accuracy", "macro_map", "macro_auc", "d_prime", "lwlrap")
_OF_TRIALS = ("eer", "min_dcf_01", "min_dcf_05")


class ScalarLog:
    """Writes what a trainer's history gains; without a writer it does nothing."""

    def __init__(self, writer: Any | None) -> None:
        self._writer = writer
        self._num_evaluations = 0

    def note_step(self, trainer: Trainer) -> None:
        """Write the latest loss, the step's learning rate, and evaluations that are new."""
        if self._writer is None:
            return
        history = trainer.history
        step = len(history.losses)
        self._writer.add_scalar("train/loss", history.losses[-1], step)
        self._writer.add_scalar("train/learning_rate", _learning_rate(trainer, step), step)
        for row in history.evaluations[self._num_evaluations :]:
            figures = {name: value for name, value in row.items() if name != "step"}
            self._note(figures, step=int(row["step"] or 0))
        self._num_evaluations = len(history.evaluations)

    def note_result(self, result: RunResult) -> None:
        """Write the figures of the finished run behind its last step."""
        figures = {name: getattr(result.metrics, name) for name in _OF_RESULT}
        if result.verification is not None:
            figures |= {name: getattr(result.verification, name) for name in _OF_TRIALS}
        self._note(figures, step=len(result.losses))

    def _note(self, figures: Mapping[str, float | None], *, step: int) -> None:
        """Write the figures that there are."""
        for name, value in figures.items():
            if self._writer is not None and value is not None:
                self._writer.add_scalar(f"held-out/{name}", value, step)


def _learning_rate(trainer: Trainer, step: int) -> float:
    """Return what a step was taken with, steps counted from 1; the schedule is already ahead."""
    recipe = trainer.options.recipe
    factor = cosine_with_warm_up(trainer.num_steps, recipe.warm_up_share)
    return recipe.learning_rate * factor(step - 1)


@contextlib.contextmanager
def open_scalars(options: TrainOptions, *, world: World, step: int) -> Iterator[ScalarLog]:
    """Open the log; what an interrupted run wrote behind its checkpoint is discarded.

    Raises:
        ConfigError: the package tensorboard is not there.
    """
    if not options.tensorboard or world.rank != 0:
        yield ScalarLog(None)
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as err:
        raise ConfigError(
            "--tensorboard needs the package tensorboard: pip install 'tensorboard>=2.20'"
        ) from err
    writer: Any = SummaryWriter(
        str(options.out / FOLDER_NAME), purge_step=step + 1 if step else None
    )
    try:
        yield ScalarLog(writer)
    finally:
        writer.close()
