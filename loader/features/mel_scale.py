"""Banks of triangular mel filters, as the libraries that models were trained with make them.

They differ in the scale, in whether a triangle's sides are straight over hertz or over mel, in its
height, and in which edge bins they leave out. All of that ends up in the weights, bank_MS, so the
rest of the front end need not know.

    bank          scale    sides straight over   height       left out
    slaney        Slaney   hertz                 area of 1    -               librosa, PANNs, NeMo
    torchaudio    HTK      hertz                 peak of 1    -               torchaudio's default
    kaldi         HTK      mel                   peak of 1    Nyquist's bin   Kaldi
    tensorflow    HTK      mel                   peak of 1    bin 0           VGGish, YAMNet
    speechbrain   HTK      hertz, see below      peak of 1    -               SpeechBrain

Sources: Slaney, "Auditory Toolbox" (1998), as `librosa.filters.mel` has it;
`torchaudio.functional.melscale_fbanks`; Kaldi's feat/mel-computations.cc;
`tf.signal.linear_to_mel_weight_matrix`; SpeechBrain's processing/features.py.
"""

import math
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

MelBank = Literal["slaney", "torchaudio", "kaldi", "tensorflow", "speechbrain"]
MEL_BANKS: tuple[MelBank, ...] = get_args(MelBank)

_Array = npt.NDArray[np.float64]

# HTK's scale, 2595 log10(1 + f/700); Kaldi and TensorFlow write 1127 ln(1 + f/700). The factor
# cancels in every weight.
_HTK_HZ = 700.0
_HTK_MEL = 1127.0

# Slaney's scale: 3 mel per 200 Hz up to 1 kHz, then 27 mel for each factor of 6.4.
_BREAK_HZ = 1000.0
_BREAK_MEL = 15.0
_MEL_PER_LOG = 27 / math.log(6.4)


def mel_edges_hz(bank: MelBank, *, num_mels: int, min_hz: float, max_hz: float) -> _Array:
    """Return the num_mels + 2 edges, rising; filter m goes from edge m over m + 1 to m + 2."""
    mel = np.linspace(_to_mel(bank, min_hz), _to_mel(bank, max_hz), num_mels + 2)
    return _to_hz(bank, mel)


def make_bank_MS(
    bank: MelBank, *, sample_rate_hz: int, n_fft: int, num_mels: int, min_hz: float, max_hz: float
) -> _Array:
    """Return the weights of every filter at every bin of the FFT, bank_MS in float64.

    A filter narrower than the distance of two bins may hold none and be zero everywhere: at 16 kHz
    and 512 points one of Kaldi's 128 is (AST's). That is part of what such a model was
    trained on, so it stays.
    """
    edges = mel_edges_hz(bank, num_mels=num_mels, min_hz=min_hz, max_hz=max_hz)
    bins = np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft
    if bank in ("kaldi", "tensorflow"):
        edges, bins = _to_mel(bank, edges), _to_mel(bank, bins)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    if bank == "speechbrain":
        # Its falling side has the width of the rising one, so neighbours don't add up to 1.
        falling = 1 - (bins - centre) / (centre - left)
    bank_MS = np.maximum(0, np.minimum(rising, falling))
    if bank == "slaney":
        bank_MS *= 2 / (right - left)
    elif bank == "kaldi":
        bank_MS[:, -1] = 0
    elif bank == "tensorflow":
        bank_MS[:, 0] = 0
    return bank_MS


def _to_mel(bank: MelBank, hz: float | _Array) -> _Array:
    hz = np.asarray(hz, dtype=np.float64)
    if bank != "slaney":
        return _HTK_MEL * np.log1p(hz / _HTK_HZ)
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) * _MEL_PER_LOG
    return np.where(hz < _BREAK_HZ, hz * 3 / 200, above)


def _to_hz(bank: MelBank, mel: _Array) -> _Array:
    if bank != "slaney":
        return _HTK_HZ * np.expm1(mel / _HTK_MEL)
    above = _BREAK_HZ * np.exp((np.maximum(mel, _BREAK_MEL) - _BREAK_MEL) / _MEL_PER_LOG)
    return np.where(mel < _BREAK_MEL, mel * 200 / 3, above)
