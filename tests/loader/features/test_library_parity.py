"""Presets beside the libraries they come from, on the same waves.

The libraries compute in float32, ours in float64 on a CPU. Where a band lies far below a loud
tone theirs are wrong by more than the tolerance; the last test shows whose error it is.
"""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import kaldi_native_fbank as knf
import librosa
import numpy as np
import pytest
import torch
import torchaudio
from numpy.typing import NDArray
from transformers import ASTFeatureExtractor, ClapFeatureExtractor, WhisperFeatureExtractor

from loader.features import LogMel, LogMelConfig, Mfcc, presets
from tests.loader.features.reference import GOLDEN
from tests.loader.features.waves import batch_BT, structured_wave_T, tone_in_faint_noise_T

TOLERANCE_DB = 1e-2
LN_DB = 10 / math.log(10)
Array = NDArray[np.floating]
# 128 filters at 16 kHz leave some without a bin; torchaudio warns, kaldi-native-fbank refuses.
ZERO_FILTERS = pytest.mark.filterwarnings("ignore:At least one mel filterbank:UserWarning")


def preset_MF(name: str, wave_T: Array) -> NDArray[np.float32]:
    features_MF: NDArray[np.float32] = LogMel.preset(name)(batch_BT(wave_T))[0].numpy()
    return features_MF


def assert_close_in_db(got: Array, expected: Array, unit_db: float) -> None:
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() * unit_db < TOLERANCE_DB


@ZERO_FILTERS
@pytest.mark.parametrize("sample_rate_hz", [16000, 32000, 44100])
def test_torchaudio_preset_equals_melspectrogram_with_amplitude_to_db(sample_rate_hz: int) -> None:
    wave_BT = batch_BT(structured_wave_T(sample_rate_hz))
    theirs = torchaudio.transforms.MelSpectrogram(sample_rate_hz)(wave_BT)
    expected = torchaudio.transforms.AmplitudeToDB(top_db=None)(theirs)
    got = LogMel.preset("torchaudio", sample_rate_hz=sample_rate_hz)(wave_BT)
    assert_close_in_db(got.numpy(), expected.numpy(), 1.0)


@pytest.mark.slow  # librosa compiles for some seconds
@pytest.mark.parametrize("name", ["panns", "panns-16k"])
def test_panns_presets_equal_librosa(name: str) -> None:
    config = presets()[name].config
    assert isinstance(config, LogMelConfig)
    wave_T = structured_wave_T(config.sample_rate_hz)
    energy_MF = librosa.feature.melspectrogram(
        y=wave_T.astype(np.float32),
        sr=config.sample_rate_hz,
        n_fft=config.n_fft,
        hop_length=config.hop_samples,
        n_mels=config.num_mels,
        fmin=config.min_hz,
        fmax=config.max_hz,
        pad_mode="reflect",
    )
    expected = librosa.power_to_db(energy_MF, ref=1.0, amin=1e-10, top_db=None)
    assert_close_in_db(preset_MF(name, wave_T), expected, 1.0)


def kaldi_native_fbank_MF(
    wave_T: Array, window: str, num_mels: int, *, snip_edges: bool = True
) -> Array:
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.window_type = window
    options.frame_opts.snip_edges = snip_edges
    options.mel_opts.num_bins = num_mels
    fbank = knf.OnlineFbank(options)
    fbank.accept_waveform(16000, wave_T.astype(np.float32))
    fbank.input_finished()
    return np.stack([fbank.get_frame(f) for f in range(fbank.num_frames_ready)], axis=1)


@pytest.mark.parametrize(
    ("name", "window", "num_mels"), [("beats", "povey", 64), ("wespeaker", "hamming", 80)]
)
@pytest.mark.parametrize("snip_edges", [True, False])
def test_kaldi_presets_equal_kaldi_native_fbank(
    name: str, window: str, num_mels: int, snip_edges: bool
) -> None:
    wave_T = structured_wave_T(16000)
    config = presets()[name].config
    assert isinstance(config, LogMelConfig)
    plain = replace(
        config,
        num_mels=num_mels,
        mean=0.0,
        std=1.0,
        clip_norm="none",
        edges="none" if snip_edges else "mirror",
    )
    got = LogMel(plain)(batch_BT(wave_T))[0].numpy()
    expected = kaldi_native_fbank_MF(wave_T * 2**15, window, num_mels, snip_edges=snip_edges)
    assert_close_in_db(got, expected, LN_DB)


@pytest.mark.parametrize(("name", "window"), [("hf-ast", "hanning"), ("beats", "povey")])
def test_kaldi_presets_equal_torchaudios_kaldi_fbank(name: str, window: str) -> None:
    config = presets()[name].config
    assert isinstance(config, LogMelConfig)
    wave_T = structured_wave_T(16000)
    expected = torchaudio.compliance.kaldi.fbank(
        batch_BT(wave_T) * config.full_scale, window_type=window, num_mel_bins=128
    ).T.numpy()
    plain = replace(config, mean=0.0, std=1.0, num_frames_out=None)
    assert_close_in_db(LogMel(plain)(batch_BT(wave_T))[0].numpy(), expected, LN_DB)


def test_ast_preset_equals_the_feature_extractor_of_transformers() -> None:
    wave_T = structured_wave_T(16000)
    theirs = ASTFeatureExtractor()(wave_T, sampling_rate=16000, return_tensors="np")
    expected = theirs["input_values"][0].T
    got = preset_MF("hf-ast", wave_T)
    assert_close_in_db(got, expected, LN_DB * 2 * 4.5689974)


@pytest.mark.parametrize(("name", "num_mels"), [("whisper", 80), ("whisper-large-v3", 128)])
def test_whisper_presets_equal_the_feature_extractor_of_transformers(
    name: str, num_mels: int
) -> None:
    wave_T = structured_wave_T(16000)
    extractor = WhisperFeatureExtractor(feature_size=num_mels)
    theirs = extractor(wave_T, sampling_rate=16000, return_tensors="np")
    assert_close_in_db(preset_MF(name, wave_T), theirs["input_features"][0], 40.0)


@pytest.mark.parametrize(
    ("name", "truncation"), [("clap", "rand_trunc"), ("clap-fusion", "fusion")]
)
def test_clap_presets_equal_the_feature_extractor_of_transformers(
    name: str, truncation: str
) -> None:
    wave_T = structured_wave_T(48000)
    extractor = ClapFeatureExtractor(frequency_min=50, truncation=truncation)
    theirs = extractor(wave_T, sampling_rate=48000, return_tensors="np")
    assert_close_in_db(preset_MF(name, wave_T), theirs["input_features"][0][0].T, 1.0)


SPEECHBRAIN = """
import sys, numpy, torch
from speechbrain.lobes.features import Fbank
from speechbrain.processing.features import InputNormalization
wave_BT = torch.from_numpy(numpy.load(sys.argv[1]))
with torch.no_grad():
    features = InputNormalization(norm_type="sentence", std_norm=False)(
        Fbank(n_mels=80)(wave_BT), torch.ones(1)
    )
numpy.save(sys.argv[2], features[0].T.numpy())
"""


def test_ecapa_preset_equals_speechbrain(tmp_path: Path) -> None:
    # In a process of its own: it leaves modules behind that warn whoever looks at sys.modules.
    wave_BT = batch_BT(structured_wave_T(16000)).numpy()
    np.save(tmp_path / "wave.npy", wave_BT)
    paths = [str(tmp_path / name) for name in ("wave.npy", "features.npy")]
    subprocess.run([sys.executable, "-W", "ignore", "-c", SPEECHBRAIN, *paths], check=True)
    expected = np.load(tmp_path / "features.npy")
    assert_close_in_db(preset_MF("ecapa", wave_BT[0]), expected, 1.0)


def test_nemo_preset_equals_kaldi_native_fbanks_nemo_features() -> None:
    wave_T = structured_wave_T(16000)
    nemo = knf.OnlineNemoFbank(knf.NemoFbankOptions())
    nemo.accept_waveform(16000, wave_T.astype(np.float32))
    nemo.input_finished()
    expected = nemo.get_frames(0, nemo.num_frames_ready, is_final=True)[0].T
    config = presets()["nemo"].config
    assert isinstance(config, LogMelConfig)
    got = LogMel(replace(config, clip_norm="none"))(batch_BT(wave_T))[0].numpy()
    assert_close_in_db(got, expected, LN_DB)


def test_matchboxnet_preset_equals_torchaudios_mfcc() -> None:
    wave_BT = batch_BT(structured_wave_T(16000))
    theirs = torchaudio.transforms.MFCC(
        16000,
        n_mfcc=64,
        log_mels=True,
        melkwargs={"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 64},
    )(wave_BT)
    torch.testing.assert_close(Mfcc.preset("matchboxnet")(wave_BT), theirs, rtol=0, atol=1e-3)


def test_xvector_preset_equals_kaldi_native_fbanks_mfcc() -> None:
    wave_T = structured_wave_T(16000)
    options = knf.MfccOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = 30
    options.mel_opts.high_freq = 7600
    options.num_ceps = 30
    options.use_energy = True
    mfcc = knf.OnlineMfcc(options)
    mfcc.accept_waveform(16000, (wave_T * 2**15).astype(np.float32))
    mfcc.input_finished()
    expected = np.stack([mfcc.get_frame(f) for f in range(mfcc.num_frames_ready)], axis=1)
    got = Mfcc.preset("kaldi-xvector")(batch_BT(wave_T))[0].numpy()
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 1e-2


@ZERO_FILTERS
def test_where_torchaudio_misses_the_tolerance_beside_a_loud_tone_the_error_is_its_own() -> None:
    wave_T = tone_in_faint_noise_T(16000)
    golden = GOLDEN["torchaudio"](wave_T)
    theirs = torchaudio.transforms.AmplitudeToDB(top_db=None)(
        torchaudio.transforms.MelSpectrogram(16000)(batch_BT(wave_T))
    )[0].numpy()
    ours = preset_MF("torchaudio", wave_T)
    assert np.abs(theirs - golden).max() > 10 * TOLERANCE_DB
    assert np.abs(ours - golden).max() < TOLERANCE_DB
