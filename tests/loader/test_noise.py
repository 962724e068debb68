"""Noise from a dataset of shards, mixed in by the loader's threads."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from loader import AudioBatch, InverseFrequency, NoiseConfig
from loader.noise_level import mix_noise
from loader.noise_source import NO_NOISE, NoisePlan, NoiseSource
from loader.randomness import Operation, sample_ids, sample_uniform
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.errors import ConfigError, LoaderStateError, ShardFormatError
from tests.loader.builders import (
    RATE_HZ,
    clip_id,
    clip_key,
    clip_pcm,
    interleave,
    make_loader,
    make_loaders,
    windows_by_key,
)

NUM_NOISES = 9
KINDS = ("music", "hum")
NUMBER_OF = {clip_key(number): number for number in range(100)}


def noise_pcm(number: int) -> np.ndarray:
    """Shorter and longer than a window of 160 samples; the last one is silent."""
    rng = np.random.default_rng(1000 + number)
    num_samples = 40 + 60 * number
    loudest = 0 if number == NUM_NOISES - 1 else 3000
    return rng.integers(-loudest, loudest + 1, size=num_samples, dtype=np.int16)


def make_noise(folder: Path, *, rate_hz: int = RATE_HZ, codec: str = "flac") -> str:
    audio = AudioFormat(codec=codec, sample_rate_hz=rate_hz)
    settings = Settings(name="noise", audio=audio, labels=KINDS)
    with ShardWriter(str(folder), settings, max_samples_per_shard=2) as writer:
        for number in range(NUM_NOISES):
            writer.write_clip(
                CleanClip(
                    id=clip_id(number),
                    split="train",
                    pcm_T=noise_pcm(number),
                    labels=(KINDS[number % 2],),
                )
            )
    return str(folder)


@pytest.fixture(scope="module")
def noise_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_noise(tmp_path_factory.mktemp("noise"))


def config(url: str, **changes: Any) -> NoiseConfig:
    return NoiseConfig(**{"url": url, "split": "train", "snr_db": (0.0, 15.0)} | changes)


def content(batches: list[AudioBatch]) -> dict[str, tuple[bytes, bytes]]:
    """Samples and ratio of each clip; not a number is compared as its bits."""
    waves = windows_by_key(batches)
    ratios = {
        key: ratio.numpy().tobytes()
        for batch in batches
        if batch.noise_snr_db_B is not None
        for key, ratio in zip(batch.keys, batch.noise_snr_db_B, strict=True)
    }
    return {key: (waves[key], ratios[key]) for key in waves}


def run(url: str, size: int = 1, **settings: Any) -> dict[str, tuple[bytes, bytes]]:
    loaders = make_loaders(url, size, **{"tail": "pad"} | settings)
    return content(interleave([list(loader) for loader in loaders]))


def plan_by_hand(number: int, *, seed: int, epoch: int = 0) -> tuple[int, int, float]:
    """Noise clip, its first sample and the ratio for a clip that is taken from its start."""
    ids = sample_ids([clip_key(number)])

    def uniform(operation: Operation) -> float:
        return float(sample_uniform(ids, seed=seed, epoch=epoch, operation=operation)[0])

    noise = int(uniform(Operation.LOADER_NOISE_CLIP) * NUM_NOISES)
    length, wanted = len(noise_pcm(noise)), min(160, len(clip_pcm(number)))
    num_starts = length - wanted + 1 if length >= wanted else length
    snr_db = np.float32(uniform(Operation.LOADER_NOISE_SNR) * 15)
    return noise, int(uniform(Operation.LOADER_NOISE_START) * num_starts), float(snr_db)


def test_each_clip_is_the_clip_plus_the_noise_that_its_key_draws(
    dataset_url: str, noise_url: str
) -> None:
    loader = make_loader(dataset_url, batch_size=23, crop="start", seed=7, noise=config(noise_url))
    batch = next(iter(loader))
    assert batch.noise_snr_db_B is not None
    num_silent = 0
    for place, key in enumerate(batch.keys):
        clip_T = clip_pcm(NUMBER_OF[key])[:160]
        noise, start, snr_db = plan_by_hand(NUMBER_OF[key], seed=7)
        noise_T = np.resize(np.roll(noise_pcm(noise), -start), len(clip_T))
        expected = mix_noise(clip_T, noise_T, snr_db=snr_db, sample_rate_hz=RATE_HZ)
        got_T = batch.wave_BT[place].numpy()
        ratio = float(batch.noise_snr_db_B[place])
        num_silent += expected is None
        assert (ratio != ratio) if expected is None else ratio == pytest.approx(snr_db)
        assert np.array_equal(got_T[: len(clip_T)], clip_T if expected is None else expected)
        assert not got_T[len(clip_T) :].any()
    assert 0 < num_silent < 12


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_world_and_threads_change_nothing(
    dataset_url: str, noise_url: str, size: int, num_threads: int
) -> None:
    noise = config(noise_url, probability=0.6)
    expected = run(dataset_url, batch_size=4, noise=noise)
    assert run(dataset_url, size, batch_size=3, num_threads=num_threads, noise=noise) == expected


@pytest.mark.parametrize("num_steps", [1, 3])
def test_run_that_goes_on_gets_the_same_noise(
    dataset_url: str, noise_url: str, num_steps: int
) -> None:
    settings = {"noise": config(noise_url), "tail": "pad"}
    whole = content(list(make_loader(dataset_url, **settings)))
    first = make_loader(dataset_url, **settings)
    before = content(list(islice(first, num_steps)))
    second = make_loader(dataset_url, **settings | {"num_threads": 1})
    second.load_state_dict(first.state_dict())
    assert before | content(list(second)) == whole


def test_epochs_and_seeds_draw_other_noise(dataset_url: str, noise_url: str) -> None:
    loader = make_loader(dataset_url, tail="pad", crop="start", noise=config(noise_url))
    epochs = [content(list(loader)) for _ in range(2)]
    own_seed = run(dataset_url, crop="start", noise=config(noise_url, seed=7))
    assert epochs[0] != epochs[1] != own_seed != epochs[0]
    # A seed of its own is not that of the order, and the loader's is the default.
    assert run(dataset_url, crop="start", noise=config(noise_url, seed=0)) == epochs[0]


def test_copies_of_a_clip_get_noise_of_their_own(dataset_url: str, noise_url: str) -> None:
    loader = make_loader(
        dataset_url, crop="start", epoch_size=92, noise=config(noise_url), min_spread=1
    )
    waves: dict[str, set[bytes]] = {}
    for batch in loader:
        for key, wave_T in zip(batch.keys, batch.wave_BT, strict=True):
            waves.setdefault(key, set()).add(wave_T.numpy().tobytes())
    assert sum(len(different) >= 3 for different in waves.values()) > 15


def test_so_many_clips_get_noise_as_the_probability_says(dataset_url: str, noise_url: str) -> None:
    noise = config(noise_url, probability=0.3, include_labels=("hum",))
    plain = windows_by_key(make_loader(dataset_url, tail="pad"))
    num_noisy = num_all = 0
    loader = make_loader(dataset_url, tail="pad", noise=noise)
    for epoch in range(12):
        for batch in loader:
            assert batch.noise_snr_db_B is not None
            has_noise_B = ~batch.noise_snr_db_B.isnan()
            num_noisy, num_all = num_noisy + int(has_noise_B.sum()), num_all + len(batch)
            for key, wave_T, has_noise in zip(batch.keys, batch.wave_BT, has_noise_B, strict=True):
                if epoch == 0 and not has_noise:
                    assert wave_T.numpy().tobytes() == plain[key]
    assert num_noisy / num_all == pytest.approx(0.3, abs=0.07)


def test_only_noise_of_the_wanted_labels_is_taken(noise_url: str) -> None:
    def open_source(**changes: Any) -> NoiseSource:
        return NoiseSource(
            config(noise_url, **changes), sample_rate_hz=RATE_HZ, seed=0, verify_checksums=True
        )

    keys = tuple(clip_key(number) for number in range(99))
    lengths_B = np.full(99, 50)
    plan: NoisePlan = open_source(exclude_labels=("music",)).plan(
        keys, np.zeros(99, np.int64), lengths_B, epoch=0
    )
    assert set(plan.row_B.tolist()) == set(range(NUM_NOISES // 2))
    rare = open_source(probability=0.1).plan(keys, np.zeros(99, np.int64), lengths_B, epoch=0)
    assert 70 < np.count_nonzero(rare.row_B == NO_NOISE) < 99


def test_budget_of_kept_noise_changes_nothing(dataset_url: str, noise_url: str) -> None:
    expected = run(dataset_url, noise=config(noise_url))
    for num_bytes in (0, 700):
        assert run(dataset_url, noise=config(noise_url, memory_bytes=num_bytes)) == expected


def test_noise_of_another_codec_is_mixed_alike(
    dataset_url: str, noise_url: str, tmp_path: Path
) -> None:
    wav = make_noise(tmp_path, codec="wav")
    assert run(dataset_url, noise=config(wav)) == run(dataset_url, noise=config(noise_url))


def test_noise_works_with_balance_and_leaves_the_order_alone(
    dataset_url: str, noise_url: str
) -> None:
    settings = {"balance": InverseFrequency(), "tail": "pad"}
    plain = [batch.keys for batch in make_loader(dataset_url, **settings)]
    noisy = [b.keys for b in make_loader(dataset_url, noise=config(noise_url), **settings)]
    assert noisy == plain


def test_without_noise_no_ratio_comes(dataset_url: str) -> None:
    assert next(iter(make_loader(dataset_url))).noise_snr_db_B is None


def test_ratio_moves_with_the_batch(dataset_url: str, noise_url: str) -> None:
    moved = next(iter(make_loader(dataset_url, noise=config(noise_url)))).to("meta")
    assert moved.noise_snr_db_B is not None
    assert (moved.noise_snr_db_B.device.type, moved.noise_snr_db_B.dtype) == ("meta", torch.float32)


def test_state_is_of_its_noise(dataset_url: str, noise_url: str, tmp_path: Path) -> None:
    state = make_loader(dataset_url, noise=config(noise_url)).state_dict()
    make_loader(dataset_url, noise=config(make_noise(tmp_path))).load_state_dict(state)  # a copy
    changes: list[dict[str, Any]] = [{"snr_db": (0, 14)}, {"probability": 0.5}, {"seed": 1}]
    others = [config(noise_url, **change) for change in changes]
    for other in (None, *others, config(noise_url, include_labels=("hum",))):
        with pytest.raises(LoaderStateError, match="noise as they were"):
            make_loader(dataset_url, noise=other).load_state_dict(state)


def test_noise_of_another_rate_is_refused(dataset_url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has 16000 Hz, the clips have 8000 Hz; ingest"):
        make_loader(dataset_url, noise=config(make_noise(tmp_path, rate_hz=16000)))


def test_damaged_noise_is_an_error_that_names_it(dataset_url: str, tmp_path: Path) -> None:
    url = make_noise(tmp_path)
    for path in tmp_path.rglob("*.tar"):
        path.write_bytes(path.read_bytes()[:600] + b"?" * 50 + path.read_bytes()[650:])
    with pytest.raises(ShardFormatError, match=r"train/noise-00000\d\.tar: sample .*CRC-32C"):
        list(make_loader(dataset_url, noise=config(url)))


@pytest.mark.parametrize(
    "changes",
    [
        {"snr_db": (5, 0)},
        {"snr_db": 5},
        {"snr_db": (0, float("nan"))},
        {"snr_db": (0, 900)},
        {"probability": 0},
        {"probability": 1.5},
        {"probability": True},
        {"seed": -1},
        {"seed": 2**64},
        {"memory_bytes": -1},
        {"include_labels": "hum"},
        {"split": ""},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        config("/nowhere", **changes)


def test_what_is_no_noise_config_is_refused(dataset_url: str) -> None:
    with pytest.raises(ValueError, match="noise must be a NoiseConfig or None"):
        make_loader(dataset_url, noise="musan")
