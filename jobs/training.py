"""One rank's part of a training run: the loop and the checkpoints.

Each step's randomness follows from (seed, step, rank), so a resumed run ends with the weights of
an uninterrupted one. On another number of ranks it takes the same clips in the same steps, and
differs by the order of sums, by dropout and by what batch norm sees of a step. Axes: K classes.
"""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from jobs.augmentation import open_augmentation
from jobs.cached_features import refuse_wave_augmentation
from jobs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from jobs.distributed import check_same_step, distributed, share_buffers, wait_for_all
from jobs.evaluation import Evaluator, Scored
from jobs.front_end import FrontEnd, recipe_front_end
from jobs.history import History
from jobs.models.build import build_network
from jobs.objectives import make_objective
from jobs.optimisation import amp_dtype, cosine_with_warm_up, moving_average, parameter_groups
from jobs.preemption import StopRequest
from jobs.step_report import StepReport
from jobs.train_options import TrainOptions
from jobs.training_data import class_counts, held_out_loader, training_loader
from loader import World
from loader.device_pipeline import DevicePipeline
from loader.feature_batch import FeatureBatch
from shardwriter.errors import MelstreamError
from shardwriter.storage import open_store


class Trainer:
    """One rank's part of a run."""

    def __init__(self, options: TrainOptions, *, world: World, device: torch.device) -> None:
        self.options = options
        self.world = world
        self.device = device
        self.history = History()
        self.step = 0
        recipe = options.recipe
        store = self.store = open_store(options.url, options.s3)
        self.loader = training_loader(options, world=world, store=store)
        # Opened before the training, so that a wrong one is known at once.
        self.held_out_loader = held_out_loader(
            recipe,
            url=options.url,
            split=options.held_out_split,
            folds=options.eval_folds,
            world=world,
            store=store,
        )
        self.num_steps = recipe.epochs * -(-len(self.loader) // recipe.accumulation)
        torch.manual_seed(options.seed)
        config = recipe_front_end(
            recipe,
            sample_rate_hz=self.loader.sample_rate_hz,
            seed=options.seed,
            store=store,
            features=self.loader.features,
        )
        self.augmentation = open_augmentation(
            recipe,
            options.banks,
            sample_rate_hz=self.loader.sample_rate_hz,
            seed=options.seed,
            device=device,
            s3=options.s3,
        )
        config = replace(config, augment=self.augmentation.recipe)
        if self.loader.features is not None:
            refuse_wave_augmentation(config, where=store.url)
        self.front_end = FrontEnd(config, banks=self.augmentation.banks).to(device)
        num_samples = round(recipe.crop_seconds * self.loader.sample_rate_hz)
        self.num_outputs = len(self.loader.labels) * self.augmentation.num_speeds
        self.network = build_network(
            recipe,
            num_classes=self.num_outputs,
            num_mels=config.log_mel.num_mels,
            num_frames=config.log_mel.num_frames_out or config.log_mel.num_frames(num_samples),
        ).to(device)
        if recipe.model.startswith("cnn"):
            # A third less CPU time a step than the default layout (torch's types don't know it).
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = moving_average(self.network, recipe.ema_decay)
        self.model = distributed(self.network, world=world, device=device)
        self.objective = make_objective(
            recipe,
            counts_K=class_counts(self.loader.index).repeat(self.augmentation.num_speeds),
            is_single_label=self.loader.index.has_single_labels,
        ).to(device)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.network, recipe.weight_decay), lr=recipe.learning_rate
        )
        self.amp_dtype = amp_dtype(recipe, device)
        self.scaler = torch.amp.grad_scaler.GradScaler(
            device.type, enabled=self.amp_dtype == torch.float16
        )
        self.pipeline = DevicePipeline(self.loader, self.front_end.training_features, device=device)
        if options.resumes:
            self._restore(load_checkpoint(options.checkpoint_path))
        check_same_step(self.step, world)
        self.schedule = LambdaLR(
            self.optimizer,
            cosine_with_warm_up(self.num_steps, recipe.warm_up_share),
            last_epoch=self.step - 1,
        )
        self._unread: StepReport | None = None

    def train(self, on_step: Callable[[float], None], stop: StopRequest | None = None) -> bool:
        """Take all steps that are left, or all until the ranks are told to stop.

        Args:
            on_step: Told the loss of each step.
            stop: Looked at in each step; when any rank's is set, all stop behind the same step,
                with a checkpoint.

        Returns:
            Whether all steps are done.
        """
        stop = StopRequest() if stop is None else stop
        self.model.train()
        while self.step < self.num_steps:
            now = time.perf_counter()
            num_parts = place = 0
            loss = torch.zeros((), device=self.device)
            for features in self.pipeline:
                now = self.history.spend("features, and waiting for data", now)
                if place == 0:
                    num_parts = 1 + min(
                        self.options.recipe.accumulation - 1, self.pipeline.steps_remaining
                    )
                    self.optimizer.zero_grad(set_to_none=True)
                    loss = torch.zeros((), device=self.device)
                loss += self._add_gradients(features, place=place, num_parts=num_parts)
                place += 1
                if place == num_parts:
                    place = 0
                    is_told = self._finish_step(loss, on_step, stop)
                    now = self.history.spend("network and optimiser", now)
                    if self._care_for_step(on_step, is_told=is_told):
                        return self.step == self.num_steps
                    now = time.perf_counter()
        return True

    def scores(self) -> Scored:
        """Return the scores of all held-out clips, on every rank."""
        started = time.perf_counter()
        scored = self.evaluator().scores(self.held_out_loader, self.objective)
        self.history.spend("evaluation", started)
        return scored

    def evaluator(self) -> Evaluator:
        """Return what evaluates the network, or its moving average where there is one."""
        network = self.network if self.average is None else self.average.module
        share_buffers(network, self.world)
        return Evaluator(
            network,
            self.front_end,
            world=self.world,
            device=self.device,
            amp_dtype=self.amp_dtype,
        )

    def wait(self) -> None:
        """Return when every rank has come here."""
        wait_for_all(self.world)

    def _add_gradients(self, features: FeatureBatch, *, place: int, num_parts: int) -> Tensor:
        """Compute one part of a step, and return its share of the loss."""
        # Dropout draws from torch's generator: set it, so that a resumed run draws alike.
        seeds = np.random.SeedSequence([self.options.seed, self.step, self.world.rank, place])
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        is_last = place == num_parts - 1
        with contextlib.ExitStack() as stack:
            if not is_last and isinstance(self.model, nn.parallel.DistributedDataParallel):
                stack.enter_context(self.model.no_sync())
            with torch.autocast(
                self.device.type, self.amp_dtype, enabled=self.amp_dtype is not None
            ):
                logits_BK = self.model(features.mel_BMF, features.num_frames_B)
            loss: Tensor = self.objective(logits_BK, features.target_BK) / num_parts
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch 2.11
        self.history.num_clips += len(features) * self.world.size
        return loss.detach()

    def _finish_step(
        self, loss: Tensor, on_step: Callable[[float], None], stop: StopRequest
    ) -> bool:
        """Move the weights; return whether a rank was told to stop, as of the step before."""
        if self.options.recipe.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.options.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        self.step += 1
        report = StepReport(loss, is_told=stop.is_set, world=self.world)
        # Read a step late, so that the host needn't wait for the device; the sums are the same on
        # all ranks, and so is what follows from them.
        is_told = self._read(on_step)
        self._unread = report
        return is_told

    def _read(self, on_step: Callable[[float], None]) -> bool:
        """Note the loss of the latest step that was not yet read; return whether to stop.

        Raises:
            MelstreamError: it is no number, on all ranks; before a checkpoint is made of that.
        """
        if self._unread is None:
            return False
        loss, is_told = self._unread.read()
        self._unread = None
        # The scaler of float16 leaves such a step out and goes on.
        if not math.isfinite(loss) and not self.scaler.is_enabled():
            raise MelstreamError(
                f"the loss of step {len(self.history.losses) + 1} is {loss}, and so are the "
                "weights: start anew with a lower --learning-rate, or with --clip-norm"
            )
        self.history.losses.append(loss / self.world.size)
        on_step(self.history.losses[-1])
        return is_told

    def _care_for_step(self, on_step: Callable[[float], None], *, is_told: bool) -> bool:
        """Evaluate and save where it is time; return whether to leave the loop."""
        recipe = self.options.recipe
        is_end = self.step == self.num_steps
        steps_between = recipe.eval_every * (self.num_steps // recipe.epochs)
        is_evaluated = steps_between and self.step % steps_between == 0 and not is_end
        is_saved = is_told or is_end or self.step % recipe.checkpoint_steps == 0
        if is_evaluated or is_saved:
            is_told = self._read(on_step) or is_told
        if is_evaluated:
            metrics = self.scores().metrics()
            self.history.evaluations.append(
                {"step": self.step, "accuracy": metrics.accuracy, "macro_map": metrics.macro_map}
            )
        if is_saved or is_told:
            self._save()
        return is_end or is_told

    def _save(self) -> None:
        started = time.perf_counter()
        share_buffers(self.network, self.world)
        if self.average is not None:
            # Its own count of updates lies on the CPU, where NCCL can't reach it.
            share_buffers(self.average.module, self.world)
        if self.world.rank == 0:
            save_checkpoint(
                Checkpoint(
                    step=self.step,
                    loader=self.pipeline.state_dict(),
                    model=self.network.state_dict(),
                    average=None if self.average is None else self.average.state_dict(),
                    optimizer=self.optimizer.state_dict(),
                    scaler=self.scaler.state_dict(),
                    recipe=asdict(self.options.recipe),
                    objective=self.objective.kind,
                    augmentation=dict(self.augmentation.description),
                    statistics=self.front_end.config.statistics,
                    labels=list(self.loader.labels),
                    num_outputs=self.num_outputs,
                    history=asdict(self.history),
                ),
                self.options.checkpoint_path,
            )
        wait_for_all(self.world)
        self.history.spend("checkpoints", started)

    def _restore(self, checkpoint: Checkpoint) -> None:
        checkpoint.check_fits(
            self.options.recipe,
            self.augmentation.description,
            self.front_end.config.statistics,
        )
        self.pipeline.load_state_dict(checkpoint.loader)
        self.network.load_state_dict(checkpoint.model)
        if self.average is not None and checkpoint.average is not None:
            self.average.load_state_dict(checkpoint.average)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        if checkpoint.scaler:  # else it was made without float16, as on another device
            self.scaler.load_state_dict(checkpoint.scaler)
        self.step = checkpoint.step
        self.history = History(**checkpoint.history)
