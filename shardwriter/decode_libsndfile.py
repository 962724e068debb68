"""Decoding with libsndfile, and the check that it leaves out.

libsndfile never looks at the MD5 that a FLAC file carries; it is checked here.
"""

import hashlib
import io
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from shardwriter.decoded import Decoded
from shardwriter.errors import AudioError
from shardwriter.mixdown import DecodeRules, Mixdown
from shardwriter.mp3 import read_mp3_info
from shardwriter.schema import RejectionReason
from shardwriter.sniff import FLAC, Container, id3_num_bytes

DECODER = f"libsndfile {soundfile.__libsndfile_version__}"

_READ_BLOCK_SAMPLES = 1 << 18
_UNKNOWN_LENGTH = _READ_BLOCK_SAMPLES << 20
"""libsndfile gives numbers over this where a header states no length."""
_NO_SUCH_FILE = 7
"""libsndfile's error code where its MP3 decoder finds no frame, too; these files are in memory."""
_EXACT_AS_INT16 = frozenset(
    {"PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32"}
)
_SEEKS_EXACTLY = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")


def decode_with_libsndfile(
    data: bytes, container: Container, *, file: str, rules: DecodeRules
) -> Decoded:
    """Decode a file.

    Raises:
        AudioError: libsndfile refuses it (`UNREADABLE`), or the file is not whole or not in
            bounds.
    """
    try:
        with soundfile.SoundFile(_Bytes(data)) as sound:
            mixdown = Mixdown(
                rules, file=file, sample_rate_hz=sound.samplerate, num_channels=sound.channels
            )
            if container is FLAC and rules.cut is None:
                digest = _FlacDigest(data, sound.subtype)
            else:
                digest = None
            full_scale = _read(sound, mixdown, digest=digest)
            promised, subtype = sound.frames, sound.subtype
    except soundfile.SoundFileError as err:
        raise AudioError(RejectionReason.UNREADABLE, f"{file}: {_refusal(err)}") from err
    mp3 = read_mp3_info(data) if subtype.startswith("MPEG_LAYER") else None
    if mp3 is not None:
        promised = mp3.min_num_samples  # libsndfile's is a guess from the bit rate
    if not mixdown.is_full and mixdown.position < promised < _UNKNOWN_LENGTH:
        raise AudioError(
            RejectionReason.TRUNCATED,
            f"{file} promises {promised} samples and holds {mixdown.position}",
        )
    if digest is not None:
        digest.check(file=file)
    return Decoded(
        wave_T=mixdown.finish(full_scale=full_scale),
        sample_rate_hz=mixdown.sample_rate_hz,
        num_channels=mixdown.num_channels,
        start_sample=mixdown.start,
        codec=subtype,
        decoder=DECODER,
        num_priming_samples=0 if mp3 is None else mp3.num_priming_samples,
    )


def _read(sound: soundfile.SoundFile, mixdown: Mixdown, *, digest: "_FlacDigest | None") -> float:
    """Read in blocks, because the length that a header states can be wrong or unknown.

    Returns the value that stands for full scale.
    """
    is_int16 = sound.subtype in _EXACT_AS_INT16
    if 0 < mixdown.start < sound.frames and sound.subtype.startswith(_SEEKS_EXACTLY):
        sound.seek(mixdown.start)
        mixdown.skip_to_start()
    num_read = _READ_BLOCK_SAMPLES
    while num_read == _READ_BLOCK_SAMPLES and not mixdown.is_full:
        block_TC = sound.read(
            _READ_BLOCK_SAMPLES, dtype="int16" if is_int16 else "float32", always_2d=True
        )
        num_read = len(block_TC)
        if digest is not None:
            digest.update(block_TC)
        mixdown.add([block_TC[:, channel] for channel in range(mixdown.num_channels)])
    return 32768.0 if is_int16 else 1.0


class _Bytes(io.BytesIO):
    """Bytes as a file in which a seek before the beginning, as damaged headers ask, ends there.

    An exception in soundfile's callback would be printed and ignored.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return super().seek(max(offset, 0) if whence == io.SEEK_SET else offset, whence)


class _FlacDigest:
    """The MD5 of a FLAC's samples, which its STREAMINFO holds."""

    def __init__(self, data: bytes, subtype: str) -> None:
        start = id3_num_bytes(data) + 26  # fLaC, block header, 18 bytes of STREAMINFO
        self._expected = data[start : start + 16]
        self._subtype = subtype
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, block_TC: npt.NDArray[Any]) -> None:
        if self._subtype == "PCM_16":
            held = block_TC.astype("<i2", copy=False)
        elif self._subtype == "PCM_S8":
            held = (block_TC >> 8).astype(np.int8)
        else:
            wide_TC = np.rint(block_TC * np.float32(1 << 23)).astype("<i4")
            held = wide_TC[..., None].view(np.uint8)[..., :3]
        self._md5.update(held.tobytes())

    def check(self, *, file: str) -> None:
        if any(self._expected) and self._md5.digest() != self._expected:
            raise AudioError(
                RejectionReason.CORRUPT,
                f"{file}: its samples' MD5 is {self._md5.hexdigest()}, "
                f"its STREAMINFO says {self._expected.hex()}",
            )


def _refusal(err: soundfile.SoundFileError) -> str:
    if isinstance(err, soundfile.LibsndfileError) and err.code == _NO_SUCH_FILE:
        return "libsndfile finds no sound in it"
    return "libsndfile says: " + " ".join(re.sub(r"Error opening <[^>]*>: ", "", str(err)).split())
