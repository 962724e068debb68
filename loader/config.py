"""Settings of a loader, refused early where they are wrong."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

Crop = Literal["random", "start", "center"]
Tail = Literal["drop", "pad", "cycle"]

MAX_SEED = 2**64 - 1
MAX_FETCH_CONNECTIONS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderConfig:
    """What to load, and how. Everything that decides the order and the crops stands here."""

    url: str
    """Where the dataset lies: a folder, or any URL that `shardwriter.storage.open_store` takes."""
    split: str
    batch_size: int
    """Rows in a batch, on each rank."""
    crop_seconds: float | None
    """Length of the window cut from each clip; `None` pads all to the selection's longest clip."""
    crop: Crop = "random"
    """Where the window lies in a clip that is longer than it."""
    seed: int = 0
    shuffle: bool = True
    folds: tuple[int, ...] | None = None
    """Keep only the samples of these folds; `None` keeps all."""
    tail: Tail = "drop"
    """What becomes of the samples that don't fill a step on all ranks: dropped; padded with
    repeats that `is_padding_B` marks; or topped up from the start of the same order."""
    num_threads: int = 2
    prefetch_batches: int = 4
    """Batches being made while the training loop holds one."""
    open_shards: int = 16
    """Shards whose samples are mixed with each other; also the bound on open files."""
    verify_checksums: bool = True
    pin_memory: bool | None = None
    """Whether batches lie in pinned memory; `None` means: when CUDA is there."""
    cache_dir: str | None = None
    """A folder on a local disk where all processes of a node keep the shards of remote datasets;
    `None` streams them each time, one request a clip. May be shared by datasets and runs."""
    cache_bytes: int = 100 << 30
    """Bound on the cache. It works best with room for `2 * open_shards` shards."""
    fetch_memory_bytes: int = 256 << 20
    """Bound on the encoded audio of remote shards held in memory ahead of the batches."""
    fetch_connections: int = 32
    """Requests to a remote store at a time; halved whenever it throttles."""
    fetch_timeout_seconds: float = 300.0
    """How long bytes may stay away, all retries included, before that is an error."""

    def __post_init__(self) -> None:
        """Refuse what can't work.

        Raises:
            ValueError: with the value, its bound and the way out.
        """
        _check_texts(self)
        _check_numbers(self)
        _check_choices(self)
        _check_folds(self.folds)
        _check_fetching(self)


def _check_texts(config: LoaderConfig) -> None:
    for name in ("url", "split"):
        value = getattr(config, name)
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} must be a non-empty text, got {value!r}")


def _check_numbers(config: LoaderConfig) -> None:
    for name in ("batch_size", "num_threads", "prefetch_batches", "open_shards"):
        value = getattr(config, name)
        if not _is_int(value) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    if not _is_int(config.seed) or not 0 <= config.seed <= MAX_SEED:
        raise ValueError(f"seed must be a whole number in 0..2**64-1, got {config.seed!r}")
    seconds: object = config.crop_seconds
    if seconds is not None and not (
        isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and 0 < seconds < math.inf
    ):
        raise ValueError(
            f"crop_seconds must be a finite number above 0, got {seconds!r}; "
            "None pads every clip to the longest"
        )


def _check_choices(config: LoaderConfig) -> None:
    for name, choices in (("crop", get_args(Crop)), ("tail", get_args(Tail))):
        value = getattr(config, name)
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    for name in ("shuffle", "verify_checksums"):
        value = getattr(config, name)
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False, got {value!r}")
    if config.pin_memory is not None and not isinstance(config.pin_memory, bool):
        raise ValueError(f"pin_memory must be True, False or None, got {config.pin_memory!r}")


def _check_folds(folds: object) -> None:
    if folds is None:
        return
    if not isinstance(folds, tuple) or not folds or not all(_is_int(fold) for fold in folds):
        raise ValueError(
            f"folds must be a non-empty tuple of whole numbers, got {folds!r}; "
            "None keeps every sample"
        )
    if len(set(folds)) != len(folds):
        raise ValueError(f"folds must not repeat, got {folds!r}")


def _check_fetching(config: LoaderConfig) -> None:
    folder: object = config.cache_dir
    if folder is not None and (not isinstance(folder, str) or not folder):
        raise ValueError(f"cache_dir must be a path or None, got {config.cache_dir!r}")
    for name in ("cache_bytes", "fetch_memory_bytes", "fetch_connections"):
        value = getattr(config, name)
        if not _is_int(value) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    if config.fetch_connections > MAX_FETCH_CONNECTIONS:
        raise ValueError(
            f"fetch_connections must be at most {MAX_FETCH_CONNECTIONS}, got "
            f"{config.fetch_connections}: more threads than that slow each other down"
        )
    seconds: object = config.fetch_timeout_seconds
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds > 0:
        raise ValueError(f"fetch_timeout_seconds must be a number above 0, got {seconds!r}")


def _is_int(value: object) -> bool:
    # True and False are ints in Python; as a count they are a mistake.
    return isinstance(value, int) and not isinstance(value, bool)
