"""From a batch of samples to the network's input, on the device. Axes: B clips, T samples."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from jobs.cached_features import check_cached_preset
from jobs.recipe import Recipe
from loader import AudioBatch
from loader.augment import Augmenter, AugmentRecipe, Banks, units_per_db
from loader.feature_batch import FeatureBatch
from loader.features import LogMel, LogMelConfig, Preset, Standardize, presets
from loader.features.presets import log_mel_preset
from loader.randomness import Operation, sample_ids, sample_uniform
from shardwriter.errors import ConfigError
from shardwriter.json_form import parse_json
from shardwriter.schema import FeatureFormat
from shardwriter.storage import Store

SMALL_PRESET = "small"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndConfig:
    """What is computed; the same for training, evaluation and a dataset's statistics."""

    preset: str
    log_mel: LogMelConfig
    shift: bool = False
    seed: int = 0
    augment: AugmentRecipe | None = None
    """Applied in training, in place of the shift."""
    mean_M: tuple[float, ...] | None = None
    std_M: tuple[float, ...] | None = None

    @property
    def statistics(self) -> dict[str, list[float]] | None:
        """Mean and deviation that features are standardised by, as checkpoints hold them."""
        if self.mean_M is None or self.std_M is None:
            return None
        return {"mean": list(self.mean_M), "std": list(self.std_M)}


class FrontEnd(nn.Module):
    """Log-mels, standardised where that was asked for; clips are rolled in training only."""

    def __init__(self, config: FrontEndConfig, *, banks: Banks | None = None) -> None:
        """Build it; `banks` are those that the augmentation needs, on the device."""
        super().__init__()
        self.config = config
        self.log_mel = LogMel(config.log_mel)
        self.standardize = (
            Standardize(torch.tensor(config.mean_M), torch.tensor(config.std_M))
            if config.mean_M is not None and config.std_M is not None
            else nn.Identity()
        )
        self.augmenter = (
            None
            if config.augment is None
            else Augmenter(
                config.augment,
                sample_rate_hz=config.log_mel.sample_rate_hz,
                seed=config.seed,
                banks=banks,
                num_mels=config.log_mel.num_mels,
            )
        )

    def training_features(self, batch: AudioBatch | FeatureBatch, epoch: int) -> FeatureBatch:
        """Return the features on the device of a batch as the loader made it, on the host.

        What is random in them depends on (seed, epoch, clip).
        """
        if self.augmenter is not None:
            return self._augmented(batch, self.augmenter, epoch)
        if not self.config.shift or isinstance(batch, FeatureBatch):
            return self.forward(batch.to(self.device, non_blocking=True))
        shifts_B = clip_shifts(batch, seed=self.config.seed, epoch=epoch)
        batch = batch.to(self.device, non_blocking=True)
        return self.forward(replace(batch, wave_BT=roll(batch.wave_BT, shifts_B)))

    def _augmented(
        self, batch: AudioBatch | FeatureBatch, augmenter: Augmenter, epoch: int
    ) -> FeatureBatch:
        copies_B = batch.copy_B.numpy()
        # Moved at once: each of the three below would move them again.
        parameters = augmenter.draw(batch.keys, epoch=epoch, copies_B=copies_B).to(self.device)
        batch = batch.to(self.device, non_blocking=True)
        if isinstance(batch, AudioBatch):
            wave_BT, num_samples_B = augmenter.wave(batch, parameters)
            batch = replace(batch, wave_BT=wave_BT, num_samples_B=num_samples_B)
        features = self.forward(batch)
        log_mel = self.config.log_mel
        preset = presets().get(self.config.preset)
        mel_BMF = augmenter.mel(
            features.mel_BMF,
            parameters,
            num_frames_B=features.num_frames_B,
            units_per_db=units_per_db(
                log_factor=log_mel.log_factor, std=log_mel.std, of_magnitude=log_mel.magnitude
            ),
            mask_value=self._mask_value(preset),
        )
        return replace(
            features,
            mel_BMF=mel_BMF,
            target_BK=augmenter.targets(batch.target_BK, parameters),
        )

    def _mask_value(self, preset: Preset | None) -> float | None:
        """Return what masks are filled with: as published, or the dataset's mean, or the clip's."""
        if self.config.mean_M is not None:
            return 0.0
        return None if preset is None else preset.mask_value

    @property
    def device(self) -> torch.device:
        """Where the features are made."""
        return self.log_mel.spectrum.bank_MS.device

    def forward(self, batch: AudioBatch | FeatureBatch) -> FeatureBatch:
        """Return the features of clips as they are; those that were cached are there already."""
        if isinstance(batch, FeatureBatch):
            return self._of_cached(batch)
        log_mel = self.config.log_mel
        # Rolled clips don't lie at the front of their row; the network knows padding as silence.
        lengths_B = None if self.config.shift else batch.num_samples_B
        mel_BMF = self.log_mel(batch.wave_BT, lengths_B)
        num_frames = mel_BMF.shape[2]
        return FeatureBatch(
            **batch.label_fields(),
            mel_BMF=self.standardize(mel_BMF),
            num_frames_B=(
                torch.full_like(batch.num_samples_B, num_frames)
                if lengths_B is None
                else log_mel.num_frames_B(lengths_B).clamp(min=1, max=num_frames)
            ),
        )

    def _of_cached(self, batch: FeatureBatch) -> FeatureBatch:
        num_frames_B = batch.num_frames_B
        if self.config.shift:  # as the network was trained
            num_frames_B = torch.full_like(num_frames_B, batch.mel_BMF.shape[2])
        return replace(
            batch,
            mel_BMF=self.standardize(batch.mel_BMF.float()),
            num_frames_B=num_frames_B,
        )


def front_end_config(
    preset: str,
    *,
    sample_rate_hz: int,
    shift: bool = False,
    seed: int = 0,
) -> FrontEndConfig:
    """Return the settings of a preset; `small` adapts to any sample rate.

    Raises:
        ConfigError: there is no such preset of log-mels, or it is for another sample rate.
    """
    if preset == SMALL_PRESET:
        log_mel = small_log_mel(sample_rate_hz)
    else:
        try:
            log_mel = log_mel_preset(preset, sample_rate_hz=sample_rate_hz)
        except ValueError as err:
            raise ConfigError(f"--preset {preset}: {err}") from err
    return FrontEndConfig(preset=preset, log_mel=log_mel, shift=shift, seed=seed)


def with_statistics(config: FrontEndConfig, store: Store) -> FrontEndConfig:
    """Return the settings with the mean and deviation that `melstream stats` left in a dataset.

    Raises:
        ConfigError: it did not, or for other features.
        ShardFormatError: the file is no JSON.
    """
    name = statistics_name(config.preset)
    way_out = f"run `melstream stats {store.url} --preset {config.preset}` first"
    if not store.exists(name):
        raise ConfigError(f"no {name} in {store.url}: {way_out}")
    row = parse_json(store.read(name), where=f"{store.url}/{name}")
    mean_M, std_M = (_numbers(row.get(key)) for key in ("mean", "std"))
    if not len(mean_M) == len(std_M) == config.log_mel.num_mels or min(std_M) <= 0:
        raise ConfigError(f"{store.url}/{name} is not of these features: {way_out}")
    return replace(config, mean_M=mean_M, std_M=std_M)


def _numbers(values: object) -> tuple[float, ...]:
    """Return a list of finite numbers; nothing where it is something else."""
    if not isinstance(values, list):
        return ()
    # Written so that NaN, which compares false with everything, is refused too.
    is_finite = [type(each) in (int, float) and abs(each) <= sys.float_info.max for each in values]
    return tuple(map(float, values)) if all(is_finite) else ()


def statistics_name(preset: str) -> str:
    """Return where a dataset keeps the statistics of a preset's features."""
    return f"stats/{preset}.json"


def recipe_front_end(
    recipe: Recipe,
    *,
    sample_rate_hz: int,
    seed: int,
    store: Store,
    features: FeatureFormat | None = None,
    statistics: Mapping[str, list[float]] | None = None,
) -> FrontEndConfig:
    """Return the settings of a recipe's front end for a dataset, without augmentation.

    Args:
        recipe: Which front end.
        sample_rate_hz: Rate of the dataset's clips.
        seed: Of the shift.
        store: The dataset, which may have statistics.
        features: What it holds, where these are features instead of waves.
        statistics: What a network was trained with; None takes the dataset's where the recipe
            standardises.

    Raises:
        ConfigError: the recipe asks for another preset, or for what this dataset doesn't have.
    """
    config = front_end_config(
        recipe.preset, sample_rate_hz=sample_rate_hz, shift=recipe.shift, seed=seed
    )
    if features is not None:
        check_cached_preset(config, features, where=store.url)
    if statistics is not None:
        return replace(config, mean_M=tuple(statistics["mean"]), std_M=tuple(statistics["std"]))
    return with_statistics(config, store) if recipe.standardise else config


def small_log_mel(sample_rate_hz: int) -> LogMelConfig:
    """Return the log-mel settings: 32 ms windows every 20 ms, 64 mels, up to 14 kHz."""
    return LogMelConfig(
        sample_rate_hz=sample_rate_hz,
        n_fft=2 * round(0.016 * sample_rate_hz),
        hop_samples=round(0.02 * sample_rate_hz),
        num_mels=64,
        max_hz=min(14_000.0, sample_rate_hz / 2),
    )


def clip_shifts(batch: AudioBatch, *, seed: int, epoch: int) -> list[int]:
    """Return by how many samples to shift each clip, keyed by (seed, epoch, clip)."""
    share_B = sample_uniform(
        sample_ids(batch.keys, batch.copy_B.numpy()),
        seed=seed,
        epoch=epoch,
        operation=Operation.SHIFT,
    )
    return [int(share * batch.wave_BT.shape[1]) for share in share_B]


def roll(wave_BT: Tensor, shifts_B: Sequence[int]) -> Tensor:
    """Return each row shifted to the right by its own number of samples, the end wrapped round.

    On a CPU row by row, because one gather over an index tensor took 10 times as long there.
    """
    if wave_BT.device.type == "cpu":
        return torch.stack(
            [wave_T.roll(shift) for wave_T, shift in zip(wave_BT, shifts_B, strict=True)]
        )
    num_samples = wave_BT.shape[1]
    shift_B = torch.tensor(shifts_B).pin_memory().to(wave_BT.device, non_blocking=True)
    place_T = torch.arange(num_samples, device=wave_BT.device)
    return wave_BT.gather(1, (place_T - shift_B[:, None]) % num_samples)
