"""Random numbers that depend on what they are for, never on who asks or when.

Two constructions, both counter-based, so that nothing is carried from one call to the next:

- `order_bits`: a stream for shuffling an epoch, from Philox 4x64 keyed by (seed, epoch)
  (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; numpy's `Philox`).
- `sample_bits`: one number per (seed, epoch, sample, operation), from chained applications of
  SplitMix64's finaliser (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
  OOPSLA 2014; constants of Vigna's `splitmix64.c`).

Both use raw 64-bit output only. numpy may change what `Generator.permutation` returns from one
release to the next (NEP 19), the raw bits of Philox it may not: a run resumes on any numpy.

Axes: N samples.
"""

import functools
import hashlib
from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)


class OrderStream(IntEnum):
    """What a shuffling stream is for. A number that is in use never changes its meaning."""

    SHARDS = 0
    SAMPLES = 1
    COPIES = 2
    GROUPS = 3
    VISITS = 4
    DIRECTIONS = 5


class Operation(IntEnum):
    """What a per-sample number is for. A number that is in use never changes its meaning."""

    CROP = 1
    SHIFT = 2

    # Augmentation, from 100 on.
    SPEED = 100
    ROLL = 101
    POLARITY = 102
    GAIN = 103
    EQUALIZER = 104
    BAND_PASS = 105
    DEVICE = 106
    ROOM = 107
    NOISE = 108
    WHITE_NOISE = 109
    MIX = 110
    MIX_PARTNER = 111
    SPEC_AUGMENT = 112
    FILTER_AUGMENT = 113
    FREQ_MIX_STYLE = 114
    FREQ_MIX_STYLE_PARTNER = 115
    BANK_CLIP = 116
    BANK_SEGMENT = 117

    # Noise that the loader mixes in, from 200 on.
    LOADER_NOISE = 200
    LOADER_NOISE_CLIP = 201
    LOADER_NOISE_START = 202
    LOADER_NOISE_SNR = 203


def order_bits(
    num_values: int, *, seed: int, epoch: int, stream: OrderStream
) -> NDArray[np.uint64]:
    """Return `num_values` random 64-bit numbers for shuffling one epoch."""
    counter = np.array([0, 0, 0, stream], dtype=np.uint64)
    key = np.array([seed, epoch], dtype=np.uint64)
    bits: NDArray[np.uint64] = np.random.Philox(key=key, counter=counter).random_raw(num_values)
    return bits


def sample_ids(
    keys: Sequence[str], copies_N: NDArray[np.int64] | None = None
) -> NDArray[np.uint64]:
    """Return a stable 64-bit identity for each key: BLAKE2b of its UTF-8 form, little endian.

    It depends on the key alone, so a sample keeps its randomness when shards are cut anew.

    Args:
        keys: The samples' keys.
        copies_N: Which of the epoch's copies of its clip each is (`AudioBatch.copy_B`): each has
            an identity of its own, the first that of the key.
    """
    digests = b"".join(hashlib.blake2b(key.encode(), digest_size=8).digest() for key in keys)
    ids_N = np.frombuffer(digests, dtype="<u8").astype(np.uint64)
    if copies_N is None:
        return ids_N
    numbers_N = copies_N.astype(np.uint64)
    return np.where(numbers_N == 0, ids_N, _mix(ids_N ^ _mix(numbers_N)))


def sample_bits(
    ids_N: NDArray[np.uint64], *, seed: int, epoch: int, operation: Operation
) -> NDArray[np.uint64]:
    """Return one random 64-bit number for each sample.

    The same four arguments give the same number on any world size, thread or resume; changing any
    one of them gives an independent number.
    """
    return _mix(_state_of(seed, epoch, operation) ^ ids_N)


def sample_uniform(
    ids_N: NDArray[np.uint64], *, seed: int, epoch: int, operation: Operation
) -> NDArray[np.float64]:
    """Return one number in [0, 1) for each sample, a multiple of 2**-53."""
    bits_N = sample_bits(ids_N, seed=seed, epoch=epoch, operation=operation)
    return (bits_N >> np.uint64(11)).astype(np.float64) * 2.0**-53


def sample_uniforms(
    ids_N: NDArray[np.uint64], *, seed: int, epoch: int, operation: Operation, count: int
) -> NDArray[np.float64]:
    """Return `count` numbers in [0, 1) for each sample, an array (N, count).

    Each row is the output of SplitMix64 from the state that `sample_bits` gives, so more numbers
    leave the first ones as they are.
    """
    state_N = sample_bits(ids_N, seed=seed, epoch=epoch, operation=operation)
    bits = _mix(state_N[:, None] + np.arange(count, dtype=np.uint64) * _GOLDEN)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


@functools.lru_cache(maxsize=256)
def _state_of(seed: int, epoch: int, operation: Operation) -> NDArray[np.uint64]:
    """Return what the numbers of an epoch have in common, which each batch asks for."""
    state = np.zeros(1, dtype=np.uint64)
    for word in (seed, epoch, int(operation)):
        state = _mix(state ^ np.uint64(word))
    state.flags.writeable = False
    return state


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's next output from each state: a bijection that spreads every bit."""
    state = state + _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * _MULTIPLIER_1
    state = (state ^ (state >> np.uint64(27))) * _MULTIPLIER_2
    return state ^ (state >> np.uint64(31))
