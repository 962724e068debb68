"""Which container encoded bytes are in, told from the bytes alone: file names lie.

Each container names the libraries that decode it, in order; the order was measured (5 s clips
of 44.1 and 48 kHz, ms of CPU a clip on an AMD EPYC, libsndfile 1.2.2 and libavcodec 62.28)::

    WAV 16 bit mono   libsndfile 0.1   FFmpeg 3.8        Ogg Vorbis   libsndfile 18   FFmpeg 6.3
    FLAC stereo       libsndfile 3.4   FFmpeg 3.5        Ogg Opus     libsndfile 18   FFmpeg 7.0
    MP3 stereo        libsndfile 3.4   FFmpeg 5.3        WebM, WMA ...                FFmpeg only
    AAC-LC in MP4     our own 1.9      FFmpeg 3.9        other codecs in MP4          FFmpeg only

Ogg Vorbis goes to libsndfile all the same: where a stream ends within its first pages FFmpeg
leaves up to a block of padding (8,192 samples of 8,000). libsndfile gives Opus at a rate that is
only a hint in its header, so Opus goes to FFmpeg.

FFmpeg is never left to guess: it is told the demuxer, so that bytes that look like a playlist
can't make it open other files or addresses.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A kind of audio file."""

    name: str
    suffix: str
    """File name extension without the dot."""
    demuxer: str | None
    """FFmpeg's name for it; None if FFmpeg is not to be asked."""
    libsndfile_first: bool = False
    """Whether libsndfile is asked first, and FFmpeg only where it refuses."""


WAV = Container(name="wav", suffix="wav", demuxer="wav", libsndfile_first=True)
FLAC = Container(name="flac", suffix="flac", demuxer="flac", libsndfile_first=True)
MP3 = Container(name="mp3", suffix="mp3", demuxer="mp3", libsndfile_first=True)
ADTS = Container(name="adts", suffix="aac", demuxer="aac")
OGG = Container(name="ogg", suffix="ogg", demuxer="ogg", libsndfile_first=True)
OGG_OPUS = Container(name="ogg", suffix="opus", demuxer="ogg")
MP4 = Container(name="mp4", suffix="m4a", demuxer="mov")
MATROSKA = Container(name="matroska", suffix="webm", demuxer="matroska")
GSM = Container(name="gsm", suffix="gsm", demuxer="gsm")
G722 = Container(name="g722", suffix="g722", demuxer="g722")

_RIFF_FORMS = {
    b"WAVE": WAV,
    b"AVI ": Container(name="avi", suffix="avi", demuxer="avi"),
}
_SIGNATURES: tuple[tuple[bytes, Container], ...] = (
    (b"fLaC", FLAC),
    (b"\x1aE\xdf\xa3", MATROSKA),
    (b"0&\xb2u\x8ef\xcf\x11", Container(name="asf", suffix="wma", demuxer="asf")),
    (b"RF64", WAV),
    (b"riff\x2e\x91\xcf\x11", Container(name="w64", suffix="w64", demuxer="w64")),
    (b"caff", Container(name="caf", suffix="caf", demuxer="caf", libsndfile_first=True)),
    (b".snd", Container(name="au", suffix="au", demuxer="au", libsndfile_first=True)),
    (
        b"NIST_1A",
        Container(name="sphere", suffix="sph", demuxer="nistsphere", libsndfile_first=True),
    ),
    (
        b"Creative Voice File",
        Container(name="voc", suffix="voc", demuxer="voc", libsndfile_first=True),
    ),
    (b"#!AMR", Container(name="amr", suffix="amr", demuxer="amr")),
    (b"\x0bw", Container(name="ac3", suffix="ac3", demuxer="ac3")),
    (b"MAC ", Container(name="ape", suffix="ape", demuxer="ape")),
    (b"wvpk", Container(name="wavpack", suffix="wv", demuxer="wv")),
    (b"TTA1", Container(name="tta", suffix="tta", demuxer="tta")),
    (b"FLV\x01", Container(name="flv", suffix="flv", demuxer="flv")),
    (b"DSD ", Container(name="dsf", suffix="dsf", demuxer="dsf")),
    (b"MPCK", Container(name="musepack", suffix="mpc", demuxer="mpc8")),
    (b"MP+", Container(name="musepack", suffix="mpc", demuxer="mpc")),
)
_AIFF = Container(name="aiff", suffix="aiff", demuxer="aiff", libsndfile_first=True)
_HEADERLESS = {"gsm": GSM, "g722": G722}
_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})
_OGG_FIRST_PACKET = 28  # behind the page header of a page with one segment
_ID3_HEADER_BYTES = 10


def sniff(data: bytes, *, file: str = "") -> Container | None:
    """Return the container of encoded audio; None if the bytes are of none that is known.

    Args:
        data: The whole file.
        file: Its name, which decides only for telephone codecs that have no header at all
            (`.gsm`, `.g722`).
    """
    start = id3_num_bytes(data)
    head = data[start : start + 64]
    for signature, container in _SIGNATURES:
        if head.startswith(signature):
            return container
    if head[:4] == b"RIFF":
        return _RIFF_FORMS.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _AIFF
    if head[:4] == b"OggS":
        return OGG_OPUS if head[_OGG_FIRST_PACKET:].startswith(b"OpusHead") else OGG
    if head[4:8] in _MP4_BOXES:
        return MP4
    return _mpeg_audio(head, has_id3=start > 0) or _HEADERLESS.get(file.rpartition(".")[2].lower())


def id3_num_bytes(data: bytes) -> int:
    """Return the length of the ID3v2 tag in front, 0 if there is none."""
    if data[:3] != b"ID3" or len(data) < _ID3_HEADER_BYTES:
        return 0
    # Four bytes of seven bits each.
    size = (data[6] & 127) << 21 | (data[7] & 127) << 14 | (data[8] & 127) << 7 | data[9] & 127
    return size + _ID3_HEADER_BYTES


def _mpeg_audio(head: bytes, *, has_id3: bool) -> Container | None:
    """Tell MP3 from raw AAC by the first frame header; a tag without one counts as MP3."""
    if len(head) >= 4 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
        if head[1] & 0xF6 == 0xF0:
            return ADTS
        if version != 1 and layer != 0 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3:
            return MP3
    return MP3 if has_id3 else None
