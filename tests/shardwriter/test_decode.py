import io
import struct

import av
import numpy as np
import pytest
import soundfile

from shardwriter.decode import SourceAudio, decode
from shardwriter.decode_ffmpeg import decode_with_ffmpeg
from shardwriter.errors import AudioError
from shardwriter.mixdown import Cut, DecodeRules
from shardwriter.schema import RejectionReason
from shardwriter.sniff import MP4, sniff
from tests.shardwriter.media import by_ffmpeg, by_soundfile, lag, noise, remuxed, seconds, snr_db

RATE = 44_100
NUM = 30_011
"""Prime: no codec's frame divides it."""
PCM = noise(NUM)


def run(
    data: bytes, *, file: str = "clip", max_seconds: float = 60.0, **rules: object
) -> SourceAudio:
    return decode(data, file=file, rules=DecodeRules(max_seconds=max_seconds, **rules))


def reason(data: bytes, **rules: object) -> RejectionReason:
    with pytest.raises(AudioError) as caught:
        run(data, **rules)
    return RejectionReason(caught.value.reason)


def as_float(wave_T: np.ndarray) -> np.ndarray:
    return wave_T / 32768 if wave_T.dtype == np.int16 else wave_T


INTEGER_SUBTYPES = [
    ("WAV", "PCM_U8", 8),
    ("AU", "PCM_S8", 8),
    ("FLAC", "PCM_S8", 8),
    ("WAV", "PCM_16", 16),
    ("AIFF", "PCM_16", 16),
    ("AU", "PCM_16", 16),
    ("CAF", "PCM_16", 16),
    ("W64", "PCM_16", 16),
    ("RF64", "PCM_16", 16),
    ("FLAC", "PCM_16", 16),
    ("WAV", "PCM_24", 24),
    ("AIFF", "PCM_24", 24),
    ("FLAC", "PCM_24", 24),
    ("WAVEX", "PCM_24", 24),
]


@pytest.mark.parametrize(("container", "subtype", "bits"), INTEGER_SUBTYPES)
def test_integers_of_up_to_24_bit_decode_exactly(container: str, subtype: str, bits: int) -> None:
    rng = np.random.default_rng(bits)
    steps_T = rng.integers(-(1 << bits - 1), 1 << bits - 1, NUM)
    steps_T[:2] = -(1 << bits - 1), (1 << bits - 1) - 1
    data = by_soundfile((steps_T << 32 - bits).astype(np.int32), RATE, container, subtype)
    wave_T = run(data).wave_T
    assert np.array_equal(as_float(wave_T).astype(float) * (1 << bits - 1), steps_T)


@pytest.mark.parametrize("subtype", ["PCM_32", "FLOAT", "DOUBLE"])
def test_wide_samples_decode_to_the_nearest_float32(subtype: str) -> None:
    wave_T = np.random.default_rng(1).uniform(-1, 1, NUM).astype(np.float32)
    data = by_soundfile(wave_T, RATE, "WAV", subtype)
    assert np.allclose(run(data).wave_T, wave_T, rtol=0, atol=2**-24)


@pytest.mark.parametrize("num_channels", [1, 2, 3, 6, 8])
@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 96_000, 192_000])
def test_channels_are_mixed_to_their_mean_at_every_rate(num_channels: int, rate: int) -> None:
    pcm_TC = noise(5_003, num_channels=num_channels)
    decoded = run(by_soundfile(pcm_TC, rate, "WAV", "PCM_16"))
    assert (decoded.source.sample_rate_hz, decoded.source.num_channels) == (rate, num_channels)
    assert np.allclose(as_float(decoded.wave_T), pcm_TC.mean(axis=1) / 32768, rtol=0, atol=2**-24)


def test_one_channel_can_be_taken_instead_of_the_mean() -> None:
    pcm_TC = noise(5_003, num_channels=3)
    data = by_soundfile(pcm_TC, RATE, "FLAC", "PCM_16")
    assert np.array_equal(as_float(run(data, channel=2).wave_T), pcm_TC[:, 2] / 32768)
    assert reason(data, channel=3) is RejectionReason.UNSUPPORTED


LOSSLESS = [
    ("ogg", "flac"),
    ("mp4", "flac"),
    ("ipod", "alac"),
    ("matroska", "flac"),
    ("matroska", "pcm_s16le"),
    ("wv", "wavpack"),
    ("tta", "tta"),
    ("avi", "pcm_s16le"),
    ("wav", "pcm_s16le"),
    ("aiff", "pcm_s16be"),
    ("mov", "pcm_s16be"),
]


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize(("container", "codec"), LOSSLESS)
def test_lossless_codecs_give_the_samples_back(
    container: str, codec: str, num_channels: int
) -> None:
    pcm_TC = noise(NUM, num_channels=num_channels)
    decoded = run(by_ffmpeg(pcm_TC, RATE, container, codec))
    assert np.array_equal(
        as_float(decoded.wave_T), (pcm_TC.sum(axis=1) / (32768 * num_channels)).astype(np.float32)
    )


LOSSY = [
    # container, codec, rate, encoder delay that is left out, least SNR in dB
    ("mp4", "aac", RATE, 1024, 10.0),
    ("matroska", "aac", RATE, 1024, 10.0),
    ("mp3", "libmp3lame", RATE, 1105, 10.0),
    ("mp3", "libmp3lame", 16_000, 1105, 10.0),
    ("ogg", "libopus", 48_000, 312, 3.0),
    ("webm", "libopus", 48_000, 312, 3.0),
    ("mp4", "libopus", 48_000, 312, 3.0),
]


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize(("container", "codec", "rate", "num_priming", "least_snr_db"), LOSSY)
def test_lossy_codecs_keep_length_and_place(
    container: str, codec: str, rate: int, num_priming: int, least_snr_db: float, num_channels: int
) -> None:
    mono_TC = noise(NUM)
    data = by_ffmpeg(np.repeat(mono_TC, num_channels, axis=1), rate, container, codec, b="192k")
    decoded = run(data)
    wave_T = as_float(decoded.wave_T)
    assert decoded.source.num_priming_samples == num_priming
    if (container, codec) == ("matroska", "aac"):  # its header is exact to milliseconds only
        assert NUM <= len(wave_T) < NUM + 1024
        wave_T = wave_T[:NUM]
    assert len(wave_T) == NUM
    assert lag(wave_T, mono_TC[:, 0]) == 0
    assert snr_db(wave_T, mono_TC[:, 0] / 32768) > least_snr_db


@pytest.mark.parametrize("container", ["ogg", "webm"])
def test_vorbis_keeps_length_and_place(container: str) -> None:
    ogg = by_soundfile(PCM, RATE, "OGG", "VORBIS")
    decoded = run(ogg if container == "ogg" else remuxed(ogg, container))
    assert decoded.source.container.lower().endswith("vorbis")
    assert len(decoded.wave_T) == NUM or container == "webm"
    assert lag(decoded.wave_T[:NUM], PCM[:, 0]) == 0


def test_both_decoders_agree_on_vorbis() -> None:
    data = by_soundfile(PCM, RATE, "OGG", "VORBIS")
    reference, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    assert np.allclose(run(data).wave_T, reference, rtol=0, atol=1e-5)


def test_opus_decodes_at_48_khz_whatever_went_in() -> None:
    decoded = run(by_ffmpeg(noise(16_001), 16_000, "ogg", "libopus"))
    assert decoded.source.sample_rate_hz == 48_000
    assert len(decoded.wave_T) == 3 * 16_001


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("asf", "wmav2", RATE), ("adts", "aac", RATE), ("ac3", "ac3", RATE), ("mp2", "mp2", RATE),
     ("amr", "libopencore_amrnb", 8_000), ("flv", "aac", RATE)],
)  # fmt: skip
def test_codecs_without_an_exact_length_still_decode(container: str, codec: str, rate: int) -> None:
    options = {} if container == "amr" else {"b": "128k"}
    decoded = run(by_ffmpeg(PCM, rate, container, codec, **options))
    assert abs(len(decoded.wave_T) - NUM) < 4096
    assert abs(lag(decoded.wave_T, PCM[:, 0])) <= 2048


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"])
def test_telephone_codecs_in_wav_decode(subtype: str) -> None:
    assert snr_db(run(by_soundfile(PCM, RATE, "WAV", subtype)).wave_T[:NUM], PCM[:, 0]) > 2


CUT_SOURCES = {
    "wav": by_soundfile(PCM, RATE, "WAV", "PCM_16"),
    "wav24": by_soundfile(PCM, RATE, "WAV", "PCM_24"),
    "flac": by_soundfile(PCM, RATE, "FLAC", "PCM_16"),
    "mp3": by_ffmpeg(PCM, RATE, "mp3", "libmp3lame"),
    "ogg": by_soundfile(PCM, RATE, "OGG", "VORBIS"),
    "m4a": by_ffmpeg(PCM, RATE, "mp4", "aac"),
    "opus": by_ffmpeg(PCM, 48_000, "ogg", "libopus"),
}


@pytest.mark.parametrize("name", CUT_SOURCES)
@pytest.mark.parametrize(("start", "stop"), [(0, 1), (1000, 1001), (1153, 20_000), (29_000, None)])
def test_a_cut_is_the_same_samples_as_of_the_whole(name: str, start: int, stop: int | None) -> None:
    whole = run(CUT_SOURCES[name])
    rate = whole.source.sample_rate_hz
    cut = Cut(
        start_seconds=seconds(start, rate),
        stop_seconds=None if stop is None else seconds(stop, rate),
    )
    part = run(CUT_SOURCES[name], cut=cut)
    assert np.array_equal(part.wave_T, whole.wave_T[start:stop])
    assert part.source.start_sample == start


def test_a_cut_that_outlasts_the_recording_is_what_is_there() -> None:
    cut = Cut(start_seconds=0.5, stop_seconds=99.0)
    assert len(run(CUT_SOURCES["m4a"], cut=cut).wave_T) == NUM - RATE // 2
    assert reason(CUT_SOURCES["wav"], cut=Cut(start_seconds=50)) is RejectionReason.EMPTY


@pytest.mark.parametrize("name", CUT_SOURCES)
def test_the_bound_on_duration_holds_before_memory_is_taken(name: str) -> None:
    assert reason(CUT_SOURCES[name], max_seconds=0.3) is RejectionReason.TOO_LONG
    cut = Cut(start_seconds=0.2, stop_seconds=0.25)
    assert len(run(CUT_SOURCES[name], max_seconds=0.3, cut=cut).wave_T) > 2000


def test_the_container_is_told_from_the_bytes_not_the_name() -> None:
    decoded = run(CUT_SOURCES["m4a"], file="lies.wav")
    assert (decoded.suffix, decoded.source.container) == ("m4a", "mp4/aac")
    suffixes = {name: sniff(data) for name, data in CUT_SOURCES.items()}
    assert all(container is not None for container in suffixes.values())
    assert [suffixes[name].suffix for name in ("flac", "mp3", "ogg", "opus")] == [
        "flac", "mp3", "ogg", "opus",
    ]  # fmt: skip


def test_a_tag_in_front_does_not_hide_the_container() -> None:
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)
    assert len(run(tag + CUT_SOURCES["mp3"]).wave_T) == NUM
    assert len(run(tag + CUT_SOURCES["flac"]).wave_T) == NUM
    assert sniff(tag + by_ffmpeg(PCM, RATE, "adts", "aac")).suffix == "aac"


def test_a_refusal_says_what_both_libraries_say_of_the_bytes() -> None:
    with pytest.raises(AudioError) as caught:
        run(b"\xff\xfb\x90\x00" + bytes(2000), file="a.mp3")
    assert caught.value.detail == (
        "a.mp3: libsndfile finds no sound in it; "
        "FFmpeg says: Invalid data found when processing input"
    )


def test_headerless_telephone_codecs_go_by_name() -> None:
    assert run(bytes(range(160)), file="digit.g722").source.sample_rate_hz == 16_000
    assert reason(b"\x00" * 160) is RejectionReason.UNREADABLE


def test_a_playlist_is_refused_and_opens_nothing() -> None:
    assert reason(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n") is RejectionReason.UNREADABLE
    assert reason(b"ffconcat version 1.0\nfile /etc/passwd\n") is RejectionReason.UNREADABLE


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "m4a"])
def test_a_file_that_was_cut_off_is_refused(name: str) -> None:
    data = CUT_SOURCES[name]
    assert reason(data[: len(data) // 2]) in (
        RejectionReason.TRUNCATED,
        RejectionReason.CORRUPT,
        RejectionReason.UNREADABLE,  # an MP4 whose index is at the end
    )


def without_xing(pcm_TC: np.ndarray) -> bytes:
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp3", options={"write_xing": "0"}) as out:
        stream = out.add_stream("libmp3lame", rate=RATE, layout="mono", options={"b": "64k"})
        frame = av.AudioFrame.from_ndarray(pcm_TC.T, format="s16", layout="mono")
        frame.sample_rate = RATE
        frame.pts = 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return sink.getvalue()


def test_an_mp3_without_a_header_on_its_length_is_taken_as_it_is() -> None:
    """libsndfile guesses a length from the bit rate; it is no promise."""
    data = without_xing(PCM)
    decoded = run(data)
    assert decoded.source.num_priming_samples is None
    assert NUM <= len(decoded.wave_T) < NUM + 4 * 1152
    assert len(run(data[: len(data) // 2]).wave_T) < NUM


def test_an_mp4_with_its_index_in_front_is_refused_where_packets_lack() -> None:
    data = by_ffmpeg(PCM, RATE, "mp4", "aac")
    moov = data.index(b"moov") - 4
    front = by_ffmpeg_faststart(data, moov)
    assert len(run(front).wave_T) == NUM
    assert reason(front[: len(front) * 3 // 4]) is RejectionReason.TRUNCATED


def test_a_last_packet_that_an_edit_hides_is_not_missed() -> None:
    """The edit's end is rounded to milliseconds, and may come to lie before the last packet."""
    data = by_ffmpeg(noise(1025), RATE, "mp4", "aac")
    decoded = decode_with_ffmpeg(data, MP4, file="clip", rules=DecodeRules(max_seconds=9))
    assert len(decoded.wave_T) == 1024
    assert len(run(data).wave_T) == 1024


def by_ffmpeg_faststart(data: bytes, moov: int) -> bytes:
    """Move the index before the audio, as web servers want it, and shift its chunk offsets."""
    mdat = data.index(b"mdat") - 4
    index = bytearray(data[moov:])
    at = index.index(b"stco") + 8
    count = struct.unpack_from(">I", index, at)[0]
    for place in range(at + 4, at + 4 + 4 * count, 4):
        offset = struct.unpack_from(">I", index, place)[0] + len(index)
        struct.pack_into(">I", index, place, offset)
    return data[:mdat] + bytes(index) + data[mdat:moov]


def test_a_flac_whose_samples_are_not_those_of_its_md5_is_refused() -> None:
    data = bytearray(CUT_SOURCES["flac"])
    data[26] ^= 1
    assert reason(bytes(data)) is RejectionReason.CORRUPT
    data[26:42] = bytes(16)  # a stream that was written without one
    assert len(run(bytes(data)).wave_T) == NUM


def test_a_wave_file_that_claims_too_much_is_refused() -> None:
    header = bytearray(CUT_SOURCES["wav"])
    struct.pack_into("<H", header, 22, 65_535)
    assert reason(bytes(header)) in (RejectionReason.UNSUPPORTED, RejectionReason.UNREADABLE)
    header = bytearray(CUT_SOURCES["wav"])
    struct.pack_into("<I", header, 24, 4_000_000_000)
    assert reason(bytes(header)) in (RejectionReason.UNSUPPORTED, RejectionReason.UNREADABLE)


def test_a_hash_of_the_source_and_the_decoder_are_recorded() -> None:
    source = run(CUT_SOURCES["wav"]).source
    assert source.decoder.startswith("melstream plain WAV ")
    assert run(CUT_SOURCES["flac"]).source.decoder.startswith("libsndfile ")
    assert run(CUT_SOURCES["m4a"]).source.decoder.startswith("melstream AAC-LC ")
    assert run(CUT_SOURCES["opus"]).source.decoder.startswith("FFmpeg ")
    assert (source.num_samples, source.container, len(source.sha256)) == (NUM, "wav/PCM_16", 64)
