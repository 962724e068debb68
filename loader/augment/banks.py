"""The banks that a recipe draws from, and whether they fit it."""

from dataclasses import dataclass

from loader.augment.clip_bank import ClipBank
from loader.augment.draw_wave import BankRows
from loader.augment.recipe import AugmentRecipe
from shardwriter.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Banks:
    """The banks that a recipe draws from.

    Attributes:
        noise: Noises, with the kinds that the recipe names.
        device: Impulse responses of devices.
        room: Impulse responses of rooms.
    """

    noise: ClipBank | None = None
    device: ClipBank | None = None
    room: ClipBank | None = None

    @property
    def rows(self) -> BankRows:
        """Which rows there are to choose from."""
        return BankRows(
            noise={} if self.noise is None else self.noise.kinds,
            num_devices=_num_rows(self.device),
            num_rooms=_num_rows(self.room),
        )

    def check_fit(self, recipe: AugmentRecipe, *, sample_rate_hz: int) -> None:
        """Refuse banks that a recipe can't draw from.

        Raises:
            ConfigError: one is missing, has another sample rate, or lacks a kind of noise.
        """
        for name in ("noise", "device", "room"):
            bank: ClipBank | None = getattr(self, name)
            if getattr(recipe, name) is not None and bank is None:
                raise ConfigError(
                    f"the recipe has {name}, and there is no bank of it: pass "
                    f"Banks({name}=ClipBank.from_dataset(...)), or take {name} out of the recipe"
                )
            if bank is not None and bank.sample_rate_hz != sample_rate_hz:
                raise ConfigError(
                    f"the bank for {name} has {bank.sample_rate_hz} Hz, the waves have "
                    f"{sample_rate_hz} Hz; ingest its dataset at {sample_rate_hz} Hz"
                )
        if recipe.noise is not None and self.noise is not None:
            unknown = sorted({kind for kind, _ in recipe.noise.kinds} - set(self.noise.kinds))
            if unknown:
                raise ConfigError(
                    f"the recipe has noise of kind {unknown[0]!r}, the bank has "
                    f"{', '.join(self.noise.kinds)}; pass kinds= to ClipBank.from_dataset"
                )


def _num_rows(bank: ClipBank | None) -> int:
    return 0 if bank is None else sum(size for _, size in bank.kinds.values())
