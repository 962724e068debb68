"""Augmentation of whole batches, on the device: the same for a sample wherever it is trained on.

recipe, recipe_file, recipes/  what to do, as values and as TOML
recipe_wave, recipe_mix, recipe_mel  the operations and their settings
draws                keyed random numbers
draw_wave, draw_mel  numbers → parameters, on the host
parameters           what was drawn, moved to the device at once
wave                 speed, roll, gain, filters, rooms, noise, in order
noise, responses, speed, segments, rows  its parts
mixing               mixup and energy-aware mixing, and targets
mel                  Freq-MixStyle, FilterAugment, SpecAugment
bank_plan, clip_bank, background, banks  noises and responses from shards
augmenter            Augmenter, which puts these together
"""

from loader.augment.augmenter import Augmenter
from loader.augment.banks import Banks
from loader.augment.clip_bank import BankSettings, ClipBank
from loader.augment.mel import units_per_db
from loader.augment.parameters import AugmentParameters
from loader.augment.recipe import AugmentRecipe
from loader.augment.recipe_file import load_recipe, parse_recipe, recipe

__all__ = [
    "AugmentParameters",
    "AugmentRecipe",
    "Augmenter",
    "BankSettings",
    "Banks",
    "ClipBank",
    "load_recipe",
    "parse_recipe",
    "recipe",
    "units_per_db",
]
