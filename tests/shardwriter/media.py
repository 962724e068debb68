"""Encoded audio for tests, made with soundfile and PyAV from samples made here."""

import io
from fractions import Fraction

import av
import numpy as np
import soundfile

_SIXTEEN_BIT_NAMES = {"wavpack": "s16p", "tta": "s16"}
"""Encoders whose first choice is 8 bit."""


def noise(num_samples: int, *, num_channels: int = 1, seed: int = 0) -> np.ndarray:
    """Loud band-limited noise, int16, shape (samples, channels): no codec finds a lag twice."""
    rng = np.random.default_rng(seed)
    white = rng.normal(size=(num_samples + 8, num_channels))
    smooth = sum(white[shift : shift + num_samples] for shift in range(8)) / 8
    return np.clip(smooth * 20_000, -32_000, 32_000).astype(np.int16)


def by_soundfile(wave_TC: np.ndarray, rate: int, container: str, subtype: str) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, wave_TC, rate, format=container, subtype=subtype)
    return sink.getvalue()


def by_ffmpeg(pcm_TC: np.ndarray, rate: int, container: str, codec: str, **options: str) -> bytes:
    """Encode int16 samples with FFmpeg's muxer and codec of these names."""
    layout = {1: "mono", 2: "stereo", 8: "7.1", 16: "hexadecagonal"}[pcm_TC.shape[1]]
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(pcm_TC).reshape(1, -1), format="s16", layout=layout
    )
    frame.sample_rate = rate
    frame.pts = 0
    sink = io.BytesIO()
    with av.open(sink, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout, options=options)
        if codec in _SIXTEEN_BIT_NAMES:
            stream.format = _SIXTEEN_BIT_NAMES[codec]
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return sink.getvalue()


def remuxed(data: bytes, container: str) -> bytes:
    """The same packets in another container."""
    sink = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(sink, "w", format=container) as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return sink.getvalue()


def lag(wave_T: np.ndarray, original_T: np.ndarray) -> int:
    """Samples by which a wave is late, from the peak of the cross-correlation."""
    num_fft = 1 << (len(wave_T) + len(original_T)).bit_length()
    spectrum = np.fft.rfft(wave_T.astype(float), num_fft)
    other = np.fft.rfft(original_T.astype(float), num_fft)
    peak = int(np.argmax(np.fft.irfft(spectrum * np.conj(other), num_fft)))
    return peak - num_fft if peak > num_fft // 2 else peak


def snr_db(wave_T: np.ndarray, original_T: np.ndarray) -> float:
    error = wave_T.astype(float) - original_T.astype(float)
    return 10 * float(np.log10(np.square(original_T.astype(float)).sum() / np.square(error).sum()))


def seconds(num_samples: int, rate: int) -> float:
    return float(Fraction(num_samples, rate))
