"""Where the frames of a FLAC file begin, found in its bytes (RFC 9639, sections 8 and 9).

A frame begins with the 15 bits of the sync code and its header ends in a CRC-8, both of which
random bytes can imitate. So a candidate also has to carry the number that comes next, and at
the end the frames must add up to the samples that STREAMINFO states.
"""

from dataclasses import dataclass

from shardwriter.errors import ShardFormatError

_FIXED_SYNC = b"\xff\xf8"
_VARIABLE_SYNC = b"\xff\xf9"
_MAX_HEADER_BYTES = 16
_SIMPLE_BLOCK_SIZES = {1: 192} | {code: 144 << code for code in range(2, 6)}
_POWER_BLOCK_SIZES = {code: 1 << code for code in range(8, 16)}
_EXTRA_RATE_BYTES = {12: 1, 13: 2, 14: 2}


def _crc8_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte << 1 ^ (0x107 if byte & 0x80 else 0)  # x^8 + x^2 + x + 1
        table.append(byte)
    return tuple(table)


_CRC8 = _crc8_table()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """What the first metadata block says, and where the metadata ends."""

    max_block_num_samples: int
    min_frame_bytes: int
    sample_rate_hz: int
    num_channels: int
    bits_per_sample: int
    num_samples: int
    """0 if the encoder did not know."""
    metadata_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _FrameHeader:
    number: int
    """Of the frame, or with variable blocks of its first sample."""
    num_samples: int


def read_stream_info(data: bytes, *, where: str) -> StreamInfo:
    """Read STREAMINFO and walk over the other metadata blocks.

    Raises:
        ShardFormatError: no FLAC, or cut in its metadata.
    """
    if data[:4] != b"fLaC" or len(data) < 42 or data[4] & 0x7F != 0:
        raise ShardFormatError(f"{where}: not a FLAC file; it begins with {data[:8]!r}")
    position, is_last = 4, False
    while not is_last:
        if position + 4 > len(data):
            raise ShardFormatError(f"{where} at byte {position}: the FLAC metadata is cut")
        is_last = bool(data[position] & 0x80)
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "big")
    packed = int.from_bytes(data[18:26], "big")
    return StreamInfo(
        max_block_num_samples=int.from_bytes(data[10:12], "big"),
        min_frame_bytes=int.from_bytes(data[12:15], "big"),
        sample_rate_hz=packed >> 44,
        num_channels=(packed >> 41 & 7) + 1,
        bits_per_sample=(packed >> 36 & 31) + 1,
        num_samples=packed & (1 << 36) - 1,
        metadata_end=position,
    )


def find_frame_offsets(data: bytes, *, where: str) -> tuple[int, ...]:
    """Return the byte offset of each frame from the start of a FLAC file, ascending.

    Args:
        data: The whole file.
        where: Shard and member, for messages.

    Raises:
        ShardFormatError: not a FLAC file, or its frames don't add up to the stated samples.
    """
    info = read_stream_info(data, where=where)
    start = info.metadata_end
    sync = data[start : start + 2]
    offsets: list[int] = []
    num_samples = 0
    if sync in (_FIXED_SYNC, _VARIABLE_SYNC):
        is_variable = sync == _VARIABLE_SYNC
        # A frame's smallest size lets the search jump over most of its bytes.
        stride = max(info.min_frame_bytes, 2)
        while start >= 0:
            header = _read_frame_header(data, start)
            expected = num_samples if is_variable else len(offsets)
            if header is not None and header.number == expected:
                offsets.append(start)
                num_samples += header.num_samples
                start = data.find(sync, start + stride)
            elif offsets:
                start = data.find(sync, start + 1)
            else:
                break
    if not offsets or info.num_samples not in (0, num_samples):
        raise ShardFormatError(
            f"{where}: found {len(offsets)} FLAC frames of {num_samples} samples, expected "
            f"{info.num_samples} samples; the audio is truncated or damaged"
        )
    return tuple(offsets)


def _read_frame_header(data: bytes, start: int) -> _FrameHeader | None:
    """Read the header at `start`; None if there is none, or its CRC-8 is wrong."""
    head = data[start : start + _MAX_HEADER_BYTES]
    if len(head) < 6:
        return None
    block_code, rate_code = head[2] >> 4, head[2] & 15
    number, position = _read_coded_number(head)
    if number < 0 or block_code == 0 or rate_code == 15:
        return None
    if block_code in (6, 7):
        width = block_code - 5
        num_samples = int.from_bytes(head[position : position + width], "big") + 1
        position += width
    else:
        num_samples = _SIMPLE_BLOCK_SIZES.get(block_code) or _POWER_BLOCK_SIZES[block_code]
    position += _EXTRA_RATE_BYTES.get(rate_code, 0)
    if position >= len(head) or _crc8(head[:position]) != head[position]:
        return None
    return _FrameHeader(number=number, num_samples=num_samples)


def _read_coded_number(head: bytes) -> tuple[int, int]:
    """Read the number in UTF-8's manner from byte 4; return it (-1: none) and what follows."""
    first = head[4]
    if first < 0x80:
        return first, 5
    width = 8 - (first ^ 0xFF).bit_length()  # leading ones: bytes of the whole code
    tail = head[5 : 4 + width]
    if not 2 <= width <= 7 or len(tail) != width - 1 or any(byte >> 6 != 2 for byte in tail):
        return -1, 0
    number = first & (0x7F >> width)
    for byte in tail:
        number = number << 6 | byte & 0x3F
    return number, 4 + width


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value
