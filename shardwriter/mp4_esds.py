"""What an MP4 says of how its packets are decoded (ISO/IEC 14496-12, 8.5.2, and 14496-14)."""

from shardwriter.mp4_boxes import Children, UnusualMp4Error, number, walk

_ENTRY_BYTES = 28
"""Of a sound entry, before the boxes in it."""
_READ = frozenset((b"esds", b"btrt"))
_ES, _DECODER, _DECODER_SPECIFIC = 3, 4, 5  # tags of descriptors
_AAC = 0x40


def read_decoder_config(descriptions: memoryview) -> bytes:
    """Return the AudioSpecificConfig of a track.

    Args:
        descriptions: The track's `stsd` box.

    Raises:
        UnusualMp4Error: there is more than one description, or it is not of plain AAC.
    """
    entries = walk(descriptions[8:])
    if number(descriptions, 4) != 1 or len(entries) != 1 or entries[0].kind != b"mp4a":
        raise UnusualMp4Error("another codec than AAC, or several")
    entry = entries[0].content
    if number(entry, 6, 2) != 1 or number(entry, 8, 2):  # as QuickTime has it
        raise UnusualMp4Error("packets elsewhere, or described in another version")
    boxes = Children(entry[_ENTRY_BYTES:])
    if not boxes.kinds() <= _READ:
        raise UnusualMp4Error(f"a description with {boxes.kinds() - _READ}")
    stream = _descriptor(boxes.one(b"esds")[4:], _ES)
    if number(stream, 2, 1) >> 5:  # it depends on others, or is somewhere else
        raise UnusualMp4Error("a stream that is not alone")
    decoder = _descriptor(stream[3:], _DECODER)
    if number(decoder, 0, 1) != _AAC:
        raise UnusualMp4Error("another codec than AAC")
    config = _descriptor(decoder[13:], _DECODER_SPECIFIC)
    return bytes(config)


def _descriptor(data: memoryview, tag: int) -> memoryview:
    """Return what is in a descriptor of this tag, which stands in front (14496-1, 8.3.3)."""
    if number(data, 0, 1) != tag:
        raise UnusualMp4Error(f"no descriptor {tag} where there should be one")
    size, at = 0, 1
    for at in range(1, 5):  # seven bits a byte, of up to four
        byte = number(data, at, 1)
        size = size << 7 | byte & 0x7F
        if not byte & 0x80:
            break
    if at + 1 + size > len(data):
        raise UnusualMp4Error("a descriptor is longer than what holds it")
    return data[at + 1 : at + 1 + size]
