from dataclasses import fields

import pytest
import torch

from loader.augment.draw_mel import draw_mel, draw_mix
from loader.augment.draw_wave import BankRows, draw_wave
from loader.augment.draws import Draws
from loader.augment.parameters import AugmentParameters
from loader.augment.recipe import AugmentRecipe
from loader.randomness import sample_ids
from tests.loader.augment.makers import EVERYTHING, KINDS, RATE_HZ


def drawn(recipe: AugmentRecipe, num_rows: int) -> AugmentParameters:
    draws = Draws(ids_B=sample_ids([str(row) for row in range(num_rows)]), seed=0, epoch=0)
    rows = BankRows(noise=KINDS, num_devices=3, num_rooms=4)
    return AugmentParameters(
        epoch=0,
        wave=draw_wave(draws, recipe, rows, sample_rate_hz=RATE_HZ),
        mix=draw_mix(draws, recipe),
        mel=draw_mel(draws, recipe, num_mels=64),
    )


@pytest.mark.parametrize("recipe", [EVERYTHING, AugmentRecipe()], ids=["everything", "nothing"])
@pytest.mark.parametrize("num_rows", [1, 5])
def test_all_values_travel_as_one_matrix_and_come_out_as_they_were(
    recipe: AugmentRecipe, num_rows: int
) -> None:
    parameters = drawn(recipe, num_rows)
    table_BP = parameters.packed_BP()
    assert table_BP.dtype == torch.float32
    assert len(table_BP) == num_rows
    got = parameters.unpacked(table_BP.clone())
    for part in ("wave", "mix", "mel"):
        before, after = getattr(parameters, part), getattr(got, part)
        for field in fields(before):
            assert torch.equal(getattr(after, field.name), getattr(before, field.name)), field.name
            assert getattr(after, field.name).shape == getattr(before, field.name).shape


def test_parameters_can_move_to_another_device() -> None:
    parameters = drawn(EVERYTHING, 3)
    assert parameters.to("cpu") is parameters
    moved = parameters.to("meta")
    assert moved.wave.snr_db_BV.device.type == "meta"
    assert moved.mel.mask_BJQ.shape == parameters.mel.mask_BJQ.shape
