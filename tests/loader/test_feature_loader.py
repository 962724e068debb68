"""The loader on features: what it gives of audio, but for float16 and the ends of crops."""

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from loader import (
    DatasetConfig,
    FeatureBatch,
    InverseFrequency,
    LoaderConfig,
    NoiseConfig,
    ShardLoader,
    World,
)
from loader.augment.clip_bank import ClipBank
from loader.crop import choose_windows
from loader.features import LogMel, LogMelConfig
from loader.features.presets import log_mel_preset
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.manifest import load_manifest
from shardwriter.storage import open_store
from tests.jobs.feature_builders import RATE_HZ, features_loader, make_audio, make_features
from tests.loader.builders import interleave, real_keys, rewrite_index, set_column

HOP = 200  # of torchaudio
# One of each kind: in dB; filled up to a number of frames; range and mean of the clip; its
# deviation too; patches of whole frames only; integers as full scale, without fill.
PRESETS = ("torchaudio", "ast", "ecapa", "nemo", "yamnet", "beats")


@pytest.fixture(scope="session")
def audio(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_audio(tmp_path_factory.mktemp("audio") / "made")


@pytest.fixture(scope="session")
def features(audio: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """URLs by preset; tests only read them."""
    folder = tmp_path_factory.mktemp("features")
    return {preset: make_features(audio, folder / preset, preset) for preset in PRESETS}


@pytest.fixture(scope="session")
def torchaudio_url(features: dict[str, str]) -> str:
    return features["torchaudio"]


def audio_loader(url: str, **settings: object) -> ShardLoader:
    config = LoaderConfig(url=url, **{"split": "train", "batch_size": 3, **settings})  # type: ignore[arg-type]
    return ShardLoader(config, world=World())


def rounding(config: LogMelConfig) -> float:
    """The most that float16 can be off: half a step, of values as these clips have."""
    largest = max(abs(config.floor_db - config.mean), 35 * config.log_factor / 4.34) / config.std
    return 2.0 ** (math.ceil(math.log2(largest)) - 12)


@pytest.mark.parametrize("preset", PRESETS)
def test_whole_clips_are_what_the_preset_makes_of_their_audio(
    audio: str, features: dict[str, str], preset: str
) -> None:
    config = log_mel_preset(preset, sample_rate_hz=RATE_HZ)
    log_mel = LogMel(config)
    loader = features_loader(features[preset], crop_seconds=None)
    # The range and the mean add up what is off in two values; quiet bands deviate by less than 1.
    bound = rounding(config) * {"none": 1, "mean": 2.5, "mean_std": 6}[config.clip_norm]
    num_steps = 0
    for waves, batch in zip(audio_loader(audio, crop_seconds=None), loader, strict=True):
        expected_BMF = log_mel(waves.wave_BT, waves.num_samples_B)
        assert isinstance(batch, FeatureBatch)
        assert batch.keys == waves.keys
        assert batch.mel_BMF.dtype == torch.float32
        assert batch.mel_BMF.shape == expected_BMF.shape
        assert (batch.mel_BMF - expected_BMF).abs().max() < bound + 1e-4
        num_frames_B = config.num_frames_B(waves.num_samples_B).clamp(min=1)
        assert batch.num_frames_B.tolist() == num_frames_B.tolist()
        assert batch.target_BK.equal(waves.target_BK)
        assert batch.label_B.equal(waves.label_B)
        assert batch.targets["pitch"].equal(waves.targets["pitch"])
        num_steps += 1
    assert num_steps == 4


def test_decibels_are_off_by_a_thirty_second_at_most(audio: str, torchaudio_url: str) -> None:
    log_mel = LogMel(log_mel_preset("torchaudio", sample_rate_hz=RATE_HZ))
    waves = next(iter(audio_loader(audio, crop_seconds=None)))
    batch = next(iter(features_loader(torchaudio_url, crop_seconds=None)))
    expected_BMF = log_mel(waves.wave_BT, waves.num_samples_B)
    assert expected_BMF.abs().max() <= 128  # silence is -100 dB
    off = (batch.mel_BMF - expected_BMF).abs().max()
    assert 2**-7 < off <= 2**-5


def whole_by_key(url: str) -> dict[str, torch.Tensor]:
    loader = features_loader(url, crop_seconds=None, batch_size=1)
    return {batch.keys[0]: batch.mel_BMF[0, :, : int(batch.num_frames_B[0])] for batch in loader}


def test_a_crop_is_a_run_of_frames_at_the_place_of_the_crop_of_audio(
    audio: str, torchaudio_url: str
) -> None:
    whole = whole_by_key(torchaudio_url)
    waves = {
        batch.keys[0]: batch.wave_BT[0, : int(batch.num_samples_B[0])]
        for batch in audio_loader(audio, crop_seconds=None, batch_size=1)
    }
    num_cut = 0
    for batch in features_loader(torchaudio_url, crop_seconds=0.5, seed=3):
        assert batch.mel_BMF.shape[2] == 41
        frames, samples = (
            choose_windows(
                batch.keys,
                np.array([held[key].shape[-1] for key in batch.keys]),
                window_num_samples=length,
                crop="random",
                seed=3,
                epoch=0,
            )
            for held, length in ((whole, 41), (waves, 8000))
        )
        assert (np.abs(frames.start_B * HOP - samples.start_B) < 2 * HOP).all()
        for row, key in enumerate(batch.keys):
            start, length = int(frames.start_B[row]), int(frames.num_samples_B[row])
            assert int(batch.num_frames_B[row]) == length
            assert batch.mel_BMF[row, :, :length].equal(whole[key][:, start : start + length])
            assert (batch.mel_BMF[row, :, length:] == -100).all()
            num_cut += length == 41 and start > 0
    assert num_cut > 3


def test_a_crop_differs_from_features_of_cropped_audio_at_its_ends_only(
    audio: str, torchaudio_url: str
) -> None:
    log_mel = LogMel(log_mel_preset("torchaudio", sample_rate_hz=RATE_HZ))
    whole = whole_by_key(torchaudio_url)
    for batch in audio_loader(audio, crop_seconds=None, batch_size=1):
        if int(batch.num_samples_B[0]) > 60 * HOP:
            break
    cropped_MF = log_mel(batch.wave_BT[:, 10 * HOP : 50 * HOP])[0]
    off_F = (cropped_MF - whole[batch.keys[0]][:, 10:51]).abs().amax(dim=0)
    # A window of 400 samples around a frame's middle reaches over the end at the first and last.
    assert off_F[1:-1].max() <= 2**-5
    assert off_F[[0, -1]].min() > 0.5


def test_a_crop_is_normalised_and_filled_up_as_a_crop_of_audio_is(
    features: dict[str, str],
) -> None:
    num_short = 0
    for batch in features_loader(features["ecapa"], crop_seconds=0.7):
        assert batch.mel_BMF.shape[2] == 71
        for mel_MF, num_frames in zip(batch.mel_BMF, batch.num_frames_B.tolist(), strict=True):
            assert mel_MF[:, :num_frames].mean(dim=1).abs().max() < 1e-3
            assert (mel_MF[:, num_frames:] == 0).all()
            num_short += num_frames < 71
    assert num_short > 2
    filled = -log_mel_preset("ast").mean / log_mel_preset("ast").std
    for batch in features_loader(features["ast"], crop_seconds=0.7):
        assert batch.mel_BMF.shape[2] == 1024
        assert batch.num_frames_B.max() == 68
        assert (batch.mel_BMF[:, :, 68:] == torch.tensor(filled)).all()


def test_crops_differ_from_epoch_to_epoch_and_from_copy_to_copy(torchaudio_url: str) -> None:
    loader = features_loader(
        torchaudio_url, crop_seconds=0.1, batch_size=1, balance=InverseFrequency(), epoch_size=60
    )
    seen: dict[str, list[bytes]] = {}
    copies: set[int] = set()
    for _ in range(2):
        for batch in loader:
            seen.setdefault(batch.keys[0], []).append(batch.mel_BMF.numpy().tobytes())
            copies.update(batch.copy_B.tolist())
    assert len(copies) > 2
    longest = max(seen)
    assert len(set(seen[longest])) > len(seen[longest]) / 2


def test_float16_batches_hold_the_stored_values(torchaudio_url: str) -> None:
    settings = {"crop_seconds": 0.3, "seed": 1}
    half = list(features_loader(torchaudio_url, mel_dtype="float16", **settings))
    single = list(features_loader(torchaudio_url, **settings))
    assert half[0].mel_BMF.dtype == torch.float16
    for one, other in zip(half, single, strict=True):
        assert one.mel_BMF.float().equal(other.mel_BMF)


def epoch_of(url: str, size: int, state: dict[str, object] | None) -> Iterator[FeatureBatch]:
    """The batches of all ranks in the global order."""
    loaders = [
        features_loader(url, rank=rank, size=size, batch_size=2, crop_seconds=0.2, tail="pad")
        for rank in range(size)
    ]
    for loader in loaders:
        if state is not None:
            loader.load_state_dict(state)
    yield from interleave([list(loader) for loader in loaders])


def test_a_run_goes_on_exactly_on_another_world(torchaudio_url: str) -> None:
    expected = real_keys(epoch_of(torchaudio_url, 1, None))
    first = features_loader(torchaudio_url, batch_size=2, crop_seconds=0.2, tail="pad")
    begun = real_keys(islice(first, 2))
    state = first.state_dict()
    assert begun + real_keys(epoch_of(torchaudio_url, 2, state)) == expected
    assert len(expected) == 12


def test_a_damaged_member_is_replaced_within_the_budget(audio: str, tmp_path: Path) -> None:
    url = make_features(audio, tmp_path / "own", "ecapa")
    tar = Path(url) / load_manifest(open_store(url)).shards_of("train")[1].tar
    data = bytearray(tar.read_bytes())
    data[512 + 40] ^= 1  # in the first member's header
    tar.write_bytes(data)
    settings = {"crop_seconds": 0.5, "batch_size": 12, "shuffle": False}
    with pytest.raises(ShardFormatError, match="CRC-32C"):
        list(features_loader(url, **settings))
    with pytest.raises(ShardFormatError, match=r"made-000001\.tar: .* expected a \.npy file"):
        list(features_loader(url, verify_checksums=False, **settings))
    (batch,) = features_loader(url, error_budget=1, **settings)
    (place,) = batch.is_padding_B.nonzero().flatten().tolist()
    assert batch.keys[place] == batch.keys[place + 1]
    assert batch.num_frames_B[place] == batch.num_frames_B[place + 1]
    assert batch.targets["pitch"][place] == batch.targets["pitch"][place + 1]


def test_noise_is_not_mixed_into_features_nor_made_of_them(audio: str, torchaudio_url: str) -> None:
    noise = NoiseConfig(url=audio, split="train", snr_db=(0.0, 10.0))
    with pytest.raises(ConfigError, match=r"noise is mixed into waves, and \S+ holds features"):
        features_loader(torchaudio_url, crop_seconds=None, noise=noise)
    with pytest.raises(ConfigError, match="holds features, not audio that could be mixed in"):
        audio_loader(
            audio,
            crop_seconds=None,
            noise=NoiseConfig(url=torchaudio_url, split="train", snr_db=(0.0, 10.0)),
        )
    with pytest.raises(ConfigError, match="it holds features, not audio"):
        ClipBank.from_dataset(torchaudio_url, split="train")


def mixed(*urls: str) -> ShardLoader:
    datasets = tuple(DatasetConfig(url=url, split="train") for url in urls)
    return ShardLoader(
        LoaderConfig(datasets=datasets, batch_size=2, crop_seconds=0.5), world=World()
    )


def test_datasets_of_the_same_features_mix_and_no_others(
    audio: str, features: dict[str, str]
) -> None:
    both = mixed(features["ast"], features["ast"])
    assert len(both.index) == 24
    assert next(iter(both)).mel_BMF.shape == (2, 128, 1024)
    with pytest.raises(ConfigError, match=r"made: audio, \S+ast: features of ast\); cache"):
        mixed(audio, features["ast"])
    with pytest.raises(ConfigError, match=r"features of ecapa, \S+ast: features of ast"):
        mixed(features["ecapa"], features["ast"])


def test_an_index_that_tells_other_lengths_is_refused(audio: str, tmp_path: Path) -> None:
    url = make_features(audio, tmp_path / "own")
    rewrite_index(
        url,
        lambda table: set_column(
            table, "num_samples", [count + 320 for count in table["num_samples"].to_pylist()]
        ),
    )
    with pytest.raises(ShardFormatError, match=r"samples give \d+ frames in \d+ bytes, the index"):
        features_loader(url, crop_seconds=None)


def test_a_crop_of_less_than_a_frame_is_refused(features: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="less than one frame of preset ast"):
        features_loader(features["ast"], crop_seconds=0.02)
