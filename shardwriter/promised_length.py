"""How long a file must be at least, as its header tells: libraries shorten cut files unasked."""

import struct

from shardwriter.mp4_boxes import UnusualMp4Error, headers, number, numbers, version_and_flags

_UNKNOWN_SIZES = frozenset({0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF})
"""What recorders that write to a pipe leave in the size field of the audio chunk."""
_BOXES_OF_FRAGMENTS = frozenset(
    (b"sidx", b"moof", b"mdat", b"styp", b"emsg", b"prft", b"free", b"skip", b"mfra")
)
_W64_RIFF_ID = bytes.fromhex("726966662e91cf11a5d628db04c10000")


def promised_num_bytes(data: bytes) -> int | None:
    """Return how many bytes a whole file has at least; None if its header doesn't tell.

    WAV, RF64, W64, AIFF and AU tell, and MP4 in fragments, any number of which would be decoded.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return _end_of_wav_data(data)
    if data[:4] == b"RF64" and data[12:16] == b"ds64" and len(data) >= 28:
        return 8 + int.from_bytes(data[20:28], "little")
    if data[:16] == _W64_RIFF_ID:
        return int.from_bytes(data[16:24], "little")
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        num_bytes = int.from_bytes(data[4:8], "big")
        return None if num_bytes in _UNKNOWN_SIZES else 8 + num_bytes
    if data[:4] == b".snd":
        start, num_bytes = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
        return None if num_bytes in _UNKNOWN_SIZES else start + num_bytes
    if data[4:8] == b"ftyp":
        return _end_of_fragments(memoryview(data))
    return None


def _end_of_fragments(file: memoryview) -> int | None:
    """Return where the last box of an MP4 in fragments ends, or what an index of them lists."""
    ends, is_fragmented = [0], False
    try:
        for kind, _, content, end in headers(file):
            if kind in _BOXES_OF_FRAGMENTS:  # and not what someone has put behind the file
                ends.append(end)
            is_fragmented |= kind in (b"moof", b"sidx")
            if kind == b"sidx" and end <= len(file):
                ends.append(end + _num_indexed_bytes(file[content:end]))
    except UnusualMp4Error:  # for decoders to judge
        return None
    return max(ends) if is_fragmented else None


def _num_indexed_bytes(index: memoryview) -> int:
    """Return how far a segment index reaches behind itself (ISO/IEC 14496-12, 8.16.3)."""
    version, _ = version_and_flags(index)
    width = 8 if version else 4
    first_offset, at = number(index, 12 + width, width), 12 + 2 * width
    references = numbers(index, at + 4, num_rows=number(index, at + 2, 2), num_columns=3)
    return first_offset + int((references[:, 0] & 0x7FFFFFFF).sum())


def _end_of_wav_data(data: bytes) -> int | None:
    position = 12
    while position + 8 <= len(data):
        name, num_bytes = struct.unpack_from("<4sI", data, position)
        position += 8
        if name == b"data":
            return None if num_bytes in _UNKNOWN_SIZES else position + num_bytes
        position += num_bytes + num_bytes % 2
    return None


def promised_flac_samples(data: bytes, *, start: int = 0) -> int:
    """Return the samples a channel that STREAMINFO states (RFC 9639, 8.2); 0 if it doesn't tell."""
    at = start + 8 + 10  # fLaC, block header; rate, channels and depth fill the 28 bits before
    if data[start : start + 4] != b"fLaC" or len(data) < at + 8:
        return 0
    return int.from_bytes(data[at : at + 8], "big") & ((1 << 36) - 1)
