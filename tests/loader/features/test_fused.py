"""The fused kernel, as far as it can be shown without a card: values, tables, limits."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from loader.features import LogMelConfig, presets
from loader.features.fused import FusedLogMel
from loader.features.fused_plan import make_plan, tile_bins
from loader.features.logmel import LogMel
from loader.features.mel_scale import make_bank_MS
from tests.loader.features.fused_in_interpreter import front_end, structured, tone_BT
from tests.loader.features.reference import GOLDEN
from tests.loader.features.waves import batch_BT, structured_wave_T

Array = NDArray[np.floating]
TOLERANCE_DB = 1e-2
# Of float32 in a loud tone over noise at -90 dBFS, where the plain path is off by 0.03 dB.
TONE_TOLERANCE_DB = 0.02
AUDIBLE_DB = 100
DEFAULT, SLOW = ("panns", "ast"), ("panns-16k", "beats", "vggish", "yamnet")
FUSABLE = (
    "panns", "panns-16k", "hts-at", "ast", "ast-esc50", "ast-speech-commands", "hf-ast", "beats",
    "eat", "audio-mae", "vggish", "yamnet",
)  # fmt: skip


def decibels(mel_MF: Array, config: LogMelConfig) -> Array:
    per_neper = (20 if config.magnitude else 10) / np.log(10)
    return (mel_MF.astype(np.float64) * config.std + config.mean) / config.log_factor * per_neper


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Array]]:
    """Return what gives a preset's results; those of default runs come from one process."""

    @cache
    def run(*names: str) -> dict[str, Array]:
        path = tmp_path_factory.mktemp("interpreted") / "results.npz"
        module = "tests.loader.features.fused_in_interpreter"
        environment = {**os.environ, "TRITON_INTERPRET": "1"}
        command = [sys.executable, "-m", module, path, *names]
        subprocess.run(command, check=True, timeout=240, env=environment)
        with np.load(path) as results:
            return dict(results)

    return lambda name: run(*(DEFAULT if name in DEFAULT else SLOW))


@pytest.mark.parametrize(
    "name", [*DEFAULT, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)]
)
def test_the_kernel_gives_what_a_float64_reference_gives(
    name: str, interpreted: Callable[[str], dict[str, Array]]
) -> None:
    results = interpreted(name)
    module = front_end(name)
    config = module.config
    wave_BT = tone_BT(config)
    num_whole = config.num_frames(wave_BT.shape[1])
    expected_MF = decibels(GOLDEN[name](wave_BT[0].double().numpy())[:, :num_whole], config)
    is_audible_MF = expected_MF > expected_MF.max(axis=0) - AUDIBLE_DB
    assert is_audible_MF.mean() > 0.1
    got_MF = decibels(results[f"{name} float32"][0], config)
    assert np.abs(got_MF[:, :num_whole] - expected_MF)[is_audible_MF].max() < TONE_TOLERANCE_DB
    # A clip that ends in the middle of its row, and what stands behind it.
    wave_BT, num_samples_B = structured(config)
    expected_BMF = decibels(module(wave_BT, num_samples_B).numpy(), config)
    got_BMF = decibels(results[f"{name} int16"], config)
    assert got_BMF.shape == expected_BMF.shape
    assert np.abs(got_BMF - expected_BMF).max() < TOLERANCE_DB


@pytest.mark.parametrize(("n1", "n2"), [(32, 16), (16, 16)])
def test_every_bin_has_one_place(n1: int, n2: int) -> None:
    assert sorted(tile_bins(n1, n2).flatten().tolist()) == list(range(n1 * n2))


@pytest.mark.parametrize("name", ["panns", "ast", "vggish"])
def test_the_tables_hold_the_whole_mel_bank(name: str) -> None:
    config = FusedLogMel.preset(name).config
    bank_MS = torch.from_numpy(
        make_bank_MS(
            config.mel_bank,
            sample_rate_hz=config.sample_rate_hz,
            n_fft=config.n_fft,
            num_mels=config.num_mels,
            min_hz=config.min_hz,
            max_hz=config.max_hz,
        )
    )
    plan = make_plan(config, bank_MS)
    bins_TL = tile_bins(plan.n1, plan.n2)
    rebuilt_MS = torch.zeros_like(bank_MS)
    mels = [(group[0], filter_) for group in plan.groups for filter_ in group[2]]
    for mel, (start, filter_) in enumerate(mels):
        for row, tile in filter_:
            rebuilt_MS[mel, bins_TL[tile]] = plan.weights[start + row].double()
    scale = 2 if config.magnitude else 4
    torch.testing.assert_close(rebuilt_MS * scale, bank_MS, rtol=1e-6, atol=0)


def test_on_a_cpu_it_is_the_plain_front_end() -> None:
    wave_BT = batch_BT(structured_wave_T(32000))
    expected_BMF = LogMel.preset("panns")(wave_BT)
    torch.testing.assert_close(FusedLogMel.preset("panns")(wave_BT), expected_BMF, rtol=0, atol=0)


def test_the_presets_that_it_takes_are_these() -> None:
    taken = []
    for name, preset in presets().items():
        if isinstance(preset.config, LogMelConfig):
            try:
                FusedLogMel(preset.config)
            except ValueError:
                continue
            taken.append(name)
    assert tuple(taken) == FUSABLE


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("whisper", "n_fft=400: its FFT has 512 or 1024 points"),
        ("clap", "clip_samples=480000: it doesn't cut or fill clips"),
        ("passt", "preemphasis='clip_short': it emphasises within frames only"),
        ("wespeaker", "clip_norm='mean': it doesn't know a clip's mean"),
    ],
)
def test_a_front_end_that_does_not_fit_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=rf"can't compute.*{why}.*Use LogMel"):
        FusedLogMel.preset(name)


def test_removing_a_clips_mean_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="removes means of frames only"):
        FusedLogMel(replace(LogMelConfig(), remove_clip_mean=True))


def test_a_bank_that_weighs_half_the_sample_rate_is_refused() -> None:
    config = LogMelConfig()
    bank_MS = torch.ones(config.num_mels, config.n_fft // 2 + 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="leaves out the bin at half the sample rate"):
        make_plan(config, bank_MS)
