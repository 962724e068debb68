"""Random numbers for augmentation, drawn on the host: one row for each sample, keyed by it.

Axes: B samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.randomness import Operation, sample_uniforms

_GAMMA_ROUNDS = 16
"""Each accepts with a probability over 0.95, so that none of 16 does happens once in 1e20 times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """The random numbers of some samples in one epoch.

    What is drawn for a sample depends on (seed, epoch, its id, operation) alone: not on the batch
    that it is in, the world size, or what else is drawn.

    Attributes:
        ids_B: Identities of the samples, see `loader.randomness.sample_ids`.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
    """

    ids_B: NDArray[np.uint64]
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.ids_B)

    def uniforms(self, operation: Operation, count: int) -> NDArray[np.float64]:
        """Return `count` numbers in [0, 1) for each sample: (B, count)."""
        return sample_uniforms(
            self.ids_B, seed=self.seed, epoch=self.epoch, operation=operation, count=count
        )

    def symmetric_beta(self, operation: Operation, alpha: float) -> NDArray[np.float64]:
        """Return one number of Beta(alpha, alpha) for each sample.

        The ratio of two gammas (Marsaglia and Tsang, "A simple method for generating gamma
        variables", ACM TOMS 2000), in logarithms so that a small `alpha` doesn't underflow.
        Numbers from place 8 on of the operation are used; those before are the caller's.
        """
        per_gamma = 3 * _GAMMA_ROUNDS + 1
        uniform = self.uniforms(operation, 8 + 2 * per_gamma)[:, 8:]
        log_1_B = _log_gamma_variate(uniform[:, :per_gamma], alpha)
        log_2_B = _log_gamma_variate(uniform[:, per_gamma:], alpha)
        return 1.0 / (1.0 + np.exp(np.clip(log_2_B - log_1_B, -700.0, 700.0)))


def within(uniform: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return numbers in [low, high) from numbers in [0, 1)."""
    return low + uniform * (high - low)


def log_within(uniform: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return numbers in [low, high) whose logarithms are uniform; for frequencies."""
    return low * (high / low) ** uniform


def whole_within(uniform: NDArray[np.float64], low: int, high: int) -> NDArray[np.float64]:
    """Return whole numbers from low to high, both included."""
    return low + np.floor(uniform * (high - low + 1))


def _log_gamma_variate(uniform: NDArray[np.float64], shape: float) -> NDArray[np.float64]:
    """Return the logarithms of one Gamma(shape, 1) number for each row of uniforms."""
    # A shape under 1 is raised by 1 and brought back by the power of one more uniform.
    boosted = shape + 1.0 if shape < 1.0 else shape
    log_boost_B = np.log1p(-uniform[:, 0]) / shape if shape < 1.0 else 0.0
    u_BR = uniform[:, 1:].reshape(len(uniform), -1, 3)
    normal_BR = np.sqrt(-2.0 * np.log1p(-u_BR[..., 0])) * np.cos(2.0 * np.pi * u_BR[..., 1])
    d = boosted - 1.0 / 3.0
    v_BR = (1.0 + normal_BR / np.sqrt(9.0 * d)) ** 3
    positive_BR = v_BR > 0.0
    v_BR = np.where(positive_BR, v_BR, 1.0)
    accepted_BR = positive_BR & (
        np.log1p(-u_BR[..., 2]) < 0.5 * normal_BR**2 + d - d * v_BR + d * np.log(v_BR)
    )
    first_B = accepted_BR.argmax(axis=1)
    log_variate_B: NDArray[np.float64] = np.log(d * v_BR[np.arange(len(v_BR)), first_B])
    return log_variate_B + log_boost_B
