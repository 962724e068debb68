"""`melstream train`: set up the process, run the training, report and save what came of it."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tqdm import tqdm

from jobs.console import say, table
from jobs.metrics import Scores, Targets, confusion, evaluate
from jobs.recipe import TrainOptions
from jobs.results import Prediction, RunResult, save_result
from jobs.training import Trainer
from loader import World
from shardwriter.errors import ConfigError


def run_training(options: TrainOptions) -> int:
    """Train on this rank; rank 0 prints and writes `result.json` to the output folder."""
    started = time.perf_counter()
    world = World.from_env()
    _make_folder(options.out)
    with _process_group(world) as device:
        trainer = Trainer(options, world=world, device=device)
        trainer.history.spend("starting", time.perf_counter() - started)
        _announce(trainer)
        training = time.perf_counter()
        num_clips_before = trainer.history.num_clips
        with tqdm(
            total=trainer.num_steps,
            initial=trainer.step,
            desc="train",
            unit="step",
            disable=world.rank != 0,
            dynamic_ncols=True,
            mininterval=0.5,
        ) as bar:

            def on_step(loss: float) -> None:
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                bar.update()

            trainer.train(on_step)
        training_seconds = time.perf_counter() - training
        keys, scores_NK, targets_NK = trainer.scores()
        if world.rank == 0:
            result = _result(
                trainer,
                keys=keys,
                scores_NK=scores_NK.numpy(),
                targets_NK=targets_NK.numpy().astype(bool),
                clips_per_second=(trainer.history.num_clips - num_clips_before) / training_seconds,
                total_seconds=time.perf_counter() - started,
            )
            save_result(result, options.out)
            _print(result, options.out)
    return 0


def _make_folder(folder: Path) -> None:
    """Make the output folder before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ConfigError(f"can't make the folder --out {folder}: {err.strerror}") from err
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"can't write to --out {folder}; choose another folder")


def _result(
    trainer: Trainer,
    *,
    keys: list[str],
    scores_NK: Scores,
    targets_NK: Targets,
    clips_per_second: float,
    total_seconds: float,
) -> RunResult:
    labels = trainer.loader.labels
    predictions = [
        Prediction(
            key=key,
            true=labels[int(target_K.argmax())],
            predicted=labels[int(score_K.argmax())],
            probability=float(score_K.max()),
        )
        for key, score_K, target_K in zip(keys, scores_NK, targets_NK, strict=True)
    ]
    options = trainer.options
    return RunResult(
        metrics=evaluate(scores_NK, targets_NK),
        labels=labels,
        confusion=tuple(
            tuple(int(count) for count in row) for row in confusion(scores_NK, targets_NK)
        ),
        predictions=tuple(sorted(predictions, key=lambda prediction: prediction.key)),
        losses=tuple(trainer.history.losses),
        steps_per_epoch=len(trainer.loader),
        clips_per_second=clips_per_second,
        seconds=trainer.history.seconds,
        total_seconds=total_seconds,
        bottleneck=trainer.loader.stats().bottleneck(),
        num_parameters=sum(parameter.numel() for parameter in trainer.network.parameters()),
        num_processes=trainer.world.size,
        device=device_name(trainer.device),
        settings={
            "model": "PANNs CNN10 (Kong et al. 2020) at 1/8 width, from scratch",
            "folds": ", ".join(map(str, options.folds)),
            "held-out fold": str(options.eval_fold),
            "epochs": str(options.epochs),
            "clips a step": f"{options.batch_size} over {trainer.world.size} processes",
            "optimiser": f"AdamW, learning rate {options.learning_rate:g}, "
            f"weight decay {options.weight_decay:g}, warm-up and cosine",
            "features": f"log-mel, {trainer.log_mel.config}",
            "precision": str(trainer.amp_dtype or torch.float32).removeprefix("torch."),
            "seed": str(options.seed),
        },
    )


def _announce(trainer: Trainer) -> None:
    if trainer.world.rank != 0:
        return
    options = trainer.options
    folds = ", ".join(map(str, options.folds))
    say(
        f"training on folds {folds}: {len(trainer.loader) * options.batch_size} clips an epoch, "
        f"{trainer.num_steps} steps in {options.epochs} epochs, "
        f"{trainer.world.size} process(es) on {device_name(trainer.device)}"
    )
    if trainer.step:
        say(f"going on after step {trainer.step} of {options.checkpoint_path}")


def _print(result: RunResult, out: Path) -> None:
    metrics = result.metrics
    table(
        [
            (
                "held-out accuracy",
                f"{metrics.accuracy:.1%} of {metrics.num_clips} clips "
                f"(chance {metrics.chance:.1%})",
            ),
            ("macro mAP", f"{metrics.macro_map:.3f}"),
            ("speed", f"{result.clips_per_second:.0f} clips/s"),
            *((what, f"{seconds:.1f} s") for what, seconds in result.seconds.items()),
            ("result", str(out)),
        ]
    )
    say(f"  {result.bottleneck}")


def device_name(device: torch.device) -> str:
    """Return the GPU's name, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


@contextlib.contextmanager
def _process_group(world: World) -> Iterator[torch.device]:
    """Join the other ranks, if there are any: NCCL on GPUs, gloo on CPUs."""
    if torch.cuda.is_available():
        device = torch.device("cuda", world.local_rank)
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
        # torchrun's default of one thread a process wastes cores where there are more.
        local_world_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // local_world_size))
    if world.size == 1:
        yield device
        return
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        torch.distributed.destroy_process_group()
