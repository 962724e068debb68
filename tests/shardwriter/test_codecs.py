import io
import tarfile
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from shardwriter import AudioFormat, CleanClip, Codec, Settings, ShardWriter, SourceBytes
from shardwriter.audio import CleanOptions, Dither, clean_audio
from shardwriter.audio_format import OPUS_RATES_HZ
from shardwriter.check import check_indexes, check_shards
from shardwriter.decode import decode
from shardwriter.encode import encode_clip
from shardwriter.manifest import load_manifest
from shardwriter.mixdown import DecodeRules
from shardwriter.opus import encode_opus
from shardwriter.schema import CleanInfo, SampleRecord
from shardwriter.storage import open_store
from tests.shardwriter.media import by_ffmpeg, by_soundfile, lag, noise, snr_db

NUM = 30_011
PCM_T = noise(NUM)[:, 0]
FORMATS = {
    "flac": AudioFormat(sample_rate_hz=16_000),
    "wav": AudioFormat(codec="wav", sample_rate_hz=16_000),
    "opus": AudioFormat(codec="opus", sample_rate_hz=16_000),
    "source": AudioFormat.of_source(),
}
SOURCES = {
    "m4a": by_ffmpeg(noise(NUM, num_channels=2), 44_100, "mp4", "aac"),
    "mp3": by_ffmpeg(noise(NUM), 44_100, "mp3", "libmp3lame"),
    "ogg": by_soundfile(noise(NUM), 22_050, "OGG", "VORBIS"),
    "opus": by_ffmpeg(noise(NUM), 48_000, "ogg", "libopus"),
    "webm": by_ffmpeg(noise(NUM), 48_000, "webm", "libopus"),
    "flac": by_soundfile(noise(NUM, num_channels=2), 96_000, "FLAC", "PCM_24"),
    "wav": by_soundfile(noise(NUM), 8_000, "WAV", "FLOAT"),
}


def settings(codec: str) -> Settings:
    return Settings(name="made", audio=FORMATS[codec], labels=("a",))


def clip(name: str = "m4a", *, codec: str) -> CleanClip:
    """A clip made of the source of this suffix, for a dataset of this codec."""
    keeps_source = codec == "source"
    audio = clean_audio(
        SOURCES[name],
        file=f"misnamed-{name}.bin",
        sample_rate_hz=None if keeps_source else 16_000,
        max_seconds=60,
    )
    passthrough = SourceBytes(
        data=SOURCES[name], suffix=audio.source_suffix, sample_rate_hz=audio.sample_rate_hz
    )
    return CleanClip(
        id=f"made/{name}",
        split="train",
        pcm_T=audio.pcm_T,
        labels=("a",),
        source=audio.source,
        clean=audio.clean,
        passthrough=passthrough if keeps_source else None,
    )


def write(folder: Path, codec: str) -> str:
    with ShardWriter(str(folder), settings(codec), max_samples_per_shard=3) as writer:
        for name in SOURCES:
            writer.write_clip(clip(name, codec=codec))
    return str(folder)


def problems(url: str) -> list[str]:
    store = open_store(url)
    manifest = load_manifest(store)
    found = [
        p for report in check_shards(store, manifest, manifest.shards) for p in report.problems
    ]
    return found + check_indexes(store, manifest)


@pytest.mark.parametrize("codec", FORMATS)
def test_a_dataset_of_each_codec_is_whole_and_made_alike_twice(codec: str, tmp_path: Path) -> None:
    urls = [write(tmp_path / name, codec) for name in ("one", "two")]
    assert [problems(url) for url in urls] == [[], []]
    manifests = [load_manifest(open_store(url)) for url in urls]
    assert manifests[0].digest == manifests[1].digest
    assert manifests[0].settings == settings(codec)
    total = manifests[0].splits["train"]
    assert total.num_samples == len(SOURCES)
    if codec != "source":
        expected = sum(len(clip(name, codec=codec).pcm_T) for name in SOURCES) / 16_000
        assert total.duration_seconds == pytest.approx(expected)


@pytest.mark.parametrize("codec", FORMATS)
def test_verify_finds_another_clips_audio_under_a_label(codec: str) -> None:
    from shardwriter import check
    from shardwriter.index import IndexRow
    from shardwriter.tarshard import Member

    mine = encode_clip(clip("wav", codec=codec), settings(codec))
    other = encode_clip(clip("mp3", codec=codec), settings(codec))
    row = IndexRow(
        key=mine.record.key, audio_offset=0, audio_num_bytes=0, audio_crc32c=0, json_offset=0,
        json_num_bytes=0, json_crc32c=0, num_samples=0, sample_rate_hz=0, label_ids=(), fold=None,
        group=None, frame_offsets=mine.frame_offsets,
    )  # fmt: skip
    for audio, is_good in ((mine.audio, True), (other.audio, False), (b"x" * 99, False)):
        member = Member(name="clip.bin", offset=0, data=audio)
        found = list(check._audio_problems(settings(codec), row, mine.record, member))
        assert (not found) is is_good


@pytest.mark.parametrize("name", SOURCES)
def test_pass_through_keeps_every_byte_and_names_it_rightly(name: str) -> None:
    sample = encode_clip(clip(name, codec="source"), settings("source"))
    assert sample.audio == SOURCES[name]
    assert sample.record.audio_suffix == name
    assert sample.frame_offsets == ()
    decoded = decode(sample.audio, file="x", rules=DecodeRules(max_seconds=60))
    measured = (sample.record.num_samples, sample.record.sample_rate_hz)
    assert measured == (len(decoded.wave_T), decoded.source.sample_rate_hz)


def test_shards_name_members_by_what_they_hold(tmp_path: Path) -> None:
    write(tmp_path / "out", "source")
    names = set()
    for path in (tmp_path / "out").glob("train/*.tar"):
        with tarfile.open(path) as tar:
            names |= set(tar.getnames())
    assert names == {f"made+{name}.{name}" for name in SOURCES} | {
        f"made+{name}.json" for name in SOURCES
    }


@pytest.mark.parametrize("num_samples", [1, 2, 1151, 1152, NUM])
def test_wav_is_16_bit_and_exact(num_samples: int) -> None:
    sample = encode_clip(replace(clip(codec="wav"), pcm_T=PCM_T[:num_samples]), settings("wav"))
    with soundfile.SoundFile(io.BytesIO(sample.audio)) as sound:
        assert (sound.subtype, sound.samplerate, sound.channels) == ("PCM_16", 16_000, 1)
        assert np.array_equal(sound.read(dtype="int16"), PCM_T[:num_samples])
    assert len(sample.audio) == 44 + 2 * num_samples


def test_flac_from_a_float_source_is_16_bit() -> None:
    sample = encode_clip(clip("wav", codec="flac"), settings("flac"))
    assert soundfile.info(io.BytesIO(sample.audio)).subtype == "PCM_16"


@pytest.mark.parametrize("rate", OPUS_RATES_HZ)
@pytest.mark.parametrize("num_samples", [1, 159, 960, 961, NUM])
def test_opus_decodes_to_the_length_that_went_in(rate: int, num_samples: int) -> None:
    data = encode_opus(PCM_T[:num_samples], sample_rate_hz=rate, bit_rate=64_000)
    wave_T, got_rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert (len(wave_T), got_rate) == (num_samples, rate)
    with av.open(io.BytesIO(data)) as opened:
        num_at_48k = sum(frame.samples for frame in opened.decode(audio=0))
    assert num_at_48k == num_samples * 48_000 // rate
    if num_samples == NUM:
        assert lag(wave_T, PCM_T) == 0


def test_opus_gets_better_with_its_bit_rate_and_is_made_alike_twice() -> None:
    def encoded(bit_rate: int) -> bytes:
        return encode_opus(PCM_T, sample_rate_hz=48_000, bit_rate=bit_rate)

    def quality_db(data: bytes) -> float:
        return snr_db(soundfile.read(io.BytesIO(data))[0], PCM_T / 32768)

    low, high = encoded(24_000), encoded(192_000)
    assert len(low) < len(high)
    assert quality_db(low) < quality_db(high)
    assert quality_db(high) > 5
    assert encoded(24_000) == low


@pytest.mark.parametrize("rate", [11_025, 22_050, 32_000, 44_100, 96_000])
def test_opus_refuses_rates_that_it_would_resample(rate: int) -> None:
    with pytest.raises(ValueError, match="Opus takes 8000, 12000, 16000, 24000, 48000 Hz"):
        AudioFormat(codec="opus", sample_rate_hz=rate)


@pytest.mark.parametrize(
    "fields",
    [
        {"codec": "mp3"},
        {"codec": "source"},
        {"codec": "wav", "bits_per_sample": 24},
        {"codec": "flac", "bits_per_sample": 24},
        {"codec": "opus", "sample_rate_hz": 48_000, "opus_bit_rate": 1},
    ],
)
def test_formats_that_the_writer_cannot_make_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"codec|16 bit|of_source|opus_bit_rate"):
        AudioFormat(**fields)


def test_source_bytes_belong_to_pass_through_only() -> None:
    for codec, made_for in (("flac", "source"), ("source", "flac")):
        with pytest.raises(ValueError, match="source bytes belong"):
            encode_clip(clip(codec=made_for), settings(codec))


def test_labels_keep_what_cleaning_did() -> None:
    made = replace(clip("mp3", codec="flac"), clean=CleanInfo(gain_db=-1.5, num_trimmed_start=7))
    record = encode_clip(made, settings("flac")).record
    assert SampleRecord.from_json_bytes(record.to_json_bytes(), where="x") == record
    assert record.source.num_priming_samples == 1105


def test_settings_that_differ_in_processing_do_not_mix(tmp_path: Path) -> None:
    from shardwriter.errors import ConfigError

    write(tmp_path / "out", "flac")
    other = replace(settings("flac"), processing=CleanOptions(dither=Dither.TPDF).to_json())
    with pytest.raises(ConfigError, match="processing"), ShardWriter(str(tmp_path / "out"), other):
        pass


def test_dither_is_that_of_the_audio_and_nothing_else() -> None:
    data = by_soundfile(noise(NUM) / 32768 / 3, 16_000, "WAV", "FLOAT")

    def cleaned(file: str, dither: Dither) -> np.ndarray:
        options = CleanOptions(dither=dither)
        return clean_audio(
            data, file=file, sample_rate_hz=16_000, max_seconds=9, options=options
        ).pcm_T

    dithered = cleaned("a", Dither.TPDF)
    assert np.array_equal(dithered, cleaned("b", Dither.TPDF))
    error_T = dithered - noise(NUM)[:, 0] / 3
    assert abs(error_T.mean()) < 0.02
    assert error_T.std() == pytest.approx(np.sqrt(2 / 12 + 1 / 12), abs=0.02)  # TPDF and rounding
    plain_T = cleaned("a", Dither.NONE) - noise(NUM)[:, 0] / 3
    assert plain_T.std() == pytest.approx(np.sqrt(1 / 12), abs=0.02)


def test_every_codec_is_in_the_list() -> None:
    assert set(FORMATS) == {codec.value for codec in Codec}
