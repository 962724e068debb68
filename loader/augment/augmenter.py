"""Augmenter: a recipe and its banks, applied to the batches of a loader.

    parameters = augmenter.draw(batch.keys, epoch=loader.epoch)       on the host, numpy
    parameters = parameters.to(device)                                in one copy, without waiting
    wave_BT, num_samples_B = augmenter.wave(batch, parameters)        on the batch's device, float32
    mel_BMF = augmenter.mel(log_mel(wave_BT, num_samples_B), parameters, ...)
    target_BK = augmenter.targets(batch.target_BK, parameters)

Everything a sample gets depends on (seed, epoch, its key), so that it is the same on any world
size, batch size, and after a resume. Only partners (of `mix` and `freq_mix_style`) are drawn from
the rank's own batch: *that* a sample is mixed and by how much is its own too, but with *whom*
depends on which samples share the batch, and so on world size and batch size. All is computed in
float32, also where autocast is on.

Axes: B samples, T samples of a wave, M mel bands, F frames, K labels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loader.augment.banks import Banks
from loader.augment.clip_bank import ClipBank
from loader.augment.draw_mel import draw_mel, draw_mix
from loader.augment.draw_wave import draw_wave
from loader.augment.draws import Draws
from loader.augment.mel import augment_mel
from loader.augment.mixing import mix_mels, mix_targets, mix_waves
from loader.augment.noise import make_white_noise
from loader.augment.parameters import AugmentParameters
from loader.augment.recipe import AugmentRecipe
from loader.augment.wave import BankContents, augment_wave
from loader.batch import AudioBatch
from loader.randomness import sample_ids
from shardwriter.errors import ConfigError

_WHITE_NOISE_PLACES = 1 << 20


class Augmenter:
    """Applies a recipe to batches. Any thread may draw; what is drawn decides all the rest."""

    def __init__(
        self,
        recipe: AugmentRecipe,
        *,
        sample_rate_hz: int,
        seed: int = 0,
        banks: Banks | None = None,
        num_mels: int | None = None,
    ) -> None:
        """Check that recipe, rate and banks fit each other.

        Args:
            recipe: What to do.
            sample_rate_hz: Rate of the waves.
            seed: Seed of the run; the loader's is a good choice.
            banks: Where noises and responses come from.
            num_mels: Mel bands of the spectrograms; needed only for filter_augment.

        Raises:
            ConfigError: a bank is missing or has another rate, a frequency lies above half the
                sample rate, or `num_mels` is missing or too small.
        """
        self.recipe = recipe
        self.sample_rate_hz = sample_rate_hz
        self.seed = seed
        self.banks = banks or Banks()
        self.num_mels = num_mels
        self._white_noise: dict[torch.device, Tensor] = {}
        self.banks.check_fit(recipe, sample_rate_hz=sample_rate_hz)
        _check_frequencies(recipe, sample_rate_hz=sample_rate_hz)
        _check_num_mels(recipe, num_mels)

    def draw(
        self, keys: Sequence[str], *, epoch: int, copies_B: NDArray[np.int64] | None = None
    ) -> AugmentParameters:
        """Return what is to be done to the samples of a batch in an epoch, on the CPU.

        The result says it all: keep it, and the same augmentation can be applied again. Any thread
        may draw, for any epoch: no bank is loaded for it.

        Args:
            keys: Of the batch.
            epoch: Number of the epoch.
            copies_B: `AudioBatch.copy_B`, taken before the batch goes to the device; `None` where
                no clip comes twice in an epoch. Each copy of a clip gets its own augmentation.
        """
        draws = Draws(ids_B=sample_ids(keys, copies_B), seed=self.seed, epoch=epoch)
        return AugmentParameters(
            epoch=epoch,
            wave=draw_wave(draws, self.recipe, self.banks.rows, sample_rate_hz=self.sample_rate_hz),
            mix=draw_mix(draws, self.recipe),
            mel=draw_mel(draws, self.recipe, num_mels=self.num_mels or 0),
        )

    def wave(self, batch: AudioBatch, parameters: AugmentParameters) -> tuple[Tensor, Tensor]:
        """Return the augmented waves and their lengths, on the batch's device.

        Returns:
            wave_BT: float32, 0 beyond each clip's end; may exceed 1.
            num_samples_B: int64; speed and mixing change it.
        """
        device = batch.wave_BT.device
        parameters = parameters.to(device)
        with torch.autocast(device.type, enabled=False):
            wave_BT, num_samples_B = augment_wave(
                batch.wave_BT,
                batch.num_samples_B,
                parameters.wave,
                self.recipe,
                self._contents(parameters.epoch, batch.wave_BT),
                sample_rate_hz=self.sample_rate_hz,
            )
            if self.recipe.mix is None or self.recipe.mix.domain != "wave":
                return wave_BT, num_samples_B
            return mix_waves(
                wave_BT,
                num_samples_B,
                parameters.mix,
                self.recipe.mix,
                sample_rate_hz=self.sample_rate_hz,
            )

    def mel(
        self,
        mel_BMF: Tensor,
        parameters: AugmentParameters,
        *,
        num_frames_B: Tensor | None = None,
        units_per_db: float = 1.0,
        mask_value: float | None = None,
    ) -> Tensor:
        """Return the augmented spectrograms.

        Args:
            mel_BMF: float32, logarithmic, as the model is to get it.
            parameters: What `draw` returned.
            num_frames_B: How many frames of each row are the clip's; None means all.
            units_per_db: What 1 dB is in the spectrogram's units; `loader.augment.mel` has it.
            mask_value: What masks are filled with, by the front end's recipe; None: each clip's
                own mean.
        """
        recipe, parameters = self.recipe, parameters.to(mel_BMF.device)
        if num_frames_B is None:
            num_frames_B = torch.full_like(mel_BMF[:, 0, 0], mel_BMF.shape[2], dtype=torch.int64)
        with torch.autocast(mel_BMF.device.type, enabled=False):
            mel_BMF = augment_mel(
                mel_BMF.float(),
                num_frames_B,
                parameters.mel,
                recipe,
                units_per_db=units_per_db,
                mask_value=mask_value,
            )
            if recipe.mix is None or recipe.mix.domain != "mel":
                return mel_BMF
            return mix_mels(mel_BMF, parameters.mix)

    def targets(self, target_BK: Tensor, parameters: AugmentParameters) -> Tensor:
        """Return the targets after speed and mixing: float32 (B, K), or (B, K * factors)."""
        parameters = parameters.to(target_BK.device)
        speed = self.recipe.speed
        if speed is not None and speed.new_classes:
            index_B = parameters.wave.speed_index_B
            parts = [target_BK * (index_B == index)[:, None] for index in range(len(speed.factors))]
            target_BK = torch.cat(parts, dim=1)
        if self.recipe.mix is None:
            return target_BK
        return mix_targets(target_BK, parameters.mix, self.recipe.mix)

    def _contents(self, epoch: int, wave_BT: Tensor) -> BankContents:
        banks, device = self.banks, wave_BT.device
        white_NS = None
        if self.recipe.white_noise is not None:
            white_NS = self._white(_WHITE_NOISE_PLACES + wave_BT.shape[1], device)
        return BankContents(
            noise_NS=_clips(banks.noise, epoch),
            device_NS=_clips(banks.device, epoch),
            room_NS=_clips(banks.room, epoch),
            white_NS=white_NS,
        )

    def _white(self, num_samples: int, device: torch.device) -> Tensor:
        """Return so much white noise; batches of another length rarely need any made."""
        white_NS = self._white_noise.get(device)
        if white_NS is None or white_NS.shape[1] < num_samples:
            white_NS = make_white_noise(1 << (num_samples - 1).bit_length()).to(device)
            self._white_noise = {device: white_NS}
        return white_NS[:, :num_samples]


def _clips(bank: ClipBank | None, epoch: int) -> Tensor | None:
    return None if bank is None else bank.at(epoch).clips_NS


def _check_num_mels(recipe: AugmentRecipe, num_mels: int | None) -> None:
    setting = recipe.filter_augment
    if setting is None:
        return
    if num_mels is None:
        raise ConfigError("filter_augment needs num_mels: pass the front end's number of bands")
    if setting.max_bands * setting.min_width > num_mels:
        raise ConfigError(
            f"filter_augment: {setting.max_bands} bands of at least {setting.min_width} mels don't "
            f"fit into {num_mels} mels; lower max_bands or min_width"
        )


def _check_frequencies(recipe: AugmentRecipe, *, sample_rate_hz: int) -> None:
    highest_hz = {}
    if recipe.equalizer is not None:
        highest_hz["equalizer: max_hz"] = recipe.equalizer.max_hz
    if recipe.band_pass is not None:
        highest_hz["band_pass: max_high_hz"] = recipe.band_pass.max_high_hz
    for name, hz in highest_hz.items():
        if hz >= sample_rate_hz / 2:
            raise ConfigError(
                f"{name} is {hz:g}, and must be below half the sample rate, "
                f"{sample_rate_hz / 2:g} Hz"
            )
