"""Where the packets of an MP4 track lie, from its sample tables (ISO/IEC 14496-12, 8.6 and 8.7).

MP4 calls a packet a sample. P counts packets, K chunks: runs of packets without a gap between them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shardwriter.mixdown import MAX_MONO_SAMPLES
from shardwriter.mp4_boxes import Children, UnusualMp4Error, number, table

PACKET_SAMPLES = 1024
"""Of AAC-LC, but for some in broadcasts, which are left to FFmpeg."""
MAX_PACKETS = MAX_MONO_SAMPLES // PACKET_SAMPLES
"""No more is decoded of any file."""
_MAX_OFFSET = 1 << 62
_MAX_DURATION = (1 << 31) - 1
"""FFmpeg takes longer ones for negative, and makes one tick of them."""
GROUPS = frozenset((b"sgpd", b"sbgp"))
"""Boxes that are passed over: they say from where one has to decode who seeks."""
_READ = frozenset((b"stsd", b"stts", b"stsc", b"stsz", b"stco", b"co64"))
_OWN_FILE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """The packets of a track, in the order they are decoded."""

    offsets_P: NDArray[np.int64]
    """First byte of each in the file; nobody has looked whether the file is that long."""
    sizes_P: NDArray[np.int64]
    starts_P: NDArray[np.int64]
    """In the track's time scale."""
    durations_P: NDArray[np.int64]

    def first(self, num: int) -> "Packets":
        """Return the first ones."""
        return Packets(
            offsets_P=self.offsets_P[:num],
            sizes_P=self.sizes_P[:num],
            starts_P=self.starts_P[:num],
            durations_P=self.durations_P[:num],
        )

    def check(self) -> None:
        """Look whether FFmpeg, too, would hand them all out in this order.

        Raises:
            UnusualMp4Error: there are none or too many, one is empty or lasts no time or hours,
                or they go back in time.
        """
        if not 0 < len(self.sizes_P) <= MAX_PACKETS:
            raise UnusualMp4Error(f"{len(self.sizes_P)} packets")
        if self.sizes_P.min() == 0 or self.durations_P.min() == 0:
            raise UnusualMp4Error("a packet of no bytes or no time")
        if self.durations_P.max() > _MAX_DURATION:
            raise UnusualMp4Error("a packet that lasts for hours")
        if (self.starts_P[1:] <= self.starts_P[:-1]).any():
            raise UnusualMp4Error("packets go back in time")


def sample_tables(media_info: Children) -> Children:
    """Return the tables in a track's `minf` box.

    Raises:
        UnusualMp4Error: one of them is unusual, or the packets are in other files.
    """
    references = media_info.descend(b"dinf").one(b"dref")
    if number(references, 4) != 1 or number(references, 16) & _OWN_FILE != _OWN_FILE:
        raise UnusualMp4Error("packets in other files")
    tables = media_info.descend(b"stbl")
    if not tables.kinds() <= _READ | GROUPS:
        raise UnusualMp4Error(f"tables {tables.kinds() - _READ - GROUPS}")
    return tables


def read_packets(tables: Children) -> Packets:
    """Read the `sample_tables` of a track that has no fragments.

    Raises:
        UnusualMp4Error: the tables don't agree, or say something beyond what is read.
    """
    sizes_P = _sizes(tables.one(b"stsz"))
    times = table(tables.one(b"stts"), num_columns=2)
    if times[:, 0].sum() != len(sizes_P) or not times.all():
        raise UnusualMp4Error("not as many durations as sizes, or a packet of no time")
    if times[0, 1] == 1:  # by which FFmpeg tells bare samples
        raise UnusualMp4Error("packets of one sample")
    durations_P = np.repeat(times[:, 1], times[:, 0])
    packets = Packets(
        offsets_P=_offsets(tables, sizes_P),
        sizes_P=sizes_P,
        starts_P=sums_before(durations_P),
        durations_P=durations_P,
    )
    packets.check()
    return packets


def _sizes(box: memoryview) -> NDArray[np.int64]:
    same, count = number(box, 4), number(box, 8)
    if not 0 < count <= MAX_PACKETS:
        raise UnusualMp4Error(f"{count} packets")
    return np.full(count, same) if same else table(box, num_columns=1, at=8)[:, 0]


def _offsets(tables: Children, sizes_P: NDArray[np.int64]) -> NDArray[np.int64]:
    offsets_K = _chunk_offsets(tables)
    counts_K = _chunk_counts(table(tables.one(b"stsc"), num_columns=3), len(offsets_K))
    if counts_K.sum() != len(sizes_P):
        raise UnusualMp4Error("not as many packets in chunks as sizes")
    before_P = sums_before(sizes_P)
    return before_P + np.repeat(offsets_K - before_P[sums_before(counts_K)], counts_K)


def _chunk_offsets(tables: Children) -> NDArray[np.int64]:
    wide = tables.maybe(b"co64")
    if wide is None:
        return table(tables.one(b"stco"), num_columns=1)[:, 0]
    halves = table(wide, num_columns=2)
    if tables.maybe(b"stco") is not None or (halves[:, 0] >= _MAX_OFFSET >> 32).any():
        raise UnusualMp4Error("offsets twice, or beyond any file")
    return halves[:, 0] << 32 | halves[:, 1]


def _chunk_counts(runs: NDArray[np.int64], num_chunks: int) -> NDArray[np.int64]:
    """Return the packets in each chunk, from runs of (first chunk, packets, description)."""
    firsts, counts, descriptions = runs.T
    lengths = np.append(firsts[1:], num_chunks + 1) - firsts
    if not len(runs) or firsts[0] != 1 or lengths.min() < 1:
        raise UnusualMp4Error("chunks that are not in order")
    if counts.min() < 1 or (descriptions != 1).any():
        raise UnusualMp4Error("empty chunks, or a second codec")
    return np.repeat(counts, lengths)


def sums_before(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sum of the lengths before each."""
    return np.cumsum(lengths) - lengths
