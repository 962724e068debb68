"""Draws what is done to each spectrogram, and who is mixed with whom. Pure, on the host.

Axes: B samples, M mel bands, J masks, E edges of bands, X 1.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loader.augment.draws import Draws, whole_within, within
from loader.augment.parameters import MelParameters, MixParameters
from loader.augment.recipe import AugmentRecipe
from loader.augment.recipe_mel import FilterAugment
from loader.randomness import Operation


def draw_mix(draws: Draws, recipe: AugmentRecipe) -> MixParameters:
    """Return partner and weight of each sample, on the CPU."""
    mix = recipe.mix
    partner_B = _partners(draws, Operation.MIX_PARTNER)
    weight_B = np.ones(len(draws))
    if mix is not None:
        is_on_B = draws.uniforms(Operation.MIX, 1)[:, 0] < mix.p
        # A sample that is its own partner, alone in its batch, stays as it is.
        is_on_B &= partner_B != np.arange(len(draws))
        drawn_B = draws.symmetric_beta(Operation.MIX, mix.alpha)
        drawn_B = np.maximum(drawn_B, 1.0 - drawn_B) if mix.keep_larger else drawn_B
        weight_B = np.where(is_on_B, drawn_B, 1.0)
    return MixParameters(partner_B=_float32(partner_B), weight_B=_float32(weight_B))


def draw_mel(draws: Draws, recipe: AugmentRecipe, *, num_mels: int) -> MelParameters:
    """Return the parameters of each sample's spectrogram, on the CPU."""
    style = recipe.freq_mix_style
    style_partner_B = _partners(draws, Operation.FREQ_MIX_STYLE_PARTNER)
    style_weight_B = np.ones(len(draws))
    if style is not None:
        is_on_B = draws.uniforms(Operation.FREQ_MIX_STYLE, 1)[:, 0] < style.p
        drawn_B = draws.symmetric_beta(Operation.FREQ_MIX_STYLE, style.alpha)
        style_weight_B = np.where(is_on_B, drawn_B, 1.0)
    filter_db_BM = np.zeros((len(draws), num_mels))
    if recipe.filter_augment is not None:
        filter_db_BM = _filter_db(draws, recipe.filter_augment, num_mels=num_mels)
    masks = recipe.spec_augment
    num_masks = 0
    has_masks_B = np.zeros(len(draws))
    if masks is not None:
        num_masks = masks.num_time_masks + masks.num_band_masks + masks.num_cutouts
    uniform = draws.uniforms(Operation.SPEC_AUGMENT, 1 + 4 * num_masks)
    if masks is not None:
        has_masks_B = (uniform[:, 0] < masks.p).astype(np.float64)
    return MelParameters(
        style_partner_B=_float32(style_partner_B),
        style_weight_B=_float32(style_weight_B),
        filter_db_BM=_float32(filter_db_BM),
        has_masks_B=_float32(has_masks_B),
        mask_BJQ=_float32(uniform[:, 1:].reshape(len(draws), num_masks, 4)),
    )


def _partners(draws: Draws, operation: Operation) -> NDArray[np.int64]:
    """Return each row's partner: the next in a random circle, that the keys alone decide.

    So the pairs depend on which samples are in the batch, and not on their order in it.
    """
    order_B = np.lexsort((draws.ids_B, draws.uniforms(operation, 1)[:, 0]))
    partner_B = np.empty(len(draws), dtype=np.int64)
    partner_B[order_B] = np.roll(order_B, -1)
    return partner_B


def _filter_db(draws: Draws, setting: FilterAugment, *, num_mels: int) -> NDArray[np.float64]:
    """Return each mel band's gain in dB; the bands fit into the mels, see `Augmenter`."""
    most = setting.max_bands
    uniform = draws.uniforms(Operation.FILTER_AUGMENT, 2 + (most - 1) + (most + 1))
    is_on_B = uniform[:, :1] < setting.p
    num_bands_B = whole_within(uniform[:, 1:2], setting.min_bands, most)
    edge_BE = _edges(uniform[:, 2 : most + 1], num_bands_B, setting, num_mels=num_mels)
    gain_db_BE = within(uniform[:, most + 1 :], setting.min_db, setting.max_db)
    mel_M = np.arange(num_mels)
    band_BM = (edge_BE[:, 1:-1, None] <= mel_M).sum(axis=1)
    left_db_BM = np.take_along_axis(gain_db_BE, band_BM, axis=1)
    if setting.shape == "step":
        return is_on_B * left_db_BM
    right_db_BM = np.take_along_axis(gain_db_BE, band_BM + 1, axis=1)
    left_BM = np.take_along_axis(edge_BE, band_BM, axis=1)
    right_BM = np.take_along_axis(edge_BE, band_BM + 1, axis=1)
    share_BM = (mel_M - left_BM) / (right_BM - left_BM)
    return is_on_B * (left_db_BM + share_BM * (right_db_BM - left_db_BM))


def _edges(
    uniform: NDArray[np.float64],
    num_bands_B: NDArray[np.float64],
    setting: FilterAugment,
    *,
    num_mels: int,
) -> NDArray[np.float64]:
    """Return where bands begin and end: 0, rising edges at least `min_width` apart, `num_mels`.

    A sample with fewer bands than `max_bands` has its last edge at `num_mels` more than once.
    """
    number_E = np.arange(1, setting.max_bands)
    is_used_BE = number_E < num_bands_B
    sorted_BE = np.sort(np.where(is_used_BE, uniform, 1.0), axis=1)
    free_B = num_mels - num_bands_B * setting.min_width
    inner_BE = np.floor(sorted_BE * (free_B + 1)) + number_E * setting.min_width
    inner_BE = np.where(is_used_BE, inner_BE, num_mels)
    first_BX = np.zeros((len(uniform), 1))
    return np.concatenate([first_BX, inner_BE, np.full_like(first_BX, num_mels)], axis=1)


def _float32(values: NDArray[np.float64] | NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
