"""Settings of a loader, refused early where they are wrong."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from loader.balance import Balance
from loader.dataset_config import DatasetConfig
from loader.draws import MAX_EPOCH_SIZE, EpochSize
from loader.groups import GroupBatches
from loader.noise import NoiseConfig

Crop = Literal["random", "start", "center"]
Tail = Literal["drop", "pad", "cycle"]
MelDtype = Literal["float32", "float16"]

MAX_SEED = 2**64 - 1
MAX_FETCH_CONNECTIONS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderConfig:
    """What to load, and how. Everything that decides the order and the crops stands here."""

    url: str | None = None
    """Where the one dataset lies: a folder, or any URL that `shardwriter.storage.open_store`
    takes. Several datasets stand in `datasets` in its place, with their own splits and filters."""
    split: str | tuple[str, ...] | None = None
    """One split of it, or several that are read as one."""
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
    include_labels: tuple[str, ...] | None = None
    """Keep only samples with at least one of these labels; `None` keeps all."""
    exclude_labels: tuple[str, ...] = ()
    """Leave out samples with any of these labels."""
    min_seconds: float | None = None
    """Leave out shorter clips."""
    include_targets: Mapping[str, tuple[str, ...]] | None = None
    """Keep only samples whose class targets are these, e.g. `{"city": ("milan",)}`."""
    label_map: Mapping[str, str | tuple[str, ...] | None] | None = None
    """Labels renamed, merged or dropped, see `DatasetConfig.label_map`."""
    datasets: tuple[DatasetConfig, ...] = ()
    """Several datasets, mixed all through the epoch; labels of the same name become one."""
    balance: Balance | None = None
    """How often rare classes come; `None` takes every clip alike."""
    epoch_size: EpochSize = None
    """Samples in an epoch; `None`: as many as are selected, so that without weights and balance
    each comes once. For weighted datasets also `shortest` or `longest`: the epoch in which one of
    them (each of them) has come once on average."""
    group_batches: GroupBatches | None = None
    """Batches of so many clips from each of their groups, e.g. speakers."""
    noise: NoiseConfig | None = None
    """Noise from another dataset that is mixed into the clips; `None` leaves them as they are."""
    tail: Tail = "drop"
    """What becomes of the samples that don't fill a step on all ranks: dropped; padded with
    repeats that `is_padding_B` marks; or topped up from the start of the same order."""
    num_threads: int = 2
    prefetch_batches: int = 4
    """Batches being made while the training loop holds one."""
    open_shards: int = 16
    """Shards whose samples are mixed with each other; in each dataset and stream."""
    num_streams: int = 1
    """Streams of shards that an epoch is made of, at most one for each `open_shards` shards; ranks
    next to each other read the same ones. With a multiple of the number of nodes, each shard is
    fetched by one node. It is part of the order, so take the largest that the run may go on."""
    min_spread: int = 1024
    """Samples from one copy of a clip to the next in the order of all ranks, where the numbers
    allow. At least the batch size, and no batch holds a clip twice."""
    resampling_buffer_bytes: int = 256 * 1024**2
    """Encoded clips that a rank may keep for their next copy in the epoch; beyond that they are
    read again. Never changes what is delivered."""
    verify_checksums: bool = True
    """Whether what is used is checked, at each read. A member that is read whole: its CRC-32C. A
    crop of which only some FLAC frames are read (from folders, and off the node's cache): each of
    these frames, by the CRC-8 and the number in its header, its CRC-16, and its bits and channels,
    and if one is not as it should be, the whole member by its CRC-32C, read anew. Damage outside
    of a crop is found when a crop reaches it, or by `melstream verify`. Without this only lengths,
    headers and what makes decoding fail are looked at."""
    mel_dtype: MelDtype = "float32"
    """Of `FeatureBatch.mel_BMF`, where the shards hold features: float32, or float16 as stored."""
    pin_memory: bool | None = None
    """Whether batches lie in pinned memory; `None` means: when CUDA is there."""
    cache_dir: str | None = None
    """A folder on a local disk where all processes of a node keep the shards of remote datasets;
    `None` streams them each time, one request a clip. May be shared by datasets and runs."""
    cache_bytes: int = 100 * 10**9
    """Bound on the cache. It works best with room for `2 * open_shards` shards."""
    fetch_memory_bytes: int = 256 << 20
    """Bound on the encoded audio of remote shards held in memory ahead of the batches."""
    fetch_connections: int = 32
    """Requests to a remote store at a time; halved whenever it throttles."""
    fetch_timeout_seconds: float = 300.0
    """How long bytes may stay away, all retries included, before that is an error."""
    error_budget: float = 0
    """Samples that each rank may do without in an epoch, each counted once: a whole number, or
    below 1 a share of the rank's samples, rounded up. A sample that is lost or damaged is read
    once more, then quarantined, and another clip of its batch stands in for it, marked in
    `is_padding_B`: the number of steps holds, and metrics stay exact. 0: the first such sample
    is an error."""
    quarantine_file: str | None = None
    """A file in which quarantined samples are listed, one JSON object a line; those that it
    lists already are not asked for. Delete it when the dataset is repaired."""
    ceiling_batches: int | None = None
    """For measuring only: after so many batches of an iteration these are handed out over and
    over, so that the training loop shows how fast it goes without waiting for data."""

    def __post_init__(self) -> None:
        """Refuse what can't work.

        Raises:
            ValueError: with the value, its bound and the way out.
        """
        _check_numbers(self)
        _check_choices(self)
        _check_datasets(self)
        _check_sampling(self)
        _check_fetching(self)
        _check_failing(self)

    @property
    def selections(self) -> tuple[DatasetConfig, ...]:
        """What is taken of each dataset: of the one at `url`, or of `datasets`."""
        if self.datasets:
            return self.datasets
        return (
            DatasetConfig(
                url=self.url,  # type: ignore[arg-type]  # refuses None itself
                split=self.split,  # type: ignore[arg-type]  # as above
                **{name: getattr(self, name) for name in _FILTERS},
            ),
        )

    @property
    def weights(self) -> tuple[float, ...] | None:
        """The weights of the datasets; `None` where they have none."""
        weights = [dataset.weight for dataset in self.datasets]
        return tuple(weight for weight in weights if weight is not None) or None


_FILTERS = (
    "folds",
    "include_labels",
    "exclude_labels",
    "min_seconds",
    "include_targets",
    "label_map",
)


def _check_numbers(config: LoaderConfig) -> None:
    for name in (
        "batch_size",
        "num_threads",
        "prefetch_batches",
        "open_shards",
        "num_streams",
        "min_spread",
    ):
        value = getattr(config, name)
        if not _is_int(value) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    if not _is_int(config.resampling_buffer_bytes) or config.resampling_buffer_bytes < 0:
        raise ValueError(
            "resampling_buffer_bytes must be a whole number of at least 0, "
            f"got {config.resampling_buffer_bytes!r}"
        )
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
    for name, choices in (
        ("crop", get_args(Crop)),
        ("tail", get_args(Tail)),
        ("mel_dtype", get_args(MelDtype)),
    ):
        value = getattr(config, name)
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    for name, kind, article in (
        ("noise", NoiseConfig, "a NoiseConfig"),
        ("balance", Balance, "an InverseFrequency, RepeatFactor or EffectiveNumber"),
        ("group_batches", GroupBatches, "a GroupBatches"),
    ):
        value = getattr(config, name)
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"{name} must be {article} or None, got {value!r}")
    for name in ("shuffle", "verify_checksums"):
        value = getattr(config, name)
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False, got {value!r}")
    if config.pin_memory is not None and not isinstance(config.pin_memory, bool):
        raise ValueError(f"pin_memory must be True, False or None, got {config.pin_memory!r}")


def _check_datasets(config: LoaderConfig) -> None:
    if not config.datasets:
        _ = config.selections  # refuses wrong filters by itself
        return
    datasets: object = config.datasets
    if not isinstance(datasets, tuple) or not all(
        isinstance(dataset, DatasetConfig) for dataset in datasets
    ):
        raise ValueError(f"datasets must be a tuple of DatasetConfig, got {datasets!r}")
    for name in ("url", "split", *_FILTERS):
        if getattr(config, name) not in (None, (), {}):
            raise ValueError(
                f"{name}={getattr(config, name)!r} and datasets are both set: {name} belongs into "
                "each DatasetConfig"
            )
    if config.weights is not None and len(config.weights) != len(config.datasets):
        raise ValueError(
            f"{len(config.weights)} of {len(config.datasets)} datasets have a weight; give one to "
            "each of them, or to none"
        )


def _check_sampling(config: LoaderConfig) -> None:
    size = config.epoch_size
    if isinstance(size, str):
        if size not in ("shortest", "longest") or config.weights is None:
            raise ValueError(
                f"epoch_size={size!r}: expected a number of samples, or for weighted datasets "
                "'shortest' or 'longest'"
            )
    elif size is not None and not (_is_int(size) and 1 <= size <= MAX_EPOCH_SIZE):
        raise ValueError(f"epoch_size must be in 1..{MAX_EPOCH_SIZE}, got {size!r}")
    groups = config.group_batches
    if groups is None:
        return
    if config.batch_size % groups.clips_per_group:
        raise ValueError(
            f"batch_size={config.batch_size} is no multiple of "
            f"clips_per_group={groups.clips_per_group}"
        )
    for name in ("balance", "epoch_size", "weights"):
        if getattr(config, name) is not None:
            raise ValueError(
                f"group_batches and {name} are both set: group batches take every group's clips "
                "alike; choose one"
            )


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


def _check_failing(config: LoaderConfig) -> None:
    budget: object = config.error_budget
    is_share = isinstance(budget, float) and 0 <= budget < 1
    if not is_share and not (_is_int(budget) and config.error_budget >= 0):
        raise ValueError(
            "error_budget must be a whole number of samples of at least 0, or a share of them "
            f"below 1, got {budget!r}"
        )
    file: object = config.quarantine_file
    if file is not None and (not isinstance(file, str) or not file):
        raise ValueError(f"quarantine_file must be a path or None, got {file!r}")
    if file is not None and not budget:
        raise ValueError("quarantine_file needs an error_budget above 0: without, nothing goes in")
    batches: object = config.ceiling_batches
    if batches is not None and not (_is_int(batches) and isinstance(batches, int) and batches > 0):
        raise ValueError(
            f"ceiling_batches must be a whole number of at least 1 or None, got {batches!r}"
        )


def _is_int(value: object) -> bool:
    # True and False are ints in Python; as a count they are a mistake.
    return isinstance(value, int) and not isinstance(value, bool)
