"""What the first frame of an MP3 says of the whole: the Xing, LAME and VBRI headers."""

import struct
from dataclasses import dataclass

from shardwriter.sniff import id3_num_bytes

_DECODER_DELAY = 529
"""Samples that every MP3 decoder is late; LAME's delay comes on top."""
_SLACK_FRAMES = 2
"""Encoders disagree on whether the frame with the header counts."""
_VBRI_AT = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Mp3Info:
    """What an MP3 says of its length."""

    num_priming_samples: int | None
    """Decoder and encoder delay; None if no LAME tag tells it."""
    min_num_samples: int
    """A whole file decodes to at least so many; 0 if nothing tells."""


def read_mp3_info(data: bytes) -> Mp3Info:
    """Read the headers in the first frame, where there are any."""
    start = id3_num_bytes(data)
    head = data[start : start + 256]
    # MPEG 2 and 2.5 have 576 samples a frame, MPEG 1 (both version bits set) 1152.
    num_per_frame = 1152 if len(head) > 1 and head[1] & 0x18 == 0x18 else 576
    num_frames, num_priming, num_padding = 0, None, 0
    at = max(head.find(b"Xing"), head.find(b"Info"))
    if at >= 0:
        if len(head) >= at + 12 and head[at + 7] & 1:
            num_frames = struct.unpack_from(">I", head, at + 8)[0]
        if len(head) >= at + 144 and any(head[at + 120 : at + 124]):
            delay = head[at + 141] << 4 | head[at + 142] >> 4
            num_priming = delay + _DECODER_DELAY
            num_padding = (head[at + 142] & 15) << 8 | head[at + 143]
    elif head[_VBRI_AT : _VBRI_AT + 4] == b"VBRI" and len(head) >= _VBRI_AT + 18:
        num_frames = struct.unpack_from(">I", head, _VBRI_AT + 14)[0]
    if at >= 0 and head[at + 120 : at + 124] == b"LAME":  # its count is exact
        surplus = (num_priming or 0) - _DECODER_DELAY + num_padding
    else:
        surplus = _SLACK_FRAMES * num_per_frame + (num_priming or 0) + num_padding
    return Mp3Info(
        num_priming_samples=num_priming,
        min_num_samples=max(num_frames * num_per_frame - surplus, 0),
    )
