"""Every preset once more, in float64 numpy, written from the definition that its model came with.

Slow and plain on purpose, frame by frame and filter by filter; no code of `loader.features` in it.
Functions take wave_T in [-1, 1] and return features_MF.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
KALDI_EPS = 1.1920928955078125e-07


# --- windows -------------------------------------------------------------------------------------


def hann(taps: int, divisor: int) -> Array:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(taps) / divisor)


def hamming(taps: int, divisor: int) -> Array:
    return 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(taps) / divisor)


# --- scales and filters --------------------------------------------------------------------------


def htk_mel(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


def htk_hz(mel: float) -> float:
    return 700 * (10 ** (mel / 2595) - 1)


def slaney_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000, 6.4)


def slaney_hz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def spaced(low: float, high: float, mels: int) -> list[float]:
    return [low + (high - low) * i / (mels + 1) for i in range(mels + 2)]


def triangle(at: float, left: float, centre: float, right: float) -> float:
    return max(0.0, min((at - left) / (centre - left), (right - at) / (right - centre)))


def slaney_bank(rate: int, n_fft: int, mels: int, low: float, high: float) -> Array:
    edges = [slaney_hz(m) for m in spaced(slaney_mel(low), slaney_mel(high), mels)]
    return np.array(
        [
            [
                triangle(k * rate / n_fft, *edges[m : m + 3]) * 2 / (edges[m + 2] - edges[m])
                for k in range(n_fft // 2 + 1)
            ]
            for m in range(mels)
        ]
    )


def htk_bank(rate: int, n_fft: int, mels: int, low: float, high: float) -> Array:
    edges = [htk_hz(m) for m in spaced(htk_mel(low), htk_mel(high), mels)]
    return np.array(
        [
            [triangle(k * rate / n_fft, *edges[m : m + 3]) for k in range(n_fft // 2 + 1)]
            for m in range(mels)
        ]
    )


def mel_space_bank(
    rate: int, n_fft: int, mels: int, low: float, high: float, left_out: int
) -> Array:
    """Kaldi's and TensorFlow's: sides straight over mel, one edge bin left out."""
    edges = spaced(htk_mel(low), htk_mel(high), mels)
    bank = np.array(
        [
            [triangle(htk_mel(k * rate / n_fft), *edges[m : m + 3]) for k in range(n_fft // 2 + 1)]
            for m in range(mels)
        ]
    )
    bank[:, left_out] = 0
    return bank


def speechbrain_bank(rate: int, n_fft: int, mels: int, low: float, high: float) -> Array:
    edges = [htk_hz(m) for m in spaced(htk_mel(low), htk_mel(high), mels)]
    rows = []
    for m in range(mels):
        band = edges[m + 1] - edges[m]
        slopes = [(k * rate / n_fft - edges[m + 1]) / band for k in range(n_fft // 2 + 1)]
        rows.append([max(0.0, min(1 + slope, 1 - slope)) for slope in slopes])
    return np.array(rows)


# --- spectra -------------------------------------------------------------------------------------


def centred_power(wave_T: Array, window: Array, n_fft: int, hop: int, pad: str) -> Array:
    """librosa's and torch's STFT, squared: power_SF with 1 + n // hop frames."""
    left = (n_fft - len(window)) // 2
    taps = np.pad(window, (left, n_fft - len(window) - left))
    padded = np.pad(wave_T, n_fft // 2, mode="reflect" if pad == "reflect" else "constant")
    starts = range(0, len(padded) - n_fft + 1, hop)
    return np.stack([np.abs(np.fft.rfft(padded[s : s + n_fft] * taps)) ** 2 for s in starts], 1)


def left_aligned_frames(wave_T: Array, taps: int, hop: int) -> list[Array]:
    return [wave_T[s : s + taps] for s in range(0, len(wave_T) - taps + 1, hop)]


def kaldi_power(frames: list[Array], window: Array, n_fft: int) -> Array:
    columns = []
    for frame in frames:
        frame = frame - frame.mean()
        emphasised = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        columns.append(np.abs(np.fft.rfft(emphasised * window, n_fft)) ** 2)
    return np.stack(columns, 1)


def kaldi_fbank(wave_T: Array, window: Array, mels: int) -> Array:
    power = kaldi_power(left_aligned_frames(wave_T, 400, 160), window, 512)
    bank = mel_space_bank(16000, 512, mels, 20, 8000, left_out=-1)
    return np.log(np.maximum(bank @ power, KALDI_EPS))


def db(energy: Array) -> Array:
    return 10 * np.log10(np.maximum(energy, 1e-10))


# --- presets -------------------------------------------------------------------------------------


def torchaudio(wave_T: Array) -> Array:
    power = centred_power(wave_T, hann(400, 400), 400, 200, "reflect")
    return db(htk_bank(16000, 400, 128, 0, 8000) @ power)


def panns(wave_T: Array) -> Array:
    power = centred_power(wave_T, hann(1024, 1024), 1024, 320, "reflect")
    return db(slaney_bank(32000, 1024, 64, 50, 14000) @ power)


def panns_16k(wave_T: Array) -> Array:
    power = centred_power(wave_T, hann(512, 512), 512, 160, "reflect")
    return db(slaney_bank(16000, 512, 64, 50, 8000) @ power)


def repeated(wave_T: Array, samples: int) -> Array:
    whole = np.tile(wave_T, samples // len(wave_T))
    return np.pad(whole, (0, samples - len(whole)))


def clap(wave_T: Array) -> Array:
    power = centred_power(repeated(wave_T, 480_000), hann(1024, 1024), 1024, 480, "reflect")
    return db(slaney_bank(48000, 1024, 64, 50, 14000) @ power)


def clap_fusion(wave_T: Array) -> Array:
    power = centred_power(repeated(wave_T, 480_000), hann(1024, 1024), 1024, 480, "reflect")
    return db(htk_bank(48000, 1024, 64, 50, 14000) @ power)


def ast_like(wave_T: Array, frames: int, mean: float, std: float) -> Array:
    fbank = kaldi_fbank(wave_T, hann(400, 399), 128)[:, :frames]
    fbank = np.pad(fbank, ((0, 0), (0, frames - fbank.shape[1])))
    return (fbank - mean) / (2 * std)


def ast(wave_T: Array) -> Array:
    return ast_like(wave_T - wave_T.mean(), 1024, -4.2677393, 4.5689974)


def passt(wave_T: Array) -> Array:
    emphasised = wave_T[1:] - 0.97 * wave_T[:-1]
    power = centred_power(emphasised, hann(800, 799), 1024, 320, "reflect")
    bank = mel_space_bank(32000, 1024, 128, 0, 15000, left_out=-1)
    return (np.log(bank @ power + 1e-5) + 4.5) / 5


def beats(wave_T: Array) -> Array:
    fbank = kaldi_fbank(wave_T * 2**15, hann(400, 399) ** 0.85, 128)
    return (fbank - 15.41663) / (2 * 6.55582)


def whisper(wave_T: Array, mels: int = 80) -> Array:
    padded = np.pad(wave_T, (0, 480_000 - len(wave_T)))
    power = centred_power(padded, hann(400, 400), 400, 160, "reflect")[:, :-1]
    energy = np.log10(np.maximum(slaney_bank(16000, 400, mels, 0, 8000) @ power, 1e-10))
    return (np.maximum(energy, energy.max() - 8) + 4) / 4


def tensorflow_mel(wave_T: Array, offset: float) -> Array:
    frames = left_aligned_frames(wave_T, 400, 160)
    columns = [np.abs(np.fft.rfft(frame * hann(400, 400), 512)) for frame in frames]
    bank = mel_space_bank(16000, 512, 64, 125, 7500, left_out=0)
    return np.log(bank @ np.stack(columns, 1) + offset)


def yamnet(wave_T: Array) -> Array:
    hops = max(0, math.ceil((len(wave_T) - 15600) / 7680))
    return tensorflow_mel(np.pad(wave_T, (0, 15600 + 7680 * hops - len(wave_T))), 0.001)


def ecapa(wave_T: Array) -> Array:
    power = centred_power(wave_T, hamming(400, 400), 400, 160, "zeros")
    level = db(speechbrain_bank(16000, 400, 80, 0, 8000) @ power)
    level = np.maximum(level, level.max() - 80)
    return level - level.mean(axis=1, keepdims=True)


def wespeaker(wave_T: Array) -> Array:
    fbank = kaldi_fbank(wave_T * 2**15, hamming(400, 399), 80)
    return fbank - fbank.mean(axis=1, keepdims=True)


def nemo_raw(wave_T: Array) -> Array:
    emphasised = np.concatenate([wave_T[:1], wave_T[1:] - 0.97 * wave_T[:-1]])
    power = centred_power(emphasised, hann(400, 399), 512, 160, "zeros")
    return np.log(slaney_bank(16000, 512, 80, 0, 8000) @ power + 2**-24)[:, : len(wave_T) // 160]


def nemo(wave_T: Array) -> Array:
    raw = nemo_raw(wave_T)
    std = raw.std(axis=1, ddof=1, keepdims=True) + 1e-5
    return (raw - raw.mean(axis=1, keepdims=True)) / std


def dct(mels: int, ceps: int) -> Array:
    scale = [math.sqrt((1 if c == 0 else 2) / mels) for c in range(ceps)]
    return np.array(
        [
            [scale[c] * math.cos(math.pi / mels * (m + 0.5) * c) for m in range(mels)]
            for c in range(ceps)
        ]
    )


def matchboxnet(wave_T: Array) -> Array:
    power = centred_power(wave_T, hann(400, 400), 512, 160, "reflect")
    return dct(64, 64) @ np.log(htk_bank(16000, 512, 64, 0, 8000) @ power + 1e-6)


def kaldi_xvector(wave_T: Array) -> Array:
    count = (len(wave_T) + 80) // 160
    around = np.concatenate([wave_T[:400][::-1], wave_T, wave_T[-400:][::-1]]) * 2**15
    starts = [400 + 80 + 160 * f - 200 for f in range(count)]
    frames = [around[s : s + 400] for s in starts]
    power = kaldi_power(frames, hann(400, 399) ** 0.85, 512)
    bank = mel_space_bank(16000, 512, 30, 20, 7600, left_out=-1)
    ceps = dct(30, 30) @ np.log(np.maximum(bank @ power, KALDI_EPS))
    ceps *= np.array([[1 + 11 * math.sin(math.pi * c / 22)] for c in range(30)])
    ceps[0] = [math.log(max(((f - f.mean()) ** 2).sum(), KALDI_EPS)) for f in frames]
    return ceps


GOLDEN: dict[str, Callable[[Array], Array]] = {
    "torchaudio": torchaudio,
    "panns": panns,
    "panns-16k": panns_16k,
    "hts-at": panns,
    "clap": clap,
    "clap-fusion": clap_fusion,
    "ast": ast,
    "ast-esc50": lambda w: ast_like(w - w.mean(), 512, -6.6268077, 5.358466),
    "ast-speech-commands": lambda w: ast_like(w - w.mean(), 128, -6.845978, 5.5654526),
    "hf-ast": lambda w: ast_like(w, 1024, -4.2677393, 4.5689974),
    "passt": passt,
    "efficientat": passt,
    "beats": beats,
    "eat": lambda w: ast_like(w - w.mean(), 1024, -4.268, 4.569),
    "audio-mae": ast,
    "whisper": whisper,
    "whisper-large-v3": lambda w: whisper(w, 128),
    "vggish": lambda w: tensorflow_mel(w, 0.01),
    "yamnet": yamnet,
    "ecapa": ecapa,
    "wespeaker": wespeaker,
    "nemo": nemo,
    "matchboxnet": matchboxnet,
    "kaldi-xvector": kaldi_xvector,
}
