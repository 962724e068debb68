"""`melstream train`: set up the process, run the training, report and save what came of it."""

import datetime
import os
import shlex
import sys
import time
from pathlib import Path

import torch
from tqdm import tqdm

from jobs.augmentation import contents
from jobs.console import counted, say, table
from jobs.distributed import device_name, process_group
from jobs.preemption import (
    EXIT_PREEMPTED,
    StopRequest,
    remove_marker,
    stop_requests,
    write_marker,
)
from jobs.results import RunResult, metric_rows, save_result
from jobs.run_result import make_result
from jobs.scalars import ScalarLog, open_scalars
from jobs.train_options import TrainOptions
from jobs.training import Trainer
from jobs.verification import Verification, open_trials, verify_trials
from loader import World
from shardwriter.errors import ConfigError

REPORT_NAME = "report.html"


def run_training(options: TrainOptions) -> int:
    """Train on this rank; rank 0 prints and writes `result.json` to the output folder.

    Returns:
        0, or `EXIT_PREEMPTED` where the run was told to stop and left a checkpoint to go on from.
    """
    started = time.perf_counter()
    world = World.from_env()
    _make_folder(options.out)
    with process_group(world) as device:
        return _run(options, world, device, started)


def _run(options: TrainOptions, world: World, device: torch.device, started: float) -> int:
    if world.rank == 0:
        remove_marker(options.out)
    with stop_requests() as stop:
        trainer = Trainer(options, world=world, device=device)
        pairs = None
        if options.trials is not None:
            pairs = open_trials(options.trials, trainer.store)
            if options.recipe.model != "ecapa":
                raise ConfigError("--trials compare embeddings, which --model ecapa has")
        trainer.history.spend("starting", started)
        _announce(trainer)
        with open_scalars(options, world=world, step=trainer.step) as scalars:
            clips_per_second, is_done = _train(trainer, scalars, stop)
        if not is_done:
            return _leave(trainer, stop)
    # From here on a signal ends the process: all steps are saved, a new start only evaluates.
    scored = trainer.scores()
    verification: Verification | None = None
    if pairs is not None:
        embeddings = trainer.evaluator().embeddings(trainer.held_out_loader)
        verification = verify_trials(pairs, embeddings)
    if world.rank == 0:
        result = make_result(
            trainer,
            scored,
            verification=verification,
            clips_per_second=clips_per_second,
            total_seconds=time.perf_counter() - started,
        )
        save_result(result, options.out)
        with open_scalars(options, world=world, step=trainer.step) as scalars:
            scalars.note_result(result)
        _print(result, options.out)
        if options.report:
            _report(trainer, result)
    return 0


def _train(trainer: Trainer, scalars: ScalarLog, stop: StopRequest) -> tuple[float, bool]:
    """Return the speed in clips a second, and whether all steps are done."""
    started = time.perf_counter()
    num_clips_before = trainer.history.num_clips
    with tqdm(
        total=trainer.num_steps,
        initial=trainer.step,
        desc="train",
        unit="step",
        disable=trainer.world.rank != 0,
        dynamic_ncols=True,
        mininterval=0.5,
    ) as bar:

        def on_step(loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()
            scalars.note_step(trainer)

        is_done = trainer.train(on_step, stop)
    num_clips = trainer.history.num_clips - num_clips_before
    return num_clips / (time.perf_counter() - started), is_done


def _leave(trainer: Trainer, stop: StopRequest) -> int:
    if trainer.world.rank == 0:
        options = trainer.options
        write_marker(options.out, step=trainer.step, num_steps=trainer.num_steps)
        why = stop.signal_name or "another process was told to"
        say(
            f"stopped behind step {trainer.step} of {trainer.num_steps} ({why}); the checkpoint is "
            f"{options.checkpoint_path}: start again with --resume-if-there"
        )
    trainer.wait()
    return EXIT_PREEMPTED


def _make_folder(folder: Path) -> None:
    """Make the output folder before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ConfigError(f"can't make the folder --out {folder}: {err.strerror}") from err
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"can't write to --out {folder}; choose another folder")


def _announce(trainer: Trainer) -> None:
    if trainer.world.rank != 0:
        return
    options, recipe = trainer.options, trainer.options.recipe
    num_clips = len(trainer.loader) * recipe.batch_size // recipe.accumulation
    say(
        f"training on {options.selection}: {num_clips:,} clips an epoch, "
        f"{counted(trainer.num_steps, 'step')} in {counted(recipe.epochs, 'epoch')}, "
        f"{counted(trainer.world.size, 'process', 'processes')} on {device_name(trainer.device)}"
    )
    for bank, held in contents(trainer.augmentation.banks).items():
        say(f"{bank}: {held}")
    if trainer.step:
        say(f"going on after step {trainer.step} of {options.checkpoint_path}")


def _print(result: RunResult, out: Path) -> None:
    table(
        [
            *metric_rows(result.metrics, result.verification),
            ("speed", f"{result.clips_per_second:.0f} clips/s"),
            *((what, f"{seconds:.1f} s") for what, seconds in result.seconds.items()),
            ("result", str(out)),
        ]
    )
    say(f"  {result.bottleneck}")


def _report(trainer: Trainer, result: RunResult) -> None:
    from jobs.run_report import write_run_report  # matplotlib takes a second

    options = trainer.options
    path = options.out / REPORT_NAME
    write_run_report(
        path,
        url=options.url,
        split=options.held_out_split,
        eval_folds=options.eval_folds,
        result=result,
        stages=result.seconds,
        rejections=None,
        commands=[shlex.join(["melstream", *sys.argv[1:]])],
        attribution="as the dataset states",
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        total_seconds=result.total_seconds,
        store=trainer.store,
    )
    say(f"  report: {path.absolute()}")
