"""Scalars for TensorBoard, of rank 0, where that was asked for."""

import contextlib
from collections.abc import Iterator
from typing import Any

from jobs.train_options import TrainOptions
from jobs.training import Trainer
from loader import World
from shardwriter.errors import ConfigError

FOLDER_NAME = "tensorboard"


class ScalarLog:
    """Writes what a trainer's history gains; without a writer it does nothing."""

    def __init__(self, writer: Any | None) -> None:
        self._writer = writer
        self._num_evaluations = 0

    def note_step(self, trainer: Trainer) -> None:
        """Write the latest loss, the learning rate, and evaluations that are new."""
        if self._writer is None:
            return
        history = trainer.history
        step = len(history.losses)
        self._writer.add_scalar("train/loss", history.losses[-1], step)
        self._writer.add_scalar("train/learning_rate", trainer.schedule.get_last_lr()[0], step)
        for row in history.evaluations[self._num_evaluations :]:
            for name in ("accuracy", "macro_map"):
                self._writer.add_scalar(f"held-out/{name}", row[name], int(row["step"]))
        self._num_evaluations = len(history.evaluations)


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
