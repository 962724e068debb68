"""What Apple's encoders note of their delay, beside an edit or in its place.

The note is one of iTunes' own among a file's tags: `moov`, `udta`, `meta`, `ilst`, `----`. FFmpeg
believes it, and gives it to the track that comes last before it.
"""

import re

from shardwriter.mp4_boxes import Children, UnusualMp4Error, walk

_NAME = b"iTunSMPB"
_PARTS = {b"mean", b"name", b"data"}
_NUMBERS = re.compile(rb" 0{8} ([0-9A-F]{8}) [0-9A-F]{8} [0-9A-F]{16}( |\Z)")
"""Delay, padding and length, in samples."""
_MAX_DELAY = 16_383


def noted_delay(movie: memoryview) -> int | None:
    """Return the samples that a note calls the encoder's delay; None if there is no note.

    Args:
        movie: The file's `moov` box.

    Raises:
        UnusualMp4Error: the note is not where FFmpeg would find it for the one track there is, or
            it is not plain.
    """
    if _NAME not in bytes(movie):
        return None
    kinds = [box.kind for box in walk(movie) if box.kind in (b"trak", b"udta")]
    if kinds != [b"trak", b"udta"]:
        raise UnusualMp4Error("a note by iTunes, and no one track before it")
    tags = Children(Children(movie).descend(b"udta").one(b"meta")[4:])
    tags.one(b"hdlr")  # without which FFmpeg reads none of them
    own = [Children(tag) for tag in tags.descend(b"ilst").all(b"----")]
    notes = [tag for tag in own if tag.kinds() == _PARTS and tag.one(b"name")[4:] == _NAME]
    texts = [note.one(b"data")[8:] for note in notes]
    numbers = _NUMBERS.match(texts[0]) if len(texts) == 1 else None
    delay = 0 if numbers is None else int(numbers[1], 16)
    if not 0 < delay <= _MAX_DELAY:
        raise UnusualMp4Error("a note by iTunes that is not plain")
    return delay
