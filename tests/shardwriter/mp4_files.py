"""MP4 files for tests: as FFmpeg's muxer writes them, and changed box by box."""

import io
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

RATE = 44_100
FRAGMENTS = {"frag_duration": "30000", "use_editlist": "0"}
"""Of 30 ms: two packets."""
FORMS: dict[str, dict[str, str]] = {
    "plain": {},
    "index first": {"movflags": "faststart"},
    "no edit": {"use_editlist": "0"},
    "version 2": {"movflags": "negative_cts_offsets"},
    "exact edit": {"movie_timescale": str(RATE)},
    "one fragment": {"movflags": "empty_moov+default_base_moof", "use_editlist": "0"},
    "fragments": {"movflags": "frag_keyframe+empty_moov+default_base_moof", **FRAGMENTS},
    "fragments with places": {"movflags": "frag_every_frame+empty_moov", **FRAGMENTS},
    "fragments from their box": {"movflags": "empty_moov+omit_tfhd_offset", **FRAGMENTS},
    "fragments with an edit": {"movflags": "cmaf+delay_moov", "frag_duration": "30000"},
    "dash": {"movflags": "dash", **FRAGMENTS},
    "youtube": {"movflags": "dash+global_sidx+default_base_moof", **FRAGMENTS},
}


def aac(pcm_TC: np.ndarray, form: str = "plain", *, rate: int = RATE, video: bool = False) -> bytes:
    """Encode int16 samples as AAC in MP4, if asked for with a moving picture beside them."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[pcm_TC.shape[1]]
    with tempfile.TemporaryDirectory() as folder:  # FFmpeg reads it again to move the index
        path = str(Path(folder) / "a.mp4")
        with av.open(path, "w", format="mp4", options=FORMS[form]) as out:
            stream = out.add_stream("aac", rate=rate, layout=layout)
            picture = out.add_stream("mpeg4", rate=25) if video else None
            if picture is not None:
                picture.width = picture.height = 16
            for start in range(0, len(pcm_TC), 1024):
                block = np.ascontiguousarray(pcm_TC[start : start + 1024]).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
                frame.sample_rate, frame.pts = rate, start
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
            if picture is not None:
                image = np.zeros((16, 16, 3), np.uint8)
                for _ in range(3):
                    out.mux(picture.encode(av.VideoFrame.from_ndarray(image)))
                out.mux(picture.encode(None))
        return Path(path).read_bytes()


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


_CONTAINERS = frozenset(
    (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl", b"edts", b"moof", b"traf")
)


def changed(data: bytes, kind: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Put other bytes in the place of the boxes of a kind, wherever they are; the boxes around
    them grow with them."""
    out = io.BytesIO()
    at = 0
    while at < len(data):
        size, found = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + size]
        if found == kind:
            out.write(change(content))
        elif found in _CONTAINERS:
            out.write(box(found, changed(content, kind, change)))
        else:
            out.write(box(found, content))
        at += size
    return out.getvalue()


def patched(data: bytes, kind: bytes, at: int, value: bytes) -> bytes:
    """Overwrite bytes in the content of the boxes of a kind."""
    return changed(
        data,
        kind,
        lambda content: box(kind, content[:at] + value + content[at + len(value) :]),
    )


def itunes_note(delay: int) -> str:
    """Delay, padding and length in hexadecimal numbers, as Apple's encoders write them."""
    return f" 00000000 {delay:08X} 000001CA 0000000000001393"


def noted_by_itunes(data: bytes, text: str) -> bytes:
    """Put a note on delay and padding where Apple's encoders have it."""
    note = box(
        b"----",
        box(b"mean", bytes(4) + b"com.apple.iTunes")
        + box(b"name", bytes(4) + b"iTunSMPB")
        + box(b"data", b"\0\0\0\1" + bytes(4) + text.encode()),
    )
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    meta = box(b"meta", bytes(4) + handler + box(b"ilst", note))
    return changed(data, b"udta", lambda _: box(b"udta", meta))
