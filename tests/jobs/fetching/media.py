"""Audio in the containers that YouTube serves, made by PyAV from samples made here."""

import io
import tempfile
from pathlib import Path

import av
import numpy as np

RATE_HZ = 48_000


def noise(seconds: float, *, rate_hz: int = RATE_HZ, seed: int = 0) -> np.ndarray:
    """Loud mono noise, int16, low-passed so that lossy codecs keep its shape."""
    rng = np.random.default_rng(seed)
    num_samples = round(seconds * rate_hz)
    white = rng.normal(size=num_samples + 16)
    smooth = np.convolve(white, np.ones(16) / 16, mode="valid")[:num_samples]
    return np.clip(smooth * 30_000, -32_000, 32_000).astype(np.int16)


def encoded(
    pcm_T: np.ndarray,
    *,
    container: str,
    codec: str,
    rate_hz: int = RATE_HZ,
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> bytes:
    """Encode mono int16 samples; `options` are the container's."""
    sink = io.BytesIO()
    encode_to(
        sink,
        pcm_T,
        container=container,
        codec=codec,
        rate_hz=rate_hz,
        options=options,
        codec_options=codec_options,
    )
    return sink.getvalue()


def encode_to(
    sink: io.BytesIO | str,
    pcm_T: np.ndarray,
    *,
    container: str,
    codec: str,
    rate_hz: int = RATE_HZ,
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> None:
    frame = av.AudioFrame.from_ndarray(pcm_T.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate_hz
    frame.pts = 0
    with av.open(sink, "w", format=container, options=options or {}) as out:
        stream = out.add_stream(codec, rate=rate_hz, layout="mono", options=codec_options)
        stream.bit_rate = 128_000
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate_hz)
        for converted in resampler.resample(frame):
            out.mux(stream.encode(converted))
        out.mux(stream.encode(None))


def webm(pcm_T: np.ndarray) -> bytes:
    """Opus in WebM, in clusters of 5 s."""
    return encoded(pcm_T, container="webm", codec="libopus")


def youtube_webm(pcm_T: np.ndarray) -> bytes:
    """Opus in WebM as YouTube has it: clusters of 10 s, and their index in front of them."""
    options = {"cluster_time_limit": "10000", "reserve_index_space": "4000"}
    return encoded(pcm_T, container="webm", codec="libopus", options=options)


def youtube_m4a(pcm_T: np.ndarray) -> bytes:
    """AAC in MP4 as YouTube has it: fragments of 10 s, and their index (sidx) in front of them."""
    options = {
        "movflags": "empty_moov+default_base_moof+dash+global_sidx",
        "frag_duration": "10000000",
        "use_editlist": "0",
    }
    with tempfile.TemporaryDirectory() as folder:  # FFmpeg reads it again to put the index in
        path = Path(folder) / "audio.mp4"
        encode_to(str(path), pcm_T, container="mp4", codec="aac", options=options)
        return path.read_bytes()


def fragmented_m4a(pcm_T: np.ndarray) -> bytes:
    """AAC in MP4 fragments of 1 s without an index, and without an edit list."""
    return encoded(
        pcm_T,
        container="mp4",
        codec="aac",
        options={
            "movflags": "empty_moov+default_base_moof+frag_keyframe",
            "frag_duration": "1000000",
            "use_editlist": "0",
        },
    )


def m4a(pcm_T: np.ndarray, *, index_first: bool = False) -> bytes:
    """AAC in plain MP4, with an edit list."""
    # Space that is kept for the index in front; "faststart" would need a file on disk.
    options = {"moov_size": "60000"} if index_first else {}
    return encoded(pcm_T, container="mp4", codec="aac", options=options)


def wav(pcm_T: np.ndarray) -> bytes:
    return encoded(pcm_T, container="wav", codec="pcm_s16le")


def flac(pcm_T: np.ndarray) -> bytes:
    return encoded(pcm_T, container="flac", codec="flac")
