"""Encoded clips in one piece of memory, and the part of each that a row of a batch holds.

Arrays instead of an object a clip: what is done for a clip in Python, threads that decode side by
side wait for. Axes: P clips.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

TAIL_BYTES = 1024
"""What the memory has behind the clips, for the padding of a decoder."""
WHOLE = -1
"""Stands for the number of a first frame where there are all bytes of a clip."""


@dataclass(frozen=True, slots=True)
class SomeFrames:
    """Which frames of a clip there are, where it isn't all of it."""

    first: int
    """Number of the first; not the clip's last."""
    stop: int
    """Number of the one behind the last."""
    read_whole: Callable[[], bytes]
    """Returns the encoded file, for frames that turn out to be damaged, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipWindow:
    """An encoded clip, and the part of it that a row of a batch holds."""

    data: bytes | memoryview
    """The encoded file; the whole one, unless `frames` says which part it is."""
    row: int
    """Where in the batch."""
    start: int
    """First sample of the window."""
    num_samples: int
    """Length of the window; it lies inside the clip and fits the row."""
    clip_num_samples: int
    """Length of the clip, as the index has it."""
    where: object
    """Says, as text, dataset, shard, key and offset, for messages."""
    frames: SomeFrames | None = None
    """Set for some frames of a FLAC file of one channel of 16 bits, all as long as the first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedClips:
    """Clips as of `ClipWindow`, each for a row of its own."""

    memory: NDArray[np.uint8]
    """Holds all of them; its last `TAIL_BYTES` hold none, and change."""
    begin_P: NDArray[np.int64]
    """Where in the memory each begins."""
    num_bytes_P: NDArray[np.int64]
    row_P: NDArray[np.int64]
    start_P: NDArray[np.int64]
    num_samples_P: NDArray[np.int64]
    clip_num_samples_P: NDArray[np.int64]
    first_frame_P: NDArray[np.int64]
    """As of `SomeFrames`; `WHOLE` where there is all of a clip."""
    stop_frame_P: NDArray[np.int64]
    where: Callable[[int], object]
    """Says where the clip of a row lies."""
    read_whole: Callable[[int], bytes]
    """Returns the encoded file of a row of which there are some frames."""

    def __len__(self) -> int:
        return len(self.row_P)

    @classmethod
    def of(cls, clips: Sequence[ClipWindow]) -> "EncodedClips":
        """Return clips, copied into one piece of memory."""
        num_bytes = [len(clip.data) for clip in clips]
        where = {clip.row: clip.where for clip in clips}
        frames = {clip.row: clip.frames for clip in clips if clip.frames}
        return cls(
            # A `bytearray`, because compiled code is another one for arrays that can't be written.
            memory=np.frombuffer(
                bytearray().join([*(clip.data for clip in clips), bytes(TAIL_BYTES)]), np.uint8
            ),
            begin_P=np.cumsum([0, *num_bytes])[:-1],
            num_bytes_P=_array(num_bytes),
            row_P=_array(clip.row for clip in clips),
            start_P=_array(clip.start for clip in clips),
            num_samples_P=_array(clip.num_samples for clip in clips),
            clip_num_samples_P=_array(clip.clip_num_samples for clip in clips),
            first_frame_P=_array(clip.frames.first if clip.frames else WHOLE for clip in clips),
            stop_frame_P=_array(clip.frames.stop if clip.frames else 0 for clip in clips),
            where=where.__getitem__,
            read_whole=lambda row: frames[row].read_whole(),
        )

    def take(self, which: NDArray[np.int64]) -> "EncodedClips":
        """Return some of the clips, in the same memory."""
        return replace(self, **{name: getattr(self, name)[which] for name in _OF_EACH_CLIP})

    def whole(self) -> "EncodedClips":
        """Return the same clips with all of their bytes; they are read for it where they aren't."""
        return EncodedClips.of(
            [
                replace(clip, data=clip.frames.read_whole(), frames=None) if clip.frames else clip
                for clip in self
            ]
        )

    def __iter__(self) -> Iterator[ClipWindow]:
        """Yield the clips one by one; their bytes are not copied."""
        return map(self._clip, range(len(self)))

    def _clip(self, number: int) -> ClipWindow:
        begin, row = int(self.begin_P[number]), int(self.row_P[number])
        first, stop = int(self.first_frame_P[number]), int(self.stop_frame_P[number])
        return ClipWindow(
            data=self.memory.data[begin : begin + int(self.num_bytes_P[number])],
            row=row,
            start=int(self.start_P[number]),
            num_samples=int(self.num_samples_P[number]),
            clip_num_samples=int(self.clip_num_samples_P[number]),
            where=self.where(row),
            frames=None
            if first == WHOLE
            else SomeFrames(first, stop, partial(self.read_whole, row)),
        )


_OF_EACH_CLIP = tuple(each.name for each in fields(EncodedClips) if each.name.endswith("_P"))


def _array(numbers: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(numbers, np.int64)
