"""What goes wrong when one front end is taken for another; each test is one such trap."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from loader.features import LogMel, LogMelConfig, presets
from loader.features.mel_scale import make_bank_MS
from loader.features.windows import make_window
from tests.loader.features.waves import batch_BT, structured_wave_T

LN_DB = 10 / math.log(10)


def config(name: str) -> LogMelConfig:
    found = presets()[name].config
    assert isinstance(found, LogMelConfig)
    return found


def difference(one: LogMelConfig, other: LogMelConfig, wave_BT: torch.Tensor) -> float:
    """Return by how much two front ends differ at most, in units of the features."""
    return (LogMel(one)(wave_BT) - LogMel(other)(wave_BT)).abs().max().item()


def wave_BT(sample_rate_hz: int = 16000) -> torch.Tensor:
    return batch_BT(structured_wave_T(sample_rate_hz, num_samples=sample_rate_hz))


@pytest.mark.parametrize("window", ["hann", "hamming"])
def test_a_periodic_window_is_the_start_of_a_symmetric_one_that_is_a_tap_longer(
    window: Any,
) -> None:
    periodic_W = make_window(window, 400, periodic=True)
    symmetric_W = make_window(window, 401, periodic=False)
    torch.testing.assert_close(periodic_W, symmetric_W[:400])
    assert (periodic_W - make_window(window, 400, periodic=False)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["ast", "wespeaker"])
def test_taking_kaldis_symmetric_window_for_a_periodic_one_is_no_parity(name: str) -> None:
    right = replace(config(name), mean=0.0, std=1.0, clip_norm="none", num_frames_out=None)
    wrong = replace(right, periodic_window=True)
    assert difference(right, wrong, wave_BT()) * LN_DB > 0.01


def test_povey_is_hann_to_the_power_of_0_85() -> None:
    hann_W = make_window("hann", 400, periodic=False)
    torch.testing.assert_close(make_window("povey", 400, periodic=False), hann_W**0.85)
    symmetric = config("beats")
    assert difference(symmetric, replace(symmetric, window="hann"), wave_BT()) > 0.01


def test_a_short_window_stands_in_the_middle_of_its_fft_where_frames_are_centred() -> None:
    # torch.stft: (1024 - 800) / 2 samples later than Kaldi's, which starts with the frame.
    assert config("passt").first_sample == -400
    assert config("ast").first_sample == 0
    click_BT = torch.zeros(1, 16000)
    click_BT[0, 8000] = 1.0
    unshifted = replace(config("passt"), preemphasis="none")
    mel_MF = LogMel(unshifted)(click_BT)[0]
    assert mel_MF.mean(dim=0).argmax() == 8000 // 320


def test_int16_counts_as_32768ths_and_panns_own_files_as_32767ths() -> None:
    wave_int16_BT = (wave_BT(32000) * 32767).to(torch.int16)
    flac = LogMel(config("panns"))
    torch.testing.assert_close(flac(wave_int16_BT), flac(wave_int16_BT.float() / 32768))
    hdf5 = LogMel(replace(config("panns"), int16_full_scale=32767.0))
    gain_db = 20 * math.log10(32768 / 32767)
    torch.testing.assert_close(
        hdf5(wave_int16_BT), flac(wave_int16_BT) + gain_db, rtol=0, atol=2e-5
    )


def test_samples_at_32768_raise_kaldis_energies_by_ln_of_2_to_the_30() -> None:
    loud = replace(config("beats"), mean=0.0, std=1.0, power_floor=1e-30)
    soft = replace(loud, full_scale=1.0)
    shift = LogMel(loud)(wave_BT()) - LogMel(soft)(wave_BT())
    own = shift[:, make_bank(loud).any(axis=1)]
    torch.testing.assert_close(own, torch.full_like(own, 20.794415), rtol=0, atol=1e-4)


def make_bank(front_end: LogMelConfig) -> np.ndarray[Any, Any]:
    return make_bank_MS(
        front_end.mel_bank,
        sample_rate_hz=front_end.sample_rate_hz,
        n_fft=front_end.n_fft,
        num_mels=front_end.num_mels,
        min_hz=front_end.min_hz,
        max_hz=front_end.max_hz,
    )


def test_kaldis_floor_clamps_faint_sounds_at_full_scale_1_and_never_at_32768() -> None:
    rng = np.random.default_rng(0)
    faint_BT = torch.from_numpy(rng.integers(-1, 2, (1, 16000))).to(torch.int16)
    at_one = LogMel(replace(config("hf-ast"), mean=0.0, std=1.0, num_frames_out=None))
    at_32768 = LogMel(replace(config("beats"), mean=0.0, std=1.0))
    floor = math.log(2**-23)
    assert (at_one(faint_BT) == torch.tensor(floor)).float().mean() > 0.5
    used = make_bank(at_32768.config).any(axis=1)
    assert (at_32768(faint_BT)[:, used] > floor + 1).all()


def test_digital_silence_is_minus_15_94_in_ast_before_it_standardises() -> None:
    silence = LogMel(replace(config("ast"), mean=0.0, std=1.0))(torch.zeros(1, 163_840))
    torch.testing.assert_close(silence[0, :, :998], torch.full((128, 998), -15.942385))


def test_asts_bank_keeps_its_one_filter_without_a_bin_and_the_others_have_none() -> None:
    empty = {name: int((~make_bank(config(name)).any(axis=1)).sum()) for name in (
        "ast", "beats", "passt", "panns", "clap",
    )}  # fmt: skip
    assert empty == {"ast": 1, "beats": 1, "passt": 0, "panns": 0, "clap": 0}
    mel_MF = LogMel.preset("ast")(wave_BT())[0]
    band = int(np.flatnonzero(~make_bank(config("ast")).any(axis=1))[0])
    torch.testing.assert_close(mel_MF[band, :98], torch.full((98,), -1.2776), rtol=0, atol=1e-4)


def test_passt_loses_a_sample_to_pre_emphasis_and_so_a_frame() -> None:
    assert config("passt").num_frames(320_000) == 1000
    assert LogMel.preset("passt")(torch.zeros(1, 320_000)).shape == (1, 128, 1000)


def test_ast_fills_up_with_zeros_before_it_standardises_not_with_silence() -> None:
    mel_MF = LogMel.preset("ast")(wave_BT())[0]
    torch.testing.assert_close(mel_MF[:, 98:], torch.full((128, 926), 0.46703), rtol=0, atol=1e-4)


def test_ast_cuts_what_is_longer_than_its_input() -> None:
    assert LogMel.preset("ast-speech-commands")(torch.zeros(1, 32000)).shape == (1, 128, 128)


def test_clap_repeats_a_clip_in_whole_copies_and_then_pads() -> None:
    clip_BT = batch_BT(structured_wave_T(48000, num_samples=200_000))
    twice_BT = torch.cat([clip_BT, clip_BT, torch.zeros(1, 80_000)], dim=1)
    clap = LogMel.preset("clap")
    torch.testing.assert_close(clap(clip_BT), clap(twice_BT), rtol=0, atol=1e-5)
    cut = LogMel(replace(config("clap"), fill="repeat"))
    repeated_BT = clip_BT.repeat(1, 3)[:, :480_000]
    torch.testing.assert_close(cut(clip_BT), clap(repeated_BT), rtol=0, atol=1e-5)


def test_clap_with_fusion_has_another_bank_than_clap_without() -> None:
    assert difference(config("clap"), config("clap-fusion"), wave_BT(48000)) > 1


def test_vggish_and_yamnet_weigh_magnitudes_and_the_others_power() -> None:
    magnitudes = {
        name
        for name, preset in presets().items()
        if isinstance(preset.config, LogMelConfig) and preset.config.magnitude
    }
    assert magnitudes == {"vggish", "yamnet"}
    loud_BT = wave_BT()
    plain = replace(config("vggish"), power_offset=1e-9)
    step = LogMel(plain)(loud_BT * 0.5) - LogMel(plain)(loud_BT * 0.05)
    torch.testing.assert_close(step, torch.full_like(step, math.log(10)), rtol=0, atol=1e-3)


def test_speechbrains_falling_sides_are_as_wide_as_its_rising_ones() -> None:
    right = config("ecapa")
    assert difference(right, replace(right, mel_bank="torchaudio"), wave_BT()) > 0.3


@pytest.mark.parametrize("name", ["whisper", "ecapa"])
def test_the_range_counts_from_each_clips_own_peak_not_the_batchs(name: str) -> None:
    loud_BT = wave_BT()
    batch = torch.cat([loud_BT, loud_BT * 1e-3])
    together_BMF = LogMel.preset(name)(batch)
    alone_BMF = LogMel.preset(name)(batch[1:])
    torch.testing.assert_close(together_BMF[1:], alone_BMF, rtol=0, atol=1e-5)


def test_asts_recipe_removes_the_clips_mean_and_transformers_does_not() -> None:
    # In a frame the mean goes anyway, so what is left is rounding: in float64, next to nothing.
    ours = config("ast")
    assert ours == replace(config("hf-ast"), remove_clip_mean=True)
    centred = replace(ours, preemphasis="none", num_frames_out=None)
    offset_BT = wave_BT() + 0.1
    assert difference(centred, replace(centred, remove_clip_mean=False), offset_BT) > 0.1
    kept = LogMel(centred)(wave_BT())
    torch.testing.assert_close(LogMel(centred)(offset_BT), kept, rtol=0, atol=1e-3)


def test_a_whole_batch_of_kaldi_features_equals_its_clips_one_by_one() -> None:
    # torchaudio's kaldi.fbank takes one wave at a time (pytorch/audio 675).
    batch = batch_BT(*(structured_wave_T(16000, seed=seed) for seed in range(4)))
    beats = LogMel.preset("beats")
    one_by_one = torch.cat([beats(row[None]) for row in batch])
    torch.testing.assert_close(beats(batch), one_by_one, rtol=0, atol=1e-6)
