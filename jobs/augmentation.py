"""The augmentation of a training: its recipe, and the banks of noises and responses that it needs.

`--noise`, `--rirs` and `--device-irs` name the datasets of shards that the recipe's tables `noise`,
`room` and `device` take clips from. Each rank has the same banks: which clips they hold in an epoch
depends on (dataset, seed, epoch).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass

import torch

from jobs.bank_options import BANK_FLAGS, BankOptions, BankSource
from jobs.recipe import Recipe
from loader.augment import AugmentRecipe, Banks, BankSettings, ClipBank, load_recipe
from loader.augment import recipe as augment_recipe
from loader.augment.recipe_file import NAMES
from shardwriter.errors import ConfigError
from shardwriter.manifest import load_manifest
from shardwriter.storage import S3Options, Store, open_store

_NOISE_SECONDS = 20.0
_EVERY_CLIP = "all"
"""The kind of noise that is every clip, whatever its labels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Augmentation:
    """What is done to training clips."""

    recipe: AugmentRecipe | None = None
    banks: Banks = field(default_factory=Banks)
    description: Mapping[str, str] = field(default_factory=dict)
    """Flag → what decides it, content included: a resumed run must have the same."""

    @property
    def num_speeds(self) -> int:
        """How many classes a class becomes, because clips at other speeds are others'."""
        speed = None if self.recipe is None else self.recipe.speed
        return len(speed.factors) if speed is not None and speed.new_classes else 1


def open_augmentation(
    recipe: Recipe,
    options: BankOptions,
    *,
    sample_rate_hz: int,
    seed: int,
    device: torch.device,
    s3: S3Options | None = None,
) -> Augmentation:
    """Open a recipe's augmentation and its banks; of these no audio is read yet.

    Args:
        recipe: Its `augment` names what is done.
        options: Where the banks are filled from.
        sample_rate_hz: Rate of the clips that are trained on.
        seed: Decides the clips of the banks, the same on each rank.
        device: Where the banks are to lie.
        s3: How to reach datasets on S3.

    Raises:
        ConfigError: there is no such augmentation, it needs a bank that was not given, one was
            given that it doesn't need, or that doesn't fit.
    """
    augment = _named(recipe.augment) if recipe.augment else None
    _check_sources(recipe.augment, augment, options, sample_rate_hz=sample_rate_hz)
    if augment is None:
        return Augmentation()
    _check_speed(recipe.augment, augment)
    banks: dict[str, ClipBank] = {}
    description = {"augment": described(augment)}
    for name, source in options.sources.items():
        flag, *_ = BANK_FLAGS[name]
        try:
            bank, digest = _open_bank(
                name,
                source,
                augment,
                store=open_store(source.url, s3),
                settings=_settings(name, options, seed=seed, crop_seconds=recipe.crop_seconds),
                device=device,
            )
        except (ConfigError, ValueError) as err:
            raise ConfigError(f"{flag} {source.url}: {err}") from err
        if bank.sample_rate_hz != sample_rate_hz:
            raise ConfigError(
                f"{flag} {source.url} has {bank.sample_rate_hz} Hz, what is trained on has "
                f"{sample_rate_hz} Hz; ingest it with --sample-rate {sample_rate_hz}"
            )
        banks[name] = bank
        description[flag.removeprefix("--")] = f"{digest}, {bank.kinds}"
    return Augmentation(recipe=augment, banks=Banks(**banks), description=description)


def contents(banks: Banks) -> dict[str, str]:
    """Return what each bank holds at a time, in words."""
    found = {"noise": banks.noise, "room responses": banks.room, "device responses": banks.device}
    return {
        name: ", ".join(f"{size} {kind}" for kind, (_, size) in bank.kinds.items()) + " at a time"
        for name, bank in found.items()
        if bank is not None
    }


def described(value: object) -> str:
    """Return a recipe, or a part of one, in a line that says what differs from the defaults.

    So a checkpoint still fits when a later version knows settings that this one doesn't.
    """
    if isinstance(value, tuple):
        return f"({', '.join(map(described, value))})"
    if not is_dataclass(value):
        return repr(value)
    values = {each.name: (each.default, getattr(value, each.name)) for each in fields(value)}
    changed = [
        f"{name}={described(given)}"
        for name, (default, given) in values.items()
        if given != default
    ]
    return f"{type(value).__name__}({', '.join(changed)})"


def _named(name: str) -> AugmentRecipe:
    return augment_recipe(name) if name in NAMES else load_recipe(name)


def _check_sources(
    name: str, augment: AugmentRecipe | None, options: BankOptions, *, sample_rate_hz: int
) -> None:
    """Refuse a bank that is missing, or that nothing is taken from."""
    for table, (flag, *_) in BANK_FLAGS.items():
        is_needed = augment is not None and getattr(augment, table) is not None
        source = options.sources.get(table)
        if is_needed and source is None:
            labels = _kinds(augment) if table == "noise" else None
            with_labels = f" with the labels {', '.join(labels)}" if labels else ""
            raise ConfigError(
                f"--augment {name} has [{table}]: give {flag} URL, a dataset of shards of "
                f"{sample_rate_hz} Hz{with_labels}; or leave [{table}] out of a file of your own"
            )
        if source is not None and not is_needed:
            by = f"--augment {name} has no [{table}]" if name else "there is no --augment"
            raise ConfigError(f"{flag} {source.url} is of no use: {by}")


def _kinds(augment: AugmentRecipe | None) -> dict[str, tuple[str, ...]] | None:
    """Return the recipe's kinds of noise, each with its label; None if it takes every clip."""
    if augment is None or augment.noise is None:
        return None
    names = [kind for kind, _ in augment.noise.kinds]
    return None if names == [_EVERY_CLIP] else {kind: (kind,) for kind in names}


def _check_speed(name: str, augment: AugmentRecipe) -> None:
    speed = augment.speed
    if speed is not None and speed.new_classes and speed.factors[0] != 1.0:
        raise ConfigError(
            f"--augment {name}: with new_classes, the first of the factors must be 1.0, the speed "
            f"that is tested, got {speed.factors[0]:g}"
        )


def _settings(name: str, options: BankOptions, *, seed: int, crop_seconds: float) -> BankSettings:
    # A response can't reach beyond the clip.
    seconds = max(_NOISE_SECONDS, crop_seconds) if name == "noise" else crop_seconds
    return BankSettings(
        purpose="noise" if name == "noise" else "response",
        segment_seconds=seconds,
        byte_budget=options.num_bytes,
        seed=seed,
    )


def _open_bank(
    name: str,
    source: BankSource,
    augment: AugmentRecipe,
    *,
    store: Store,
    settings: BankSettings,
    device: torch.device,
) -> tuple[ClipBank, str]:
    """Return a bank, and what identifies the clips that it is filled from."""
    manifest = load_manifest(store)
    splits = source.splits or tuple(sorted(manifest.splits))
    kinds = _kinds(augment) if name == "noise" else None
    bank = ClipBank.from_dataset(
        source.url, split=splits, kinds=kinds, settings=settings, device=device, store=store
    )
    return bank, f"{manifest.digest[:16]} {'+'.join(splits)}"
