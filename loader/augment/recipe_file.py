"""Recipes as TOML files: strict keys, and errors that name file, table and key.

    remove_mean = true
    [gain]
    min_db = -6
    max_db = 6
    [noise]
    p = 0.5
    [noise.kinds.music]
    min_snr_db = 5
    max_snr_db = 15

Tables are the attributes of `AugmentRecipe`; an operation without a table is off.
"""

import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from loader.augment.recipe import AugmentRecipe
from loader.augment.recipe_wave import NoiseKind
from shardwriter.errors import ConfigError

NAMES = ("audioset", "esc50", "speech_commands", "voxceleb")

_Value = TypeVar("_Value")


def recipe(name: str) -> AugmentRecipe:
    """Return a published recipe; its file says where each value comes from.

    Raises:
        ValueError: there is no such recipe.
    """
    if name not in NAMES:
        raise ValueError(f"no recipe {name!r}; there are {', '.join(NAMES)}")
    file = resources.files("loader.augment") / "recipes" / f"{name}.toml"
    return parse_recipe(file.read_text(encoding="utf-8"), where=f"recipe {name}")


def load_recipe(path: str | Path) -> AugmentRecipe:
    """Read a recipe from a TOML file.

    Raises:
        ConfigError: the file can't be read, is no TOML, or has a wrong key or value.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"recipe {path}: can't be read: {err}") from err
    return parse_recipe(text, where=f"recipe {path}")


def parse_recipe(text: str, *, where: str) -> AugmentRecipe:
    """Read a recipe from TOML text; `where` begins the messages.

    Raises:
        ConfigError: as in `load_recipe`.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"{where}: not TOML: {err}") from err
    return _value_of(AugmentRecipe, table, where=where)


def _value_of(kind: type[_Value], table: Mapping[str, Any], *, where: str) -> _Value:
    """Return the dataclass that a table stands for."""
    types_of = typing.get_type_hints(kind)
    unknown = sorted(set(table) - set(types_of))
    if unknown:
        raise ConfigError(
            f"{where}: unknown key {unknown[0]!r}; there are {', '.join(sorted(types_of))}"
        )
    missing = [
        field.name
        for field in fields(typing.cast(Any, kind))
        if field.default is MISSING and field.name not in table
    ]
    if missing:
        raise ConfigError(f"{where}: the key {missing[0]!r} is missing")
    values = {
        name: _entry(types_of[name], value, where=f"{where}, {name}")
        for name, value in table.items()
    }
    try:
        return kind(**values)
    except ValueError as err:
        raise ConfigError(f"{where}: {err}") from err


def _entry(expected: Any, value: object, *, where: str) -> Any:
    if isinstance(expected, types.UnionType):
        expected = next(kind for kind in typing.get_args(expected) if kind is not type(None))
    if expected == tuple[tuple[str, NoiseKind], ...]:
        kinds = _table(value, where=where)
        return tuple(
            (name, _value_of(NoiseKind, _table(kind, where=f"{where}.{name}"), where=where))
            for name, kind in kinds.items()
        )
    if is_dataclass(expected):
        return _value_of(typing.cast(type, expected), _table(value, where=where), where=where)
    if expected == tuple[float, ...]:
        if not isinstance(value, list):
            raise ConfigError(f"{where}: expected a list of numbers, got {value!r}")
        return tuple(_scalar(float, item, where=where) for item in value)
    if typing.get_origin(expected) is typing.Literal:
        expected = str
    return _scalar(expected, value, where=where)


def _table(value: object, *, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a table, got {value!r}")
    return value


def _scalar(expected: type, value: object, *, where: str) -> Any:
    if expected is float and type(value) is int:
        return float(value)
    # Not isinstance: True is an int in Python; as a count it is a mistake.
    if type(value) is not expected:
        raise ConfigError(f"{where}: expected {_NOUNS[expected]}, got {value!r}")
    return value


_NOUNS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
