"""Scores of held-out clips: no augmentation, each clip once, gathered from all ranks.

Axes: N clips, B rows of a batch, K classes, D embedding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jobs.distributed import gather_from_ranks
from jobs.front_end import FrontEnd
from jobs.metrics import Metrics, evaluate
from jobs.objectives import Objective
from loader import AudioBatch, FeatureBatch, ShardLoader, World
from shardwriter.errors import MelstreamError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """What a network says of clips, equal on every rank."""

    keys: list[str]
    scores_NK: Tensor
    targets_NK: Tensor

    def metrics(self) -> Metrics:
        """Return the figures of merit."""
        return evaluate(self.scores_NK.numpy(), self.targets_NK.numpy() > 0)


class Evaluator:
    """A network in evaluation mode behind its front end."""

    def __init__(
        self,
        network: nn.Module,
        front_end: FrontEnd,
        *,
        world: World,
        device: torch.device,
        amp_dtype: torch.dtype | None,
    ) -> None:
        self._network = network
        self._front_end = front_end
        self._world = world
        self._device = device
        self._amp_dtype = amp_dtype

    def scores(self, loader: ShardLoader[Any], objective: Objective) -> Scored:
        """Return the scores of every clip; rows that pad a batch are dropped first.

        Raises:
            MelstreamError: a score is no number; on every rank.
        """
        targets: list[Tensor] = []

        def score(batch: AudioBatch | FeatureBatch) -> Tensor:
            targets.append(batch.target_BK[~batch.is_padding_B])
            # Classes behind the dataset's own are made by the augmentation, for the training.
            logits_BK = self._run(self._network, batch)[:, : batch.target_BK.shape[1]]
            return objective.scores(logits_BK)

        keys, scores_NK = self._over(loader, score)
        parts = gather_from_ranks(torch.cat(targets).numpy(), self._world)
        return Scored(
            keys=keys, scores_NK=scores_NK, targets_NK=torch.from_numpy(np.concatenate(parts))
        )

    def embeddings(self, loader: ShardLoader[Any]) -> dict[str, np.ndarray]:
        """Return every clip's embedding by key, of a network that has `embed`."""
        embed: Callable[..., Tensor] = self._network.embed  # type: ignore[assignment]  # ecapa's
        keys, embedding_ND = self._over(loader, lambda batch: self._run(embed, batch))
        return dict(zip(keys, embedding_ND.numpy(), strict=True))

    def _run(self, function: Callable[..., Tensor], batch: AudioBatch | FeatureBatch) -> Tensor:
        features = self._front_end(batch.to(self._device, non_blocking=True))
        with torch.autocast(
            self._device.type, self._amp_dtype, enabled=self._amp_dtype is not None
        ):
            return function(features.mel_BMF, features.num_frames_B).float()

    def _over(
        self, loader: ShardLoader[Any], function: Callable[[AudioBatch | FeatureBatch], Tensor]
    ) -> tuple[list[str], Tensor]:
        """Return keys and rows of all ranks together."""
        was_training = self._network.training
        self._network.eval()
        keys: list[str] = []
        rows: list[Tensor] = []
        with torch.inference_mode():
            for batch in loader:
                real = ~batch.is_padding_B
                rows.append(function(batch).cpu()[real])
                keys.extend(key for key, keep in zip(batch.keys, real, strict=True) if keep)
        self._network.train(was_training)
        parts = gather_from_ranks((keys, torch.cat(rows).numpy()), self._world)
        all_keys = [key for part in parts for key in part[0]]
        values_ND = torch.from_numpy(np.concatenate([part[1] for part in parts]))
        _check_numbers(all_keys, values_ND)
        return all_keys, values_ND


def _check_numbers(keys: list[str], values_ND: Tensor) -> None:
    """Refuse NaN and infinity, which would rank somewhere and give figures that mean nothing."""
    is_wrong_N = ~values_ND.isfinite().all(dim=1)
    if is_wrong_N.any():
        raise MelstreamError(
            f"what the network says of {int(is_wrong_N.sum())} of {len(keys)} clips are no "
            f"numbers, the first is {keys[int(is_wrong_N.int().argmax())]}: its weights are broken "
            "(train anew with a lower --learning-rate) or the clip's features are"
        )
