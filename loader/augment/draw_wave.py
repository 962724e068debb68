"""Draws what is done to each wave. Pure, on the host.

Axes: B samples, K equaliser bands, V voices of noise.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from loader.augment.draws import Draws, log_within, whole_within, within
from loader.augment.parameters import WaveParameters
from loader.augment.recipe import AugmentRecipe
from loader.augment.recipe_wave import BandPass, Equalizer, Noise, Response
from loader.randomness import Operation

_Columns = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BankRows:
    """Which rows of the banks there are to choose from.

    Attributes:
        noise: Kind → (first row, number of rows).
        num_devices: Rows of device responses.
        num_rooms: Rows of room responses.
    """

    noise: Mapping[str, tuple[int, int]]
    num_devices: int = 0
    num_rooms: int = 0


def draw_wave(
    draws: Draws, recipe: AugmentRecipe, rows: BankRows, *, sample_rate_hz: int
) -> WaveParameters:
    """Return the parameters of each sample's wave, on the CPU."""
    room_B, noise_B = _room_and_noise(draws, recipe)
    columns: _Columns = {
        **_speed_and_roll(draws, recipe, sample_rate_hz=sample_rate_hz),
        "factor_B": _factor(draws, recipe),
        **_equalizer(draws, recipe.equalizer),
        **_band_pass(draws, recipe.band_pass),
        "has_device_B": _happens(draws, Operation.DEVICE, recipe.device),
        "device_row_B": _row(draws, Operation.DEVICE, rows.num_devices),
        "has_room_B": room_B,
        "room_row_B": _row(draws, Operation.ROOM, rows.num_rooms),
        **_noise(draws, recipe.noise, noise_B, rows.noise),
        **_white_noise(draws, recipe),
    }
    return WaveParameters(
        **{name: torch.from_numpy(value.astype(np.float32)) for name, value in columns.items()}
    )


def _speed_and_roll(draws: Draws, recipe: AugmentRecipe, *, sample_rate_hz: int) -> _Columns:
    nothing_B = np.zeros(len(draws))
    columns = {
        "speed_index_B": nothing_B,
        "roll_samples_B": nothing_B,
        "roll_share_B": nothing_B,
    }
    if recipe.speed is not None:
        uniform_B = draws.uniforms(Operation.SPEED, 1)[:, 0]
        columns["speed_index_B"] = np.floor(uniform_B * len(recipe.speed.factors))
    if recipe.roll is not None:
        on_B, uniform_B = draws.uniforms(Operation.ROLL, 2).T
        on_B = on_B < recipe.roll.p
        if recipe.roll.max_seconds is None:
            columns["roll_share_B"] = on_B * uniform_B
        else:
            furthest = int(recipe.roll.max_seconds * sample_rate_hz)
            columns["roll_samples_B"] = on_B * whole_within(uniform_B, -furthest, furthest)
    return columns


def _factor(draws: Draws, recipe: AugmentRecipe) -> NDArray[np.float64]:
    factor_B = np.ones(len(draws))
    if recipe.gain is not None:
        on_B, uniform_B = draws.uniforms(Operation.GAIN, 2).T
        gain_db_B = within(uniform_B, recipe.gain.min_db, recipe.gain.max_db)
        factor_B = np.where(on_B < recipe.gain.p, 10.0 ** (gain_db_B / 20.0), factor_B)
    if recipe.polarity is not None:
        on_B = draws.uniforms(Operation.POLARITY, 1)[:, 0]
        factor_B = np.where(on_B < recipe.polarity.p, -factor_B, factor_B)
    return factor_B


def _equalizer(draws: Draws, equalizer: Equalizer | None) -> _Columns:
    if equalizer is None:
        nothing_BK = np.zeros((len(draws), 0))
        return {f"equalizer_{name}_BK": nothing_BK for name in ("hz", "db", "q")}
    num_bands = equalizer.num_bands
    uniform = draws.uniforms(Operation.EQUALIZER, 1 + 3 * num_bands)
    # Three numbers for each band in turn, so that more bands leave the first ones as they are.
    hz_BK, db_BK, q_BK = np.moveaxis(uniform[:, 1:].reshape(-1, num_bands, 3), 2, 0)
    is_on_B = uniform[:, :1] < equalizer.p
    return {
        "equalizer_hz_BK": log_within(hz_BK, equalizer.min_hz, equalizer.max_hz),
        "equalizer_db_BK": is_on_B * within(db_BK, equalizer.min_db, equalizer.max_db),
        "equalizer_q_BK": log_within(q_BK, equalizer.min_q, equalizer.max_q),
    }


def _band_pass(draws: Draws, band: BandPass | None) -> _Columns:
    if band is None:
        nothing_B = np.zeros(len(draws))
        return {"has_band_pass_B": nothing_B, "low_hz_B": nothing_B, "high_hz_B": nothing_B}
    on_B, low_B, high_B = draws.uniforms(Operation.BAND_PASS, 3).T
    return {
        "has_band_pass_B": (on_B < band.p).astype(np.float64),
        "low_hz_B": log_within(low_B, band.min_low_hz, band.max_low_hz),
        "high_hz_B": log_within(high_B, band.min_high_hz, band.max_high_hz),
    }


def _room_and_noise(
    draws: Draws, recipe: AugmentRecipe
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return which samples get a room, and which get noise."""
    room_B = _happens(draws, Operation.ROOM, recipe.room)
    noise_B = _happens(draws, Operation.NOISE, recipe.noise)
    if recipe.room_or_noise and recipe.room is not None and recipe.noise is not None:
        uniform_B = draws.uniforms(Operation.ROOM, 1)[:, 0]
        is_noise_B = (uniform_B >= recipe.room.p) & (uniform_B < recipe.room.p + recipe.noise.p)
        noise_B = is_noise_B.astype(np.float64)
    return room_B, noise_B


def _noise(
    draws: Draws,
    noise: Noise | None,
    on_B: NDArray[np.float64],
    rows_of: Mapping[str, tuple[int, int]],
) -> _Columns:
    names = ("has_noise_BV", "noise_row_BV", "noise_share_BV", "snr_db_BV")
    if noise is None:
        return dict.fromkeys(names, np.zeros((len(draws), 0)))
    return draw_noise(draws, noise, on_B, rows_of, operation=Operation.NOISE)


def draw_noise(
    draws: Draws,
    noise: Noise,
    on_B: NDArray[np.float64],
    rows_of: Mapping[str, tuple[int, int]],
    *,
    operation: Operation,
) -> _Columns:
    """Return kind, clips, places and SNRs of the noise; number 0 of the operation is `on_B`'s."""
    kinds = [kind for _, kind in noise.kinds]
    num_voices = max(kind.max_voices for kind in kinds)
    uniform = draws.uniforms(operation, 3 + 3 * num_voices)
    bounds = np.cumsum([kind.weight for kind in kinds])
    kind_B = np.searchsorted(bounds, uniform[:, 1] * bounds[-1], side="right")
    kind_B = np.minimum(kind_B, len(kinds) - 1)

    def of_kind(values: list[float]) -> NDArray[np.float64]:
        value_B: NDArray[np.float64] = np.array(values, dtype=np.float64)[kind_B]
        return value_B

    voices_B = of_kind([kind.min_voices for kind in kinds]) + np.floor(
        uniform[:, 2] * of_kind([kind.max_voices - kind.min_voices + 1 for kind in kinds])
    )
    row_BV, share_BV, snr_BV = np.moveaxis(uniform[:, 3:].reshape(-1, num_voices, 3), 2, 0)
    first_B = of_kind([rows_of[name][0] for name, _ in noise.kinds])
    count_B = of_kind([rows_of[name][1] for name, _ in noise.kinds])
    low_B = of_kind([kind.min_snr_db for kind in kinds])
    high_B = of_kind([kind.max_snr_db for kind in kinds])
    return {
        "has_noise_BV": on_B[:, None] * (np.arange(num_voices) < voices_B[:, None]),
        "noise_row_BV": first_B[:, None] + np.floor(row_BV * count_B[:, None]),
        "noise_share_BV": share_BV,
        "snr_db_BV": low_B[:, None] + snr_BV * (high_B - low_B)[:, None],
    }


def _white_noise(draws: Draws, recipe: AugmentRecipe) -> _Columns:
    white = recipe.white_noise
    if white is None:
        nothing_B = np.zeros(len(draws))
        return {"white_rms_B": nothing_B, "white_share_B": nothing_B}
    on_B, level_B, share_B = draws.uniforms(Operation.WHITE_NOISE, 3).T
    rms_B = 10.0 ** (within(level_B, white.min_dbfs, white.max_dbfs) / 20.0)
    return {"white_rms_B": (on_B < white.p) * rms_B, "white_share_B": share_B}


def _happens(
    draws: Draws, operation: Operation, setting: Response | Noise | None
) -> NDArray[np.float64]:
    if setting is None:
        return np.zeros(len(draws))
    return (draws.uniforms(operation, 1)[:, 0] < setting.p).astype(np.float64)


def _row(draws: Draws, operation: Operation, num_rows: int) -> NDArray[np.float64]:
    return np.floor(draws.uniforms(operation, 2)[:, 1] * num_rows)
