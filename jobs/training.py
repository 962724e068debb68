"""One rank's part of a training run: the loop, the evaluation, the checkpoints.

Each step's randomness follows from (seed, step, rank), so a resumed run ends with the weights of
an uninterrupted one. Axes: B clips, T samples, K classes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from jobs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from jobs.model import Cnn10, Cnn10Config
from jobs.recipe import (
    TrainOptions,
    amp_dtype,
    clip_shifts,
    cosine_with_warm_up,
    front_end,
    multi_label_loss,
    parameter_groups,
    roll,
    single_label_loss,
)
from loader import AudioBatch, LoaderConfig, ShardLoader, World
from loader.features import LogMel
from shardwriter.errors import ConfigError
from shardwriter.storage import open_store


@dataclass(slots=True, kw_only=True)
class History:
    """What a run has seen so far; saved with the checkpoint."""

    losses: list[float] = field(default_factory=list)
    """Mean over the ranks' clips, one a step."""
    num_clips: int = 0
    """Delivered to all ranks together."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of this rank by what it was spent on."""

    def spend(self, what: str, seconds: float) -> None:
        """Add to the account of where the time went."""
        self.seconds[what] = self.seconds.get(what, 0.0) + seconds


class Trainer:
    """One rank's part of a run."""

    def __init__(self, options: TrainOptions, *, world: World, device: torch.device) -> None:
        if options.batch_size % world.size:
            raise ConfigError(
                f"--batch-size {options.batch_size} can't be shared by {world.size} processes; "
                f"choose a multiple of {world.size}"
            )
        self.options = options
        self.world = world
        self.device = device
        self.history = History()
        self.step = 0
        self.store = open_store(options.url, options.s3)
        try:
            self.loader = self._training_loader()
            self.held_out_loader = self._held_out_loader()
        except ValueError as err:
            raise ConfigError(str(err)) from err
        self.num_steps = options.epochs * len(self.loader)
        torch.manual_seed(options.seed)
        self.log_mel = LogMel(front_end(self.loader.sample_rate_hz)).to(device)
        self.network = Cnn10(Cnn10Config(num_classes=len(self.loader.labels))).to(device)
        # A third less CPU time a step than the default layout (torch's types don't know the word).
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = self._distributed(self.network)
        self.is_single_label = bool((np.diff(self.loader.index.label_starts) == 1).all())
        self.loss = single_label_loss if self.is_single_label else multi_label_loss
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.network, options.weight_decay), lr=options.learning_rate
        )
        self.amp_dtype = amp_dtype(device)
        self.scaler = torch.amp.grad_scaler.GradScaler(
            device.type, enabled=self.amp_dtype == torch.float16
        )
        if options.resume:
            self._restore(load_checkpoint(options.checkpoint_path))
        self.schedule = LambdaLR(
            self.optimizer,
            cosine_with_warm_up(self.num_steps, options.warm_up_share),
            last_epoch=self.step - 1,
        )

    def train(self, on_step: Callable[[float], None]) -> None:
        """Take all steps that are left; `on_step` is told the loss of each."""
        self.model.train()
        while self.step < self.num_steps:
            waiting = time.perf_counter()
            for batch in self.loader:
                self.history.spend("waiting for data", time.perf_counter() - waiting)
                on_step(self._train_step(batch))
                if self.step % self.options.checkpoint_steps == 0 or self.step == self.num_steps:
                    self._save()
                if self.step == self.num_steps:
                    return
                waiting = time.perf_counter()

    def _train_step(self, batch: AudioBatch) -> float:
        started = time.perf_counter()
        options = self.options
        # Dropout draws from torch's generator: set it per step, so that a resumed run draws alike.
        seeds = np.random.SeedSequence([options.seed, self.step, self.world.rank])
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        shifts_B = clip_shifts(batch, seed=options.seed, epoch=self.loader.epoch)
        batch = batch.to(self.device, non_blocking=True)
        mel_BMF = self.log_mel(roll(batch.wave_BT, shifts_B))
        self.history.spend("log-mel and shift", time.perf_counter() - started)
        started = time.perf_counter()
        with torch.autocast(self.device.type, self.amp_dtype, enabled=self.amp_dtype is not None):
            loss = self.loss(self.model(mel_BMF), batch.target_BK)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch 2.11
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        self.step += 1
        value = self._mean_over_ranks(loss.detach())
        self.history.losses.append(value)
        self.history.num_clips += options.batch_size
        self.history.spend("network and optimiser", time.perf_counter() - started)
        return value

    def scores(self) -> tuple[list[str], Tensor, Tensor]:
        """Return keys, scores_NK and targets_NK of the whole held-out fold, on every rank.

        Each clip is scored whole (no crop, no augmentation) exactly once: rows that pad the last
        batch are dropped before anything is counted.
        """
        started = time.perf_counter()
        self._share_statistics()
        self.network.eval()
        keys: list[str] = []
        scores, targets = [], []
        with torch.inference_mode():
            for batch in self.held_out_loader:
                on_device = batch.to(self.device, non_blocking=True)
                logits_BK = self.network(self.log_mel(on_device.wave_BT)).float()
                real = ~batch.is_padding_B
                score_BK = logits_BK.softmax(1) if self.is_single_label else logits_BK.sigmoid()
                scores.append(score_BK.cpu()[real])
                targets.append(batch.target_BK[real])
                keys.extend(key for key, keep in zip(batch.keys, real, strict=True) if keep)
        self.history.spend("evaluation", time.perf_counter() - started)
        return self._gather(keys, torch.cat(scores), torch.cat(targets))

    def _training_loader(self) -> ShardLoader:
        options = self.options
        return ShardLoader(
            LoaderConfig(
                url=options.url,
                split=options.split,
                folds=options.folds,
                batch_size=options.batch_size // self.world.size,
                crop_seconds=options.crop_seconds,
                seed=options.seed,
                tail="drop",
            ),
            world=self.world,
            store=self.store,
        )

    def _held_out_loader(self) -> ShardLoader:
        """Open the held-out fold before the training, so that a wrong one is known at once."""
        whole = LoaderConfig(
            url=self.options.url,
            split=self.options.split,
            folds=(self.options.eval_fold,),
            batch_size=16,
            crop_seconds=None,
            crop="start",
            shuffle=False,
            tail="pad",
        )
        loader = ShardLoader(whole, world=self.world, store=self.store)
        longest_seconds = loader.index.num_samples_N.max() / loader.sample_rate_hz
        if longest_seconds >= self.options.crop_seconds:
            return loader
        # Shorter clips are padded as in the training: the network knows them so.
        padded = replace(whole, crop_seconds=self.options.crop_seconds)
        return ShardLoader(padded, world=self.world, store=self.store)

    def _distributed(self, network: nn.Module) -> nn.Module:
        if self.world.size == 1:
            return network
        device_ids = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=device_ids)

    def _mean_over_ranks(self, value: Tensor) -> float:
        if self.world.size > 1:
            torch.distributed.all_reduce(value)
            value = value / self.world.size
        return float(value)

    def _share_statistics(self) -> None:
        """Give every rank the batch norm statistics of rank 0; each has seen other clips."""
        if self.world.size > 1:
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def _gather(
        self, keys: list[str], scores_BK: Tensor, targets_BK: Tensor
    ) -> tuple[list[str], Tensor, Tensor]:
        if self.world.size == 1:
            return keys, scores_BK, targets_BK
        parts: list[Any] = [None] * self.world.size
        torch.distributed.all_gather_object(parts, (keys, scores_BK.numpy(), targets_BK.numpy()))
        return (
            [key for part in parts for key in part[0]],
            torch.from_numpy(np.concatenate([part[1] for part in parts])),
            torch.from_numpy(np.concatenate([part[2] for part in parts])),
        )

    def _save(self) -> None:
        started = time.perf_counter()
        self._share_statistics()
        if self.world.rank == 0:
            save_checkpoint(
                Checkpoint(
                    step=self.step,
                    loader=self.loader.state_dict(),
                    model=self.network.state_dict(),
                    optimizer=self.optimizer.state_dict(),
                    scaler=self.scaler.state_dict(),
                    history={
                        "losses": self.history.losses,
                        "num_clips": self.history.num_clips,
                        "seconds": self.history.seconds,
                    },
                ),
                self.options.checkpoint_path,
            )
        self.history.spend("checkpoints", time.perf_counter() - started)

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.loader.load_state_dict(checkpoint.loader)
        self.network.load_state_dict(checkpoint.model)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.scaler.load_state_dict(checkpoint.scaler)
        self.step = checkpoint.step
        self.history = History(**checkpoint.history)
