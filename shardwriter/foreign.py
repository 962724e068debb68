"""Shards that others made: members grouped into samples as webdataset does, and indexed."""

import io
import re
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

import soundfile

from shardwriter.audio import clean_audio
from shardwriter.errors import AudioError, ShardFormatError
from shardwriter.flac_frames import find_frame_offsets
from shardwriter.foreign_labels import Label, LabelError, label_member, read_labels
from shardwriter.index import IndexRow, crc32c
from shardwriter.object_stream import ObjectStream
from shardwriter.schema import ForeignFormat, Rejection, RejectionReason
from shardwriter.storage import Store
from shardwriter.untar import TarMember, TarReader

AUDIO_SUFFIXES = ("flac", "wav", "mp3", "ogg", "opus", "m4a")
MAX_LABEL_BYTES = 1 << 24
_MAX_SECONDS = 3600.0
_UNKNOWN_NUM_SAMPLES = 1 << 62
_SAMPLE_NAME = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$", re.DOTALL)
"""webdataset's own rule (1.0.2, `base_plus_ext`): the first dot of the base name splits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioHeader:
    """What an encoded file says of itself."""

    container: str
    sample_rate_hz: int
    num_channels: int
    num_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMember:
    """A member that was read: an audio file or a label."""

    member: TarMember
    data: bytes


@dataclass(slots=True, kw_only=True)
class ForeignSample:
    """The members of one sample, by extension."""

    key: str
    suffixes: list[str] = field(default_factory=list)
    audio: HeldMember | None = None
    label: HeldMember | None = None
    label_suffix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignShard:
    """What one pass over a foreign shard found."""

    tar: str
    num_bytes: int
    sha256: str
    rows: tuple[IndexRow, ...]
    """Of the usable samples; their label ids are still empty."""
    labels: tuple[tuple[Label, ...], ...]
    """Of each row."""
    rejections: tuple[Rejection, ...]
    num_ignored_members: int
    """Files that belong to no sample: without extension, or named `__like_this__`."""
    audio_kinds: Counter[tuple[str, int, int]]
    """Clips by (container, sample rate in Hz, channels)."""


def split_name(name: str) -> tuple[str, str] | None:
    """Return a member's key and lower-case extension; None if it belongs to no sample."""
    match = _SAMPLE_NAME.match(name)
    if match is None or ("/" not in name and name.startswith("__") and name.endswith("__")):
        return None
    return match[1], match[2].lower()


def scan_foreign_shard(
    store: Store, tar: str, foreign: ForeignFormat, *, decode: Container[int] = range(0)
) -> ForeignShard:
    """Read a foreign shard once, in memory bounded by its largest sample.

    Args:
        store: Where it lies.
        tar: Its name.
        foreign: What is audio, and where the label is.
        decode: Places of the samples that are decoded too, counted over the whole shard; one that
            does not decode to what its header says is rejected as `truncated`.

    Raises:
        ShardFormatError: the tar is damaged, or holds what a shard must not hold.
        StorageError: it can't be read.
    """
    stream = ObjectStream(store, tar)
    scan = _Scan(where=stream.where)
    reader = TarReader(stream, num_bytes=stream.num_bytes, where=stream.where, is_foreign=True)
    for place, sample in enumerate(_samples(reader, foreign, scan)):
        scan.take(sample, foreign, decode=place in decode)
    return ForeignShard(
        tar=tar,
        num_bytes=stream.num_bytes,
        sha256=stream.sha256(),
        rows=tuple(scan.rows),
        labels=tuple(scan.labels),
        rejections=tuple(scan.rejections),
        num_ignored_members=scan.num_ignored_members,
        audio_kinds=scan.audio_kinds,
    )


def read_audio_header(data: bytes, *, name: str) -> AudioHeader:
    """Return what an encoded file's header says, decoding it if the header does not say it.

    Raises:
        AudioError: no decoder takes it, or it is too long.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            header = AudioHeader(
                container=f"{sound.format}/{sound.subtype}",
                sample_rate_hz=sound.samplerate,
                num_channels=sound.channels,
                num_samples=sound.frames,
            )
    except soundfile.SoundFileError:
        pass  # another decoder may take it, or say better what is wrong
    else:
        if 0 < header.num_samples < _UNKNOWN_NUM_SAMPLES:
            return header
    source = clean_audio(data, file=name, sample_rate_hz=32_000, max_seconds=_MAX_SECONDS).source
    return AudioHeader(
        container=source.container,
        sample_rate_hz=source.sample_rate_hz,
        num_channels=source.num_channels,
        num_samples=source.num_samples,
    )


class _Scan:
    """What a pass over a shard has found so far."""

    def __init__(self, *, where: str) -> None:
        self.where = where
        self.rows: list[IndexRow] = []
        self.labels: list[tuple[Label, ...]] = []
        self.rejections: list[Rejection] = []
        self.num_ignored_members = 0
        self.audio_kinds: Counter[tuple[str, int, int]] = Counter()
        self._keys: set[str] = set()

    def take(self, sample: ForeignSample, foreign: ForeignFormat, *, decode: bool) -> None:
        """Turn a sample into a row or a rejection."""
        held = ", ".join(f".{suffix}" for suffix in sample.suffixes)
        if sample.key in self._keys:
            self._reject(
                sample,
                RejectionReason.DUPLICATE,
                f"the key is in the shard already, with other members between; this time: {held}",
            )
            return
        self._keys.add(sample.key)
        if sample.audio is None:
            self._reject(sample, RejectionReason.NO_AUDIO, f"it has {held}")
            return
        labels = self._labels_of(sample, foreign, held=held)
        if labels is None:
            return
        name = sample.audio.member.name
        try:
            header = read_audio_header(sample.audio.data, name=name)
            frame_offsets = _frame_offsets(sample.audio.data, header, name=name)
            if decode:
                _check_decodes(sample.audio.data, header, name=name)
        except AudioError as err:
            self._reject(sample, RejectionReason(err.reason), err.detail)
            return
        kind = (header.container, header.sample_rate_hz, header.num_channels)
        self.audio_kinds[kind] += 1
        self.rows.append(_row(sample, header, frame_offsets))
        self.labels.append(labels)

    def _labels_of(
        self, sample: ForeignSample, foreign: ForeignFormat, *, held: str
    ) -> tuple[Label, ...] | None:
        labels = None
        try:
            if sample.label is not None:
                labels = read_labels(
                    sample.label.data, member=sample.label_suffix, field=foreign.label_field
                )
        except LabelError as err:
            self._reject(sample, RejectionReason.BAD_LABEL, str(err))
            return None
        if labels is None:
            detail = f"no {foreign.label_field}; it has {held}"
            self._reject(sample, RejectionReason.NO_LABEL, detail)
        return labels

    def _reject(self, sample: ForeignSample, reason: RejectionReason, detail: str) -> None:
        self.rejections.append(
            Rejection(
                clip_id=sample.key, stage="index", reason=reason, detail=f"{self.where}: {detail}"
            )
        )


def _samples(reader: TarReader, foreign: ForeignFormat, scan: _Scan) -> Iterator[ForeignSample]:
    """Group adjacent members of one key; only audio and labels are read into memory."""
    sample: ForeignSample | None = None
    for member in reader:
        parts = split_name(member.name)
        if parts is None:
            scan.num_ignored_members += 1
            continue
        key, suffix = parts
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = ForeignSample(key=key)
        if suffix in sample.suffixes:
            raise ShardFormatError(
                f"{scan.where} at byte {member.offset}: sample {key!r} has two members .{suffix}"
            )
        _add_member(sample, suffix, member, reader, foreign)
    if sample is not None:
        yield sample


def _add_member(
    sample: ForeignSample,
    suffix: str,
    member: TarMember,
    reader: TarReader,
    foreign: ForeignFormat,
) -> None:
    """Keep the first audio member, and the one that spells most of the label field."""
    sample.suffixes.append(suffix)
    if suffix in foreign.audio_suffixes:
        if sample.audio is None:
            sample.audio = HeldMember(member=member, data=reader.data())
        return
    is_label = label_member(foreign.label_field, (suffix, sample.label_suffix)) == suffix
    if is_label and member.num_bytes <= MAX_LABEL_BYTES:
        sample.label = HeldMember(member=member, data=reader.data())
        sample.label_suffix = suffix


def _row(sample: ForeignSample, header: AudioHeader, frame_offsets: tuple[int, ...]) -> IndexRow:
    if sample.audio is None or sample.label is None:
        raise ValueError(f"sample {sample.key!r} lacks its audio or its label")
    audio, label = sample.audio, sample.label
    return IndexRow(
        key=sample.key,
        audio_offset=audio.member.offset,
        audio_num_bytes=audio.member.num_bytes,
        audio_crc32c=crc32c(audio.data),
        json_offset=label.member.offset,
        json_num_bytes=label.member.num_bytes,
        json_crc32c=crc32c(label.data),
        num_samples=header.num_samples,
        sample_rate_hz=header.sample_rate_hz,
        label_ids=(),
        fold=None,
        group=None,
        frame_offsets=frame_offsets,
    )


def _frame_offsets(data: bytes, header: AudioHeader, *, name: str) -> tuple[int, ...]:
    if not header.container.startswith("FLAC/"):
        return ()
    try:
        return find_frame_offsets(data, where=name)
    except ShardFormatError as err:
        raise AudioError(RejectionReason.TRUNCATED, str(err)) from err


def _check_decodes(data: bytes, header: AudioHeader, *, name: str) -> None:
    decoded = clean_audio(
        data, file=name, sample_rate_hz=header.sample_rate_hz, max_seconds=_MAX_SECONDS
    )
    if decoded.source.num_samples != header.num_samples:
        raise AudioError(
            RejectionReason.TRUNCATED,
            f"{name} promises {header.num_samples} samples and holds {decoded.source.num_samples}",
        )
