"""Noise on the CPU: int16 in, int16 out, for a training loop that wants no augmentation of its own.

Axes: B samples, T samples of a wave.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from loader.augment.clip_bank import ClipBank
from loader.augment.draw_wave import draw_noise
from loader.augment.draws import Draws
from loader.augment.noise import add_noise
from loader.augment.recipe import Noise
from loader.augment.rows import PART_ROWS
from loader.augment.segments import INT16_FULL_SCALE
from loader.batch import AudioBatch
from loader.randomness import Operation, sample_ids
from shardwriter.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoisyBatch:
    """A batch with noise in it.

    Attributes:
        batch: The batch; rows without noise are bit for bit what they were.
        snr_db_B: float32: the ratio of the first voice; infinite where there is no noise.
        num_clipped_B: int64: samples that had to be cut to the range of int16.
    """

    batch: AudioBatch
    snr_db_B: Tensor
    num_clipped_B: Tensor


class NoiseMixer:
    """Adds noise from a bank to batches on the CPU, keyed by (seed, epoch, sample).

    The mix is made in float32, rounded to the nearest integer (halves to the even one) and cut to
    the range of int16. Any thread may call it.
    """

    def __init__(self, noise: Noise, bank: ClipBank, *, sample_rate_hz: int, seed: int) -> None:
        """Check that noise and bank fit.

        Raises:
            ConfigError: the bank has other kinds, another rate, or lies on a device.
        """
        if bank.device.type != "cpu":
            raise ConfigError(f"NoiseMixer works on the CPU, its bank lies on {bank.device}")
        if bank.sample_rate_hz != sample_rate_hz:
            raise ConfigError(
                f"the noise has {bank.sample_rate_hz} Hz, the batches have {sample_rate_hz} Hz; "
                f"ingest the noise at {sample_rate_hz} Hz"
            )
        unknown = sorted({kind for kind, _ in noise.kinds} - set(bank.kinds))
        if unknown:
            raise ConfigError(
                f"noise of kind {unknown[0]!r} is not in the bank, which has "
                f"{', '.join(bank.kinds)}; pass kinds= to ClipBank.from_dataset"
            )
        self.noise = noise
        self.bank = bank
        self.seed = seed

    def mix(self, batch: AudioBatch, *, epoch: int) -> NoisyBatch:
        """Return the batch with noise; the one that came in stays as it is."""
        generation = self.bank.at(epoch)
        ids_B = sample_ids(batch.keys, batch.copy_B.cpu().numpy())
        draws = Draws(ids_B=ids_B, seed=self.seed, epoch=epoch)
        on_B = draws.uniforms(Operation.NOISE_MIXER, 1)[:, 0] < self.noise.p
        drawn = draw_noise(
            draws,
            self.noise,
            on_B.astype(np.float64),
            self.bank.kinds,
            operation=Operation.NOISE_MIXER,
        )
        values = {name: torch.from_numpy(value.astype(np.float32)) for name, value in drawn.items()}
        has_noise_BV, snr_db_BV = values["has_noise_BV"], values["snr_db_BV"]
        wave_BT = batch.wave_BT.clone()
        num_clipped_B = torch.zeros(len(batch), dtype=torch.int64)
        for rows in torch.split(has_noise_BV[:, 0].nonzero()[:, 0], PART_ROWS):
            mixed = add_noise(
                wave_BT[rows].float() / INT16_FULL_SCALE,
                batch.num_samples_B[rows],
                generation.clips_NS,
                formula=self.noise.formula,
                has_noise_BV=has_noise_BV[rows],
                row_BV=values["noise_row_BV"][rows],
                share_BV=values["noise_share_BV"][rows],
                snr_db_BV=snr_db_BV[rows],
            )
            rounded = (mixed * INT16_FULL_SCALE).round()
            num_clipped_B[rows] = ((rounded < -32768) | (rounded > 32767)).sum(dim=1)
            wave_BT[rows] = rounded.clamp(-32768, 32767).to(torch.int16)
        return NoisyBatch(
            batch=replace(batch, wave_BT=wave_BT),
            snr_db_B=snr_db_BV[:, 0].where(has_noise_BV[:, 0] > 0, torch.inf),
            num_clipped_B=num_clipped_B,
        )
