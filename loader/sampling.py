"""From the settings to the order of each epoch: copies, groups and mixtures in one place. Pure."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.config import LoaderConfig
from loader.dataset import DatasetIndex
from loader.draws import expected_copies
from loader.groups import group_order, groups_of, num_group_draws
from loader.plan import EpochOrder, OrderPolicy, epoch_order
from shardwriter.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sampling:
    """What each epoch draws from the index, and in which order.

    Axes: N rows of the index.
    """

    config: LoaderConfig
    index: DatasetIndex
    policy: OrderPolicy
    expected_N: NDArray[np.float64] | None
    """Copies of each row in an epoch, on average over epochs; `None`: each row once."""
    group_N: NDArray[np.int64] | None
    """The group of each row, for group batches."""
    num_draws: int
    """Samples in an epoch, the same for every epoch."""

    @classmethod
    def of(cls, config: LoaderConfig, index: DatasetIndex) -> "Sampling":
        """Plan the draws of a selection.

        Raises:
            ConfigError: group batches of samples that are in no group, or that give no visit.
        """
        groups = config.group_batches
        group_N = None if groups is None else groups_of(index, groups.by, groups.target)
        expected_N = expected_copies(
            index,
            balance=config.balance,
            weights=config.weights,
            epoch_size=config.epoch_size,
        )
        num_draws = len(index) if expected_N is None else round(expected_N.sum())
        if groups is not None and group_N is not None:
            num_draws = num_group_draws(group_N, groups)
            if not num_draws:
                raise ConfigError(
                    f"no {groups.target or groups.by} has {groups.clips_per_group} clips, and "
                    "rest='drop' drops smaller ones; use rest='cycle', or a smaller clips_per_group"
                )
        num_shards = len(np.unique(index.shard_N))
        return cls(
            config=config,
            index=index,
            policy=OrderPolicy(
                shuffle=config.shuffle,
                open_shards=config.open_shards,
                num_streams=max(1, min(config.num_streams, num_shards // config.open_shards)),
                min_spread=config.min_spread,
            ),
            expected_N=expected_N,
            group_N=group_N,
            num_draws=num_draws,
        )

    def order(self, epoch: int) -> EpochOrder:
        """Return the global order of an epoch."""
        config = self.config
        if config.group_batches is not None and self.group_N is not None:
            return group_order(
                self.group_N,
                self.index.shard_N,
                config.group_batches,
                policy=self.policy,
                seed=config.seed,
                epoch=epoch,
            )
        return epoch_order(
            self.index.shard_N,
            policy=self.policy,
            seed=config.seed,
            epoch=epoch,
            dataset_of_shard=self.index.dataset_of_shard,
            expected_N=self.expected_N,
        )

    @property
    def max_open_shards(self) -> int:
        """Shards that a rank reads from at a time: an upper bound, but for copies and groups."""
        datasets = len(self.index.stores)
        return self.policy.open_shards * self.policy.num_streams * datasets

    def describe(self) -> str:
        """Return what decides the draws, besides seed, shuffling and selection, as text.

        With a hash of the expected copies in it, a state is refused also where labels or the
        machine's arithmetic give other ones.
        """
        parts = [f"draws={self.num_draws}"]
        for name in ("balance", "epoch_size", "group_batches"):
            value = getattr(self.config, name)
            if value is not None:
                parts.append(f"{name}={value!r}")
        if self.expected_N is not None or self.group_N is not None:
            parts.append(f"min_spread={self.policy.min_spread}")
        if self.group_N is not None:
            parts.append("even streams")  # before, group batches had another order
        for numbers_N in (self.expected_N, self.group_N):
            if numbers_N is not None:
                parts.append(hashlib.blake2b(numbers_N.tobytes(), digest_size=8).hexdigest())
        return " ".join(parts)
