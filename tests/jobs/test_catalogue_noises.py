"""MUSAN and RIRS_NOISES: what is mixed into audio, and what audio is convolved with."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, ingest
from jobs.sources import open_source
from shardwriter import Codec
from shardwriter.errors import ConfigError
from tests.audio import decoded, encoded
from tests.jobs.archive_builders import zip_bytes
from tests.jobs.builders import wav, write_folder
from tests.jobs.published_files import DATASETS, ListedSource, needs_published_files
from tests.jobs.round_trip import round_trip

SOUND = wav(1.5, hz=16_000)
MUSAN = {
    "musan/music/fma/music-fma-0026.wav": SOUND,
    "musan/music/fma/music-fma-0097.wav": SOUND,
    "musan/music/fma-western-art/music-fma-wa-0001.wav": SOUND,
    "musan/music/fma-western-art/ANNOTATIONS": b"music-fma-wa-0001 baroque N Anna Bach\n",
    "musan/music/fma/ANNOTATIONS": b"music-fma-0026 blues Y Cullah\n"
    b"music-fma-0097 pop,electronica N Quiet_Music someone_else\n\n",
    "musan/noise/free-sound/noise-free-sound-0030.wav": SOUND,
    "musan/noise/free-sound/noise-free-sound-0029.wav": SOUND,
    "musan/noise/sound-bible/noise-sound-bible-0030.wav": SOUND,
    "musan/noise/free-sound/ANNOTATIONS": b"noise-free-sound-0000 of another form\n",
    "musan/speech/us-gov/speech-us-gov-0001.wav": SOUND,
    "musan/README": b"",
}


def read(name: str, folder: Path, files: dict[str, bytes], **chosen: str) -> Catalogue:
    source = open_source(str(write_folder(folder, files)))
    return read_catalogue(find_dataset(name), source, chosen)


def test_kinds_of_musan_are_splits_and_go_to_shards_and_back(tmp_path: Path) -> None:
    trip = round_trip("musan", write_folder(tmp_path / "in", MUSAN), tmp_path / "out")
    assert Counter(trip.splits.values()) == {"music": 3, "noise": 3, "speech": 1}
    assert trip.loaded["speech/us-gov/speech-us-gov-0001"] == ("speech",)
    record = trip.records["music/fma/music-fma-0097"]
    assert record.group == "fma/Quiet_Music"
    assert record.metadata == {
        "origin": "fma",
        "genres": ["pop", "electronica"],
        "has_vocals": False,
        "musician": "Quiet_Music",
    }
    assert trip.records["music/fma/music-fma-0026"].metadata["has_vocals"] is True
    background = {
        name for name, found in trip.records.items() if found.metadata.get("is_background")
    }
    assert background == {"noise/free-sound/noise-free-sound-0030"}


def test_music_that_is_not_annotated_is_told(tmp_path: Path) -> None:
    files = {name: data for name, data in MUSAN.items() if "ANNOTATIONS" not in name}
    assert read("musan", tmp_path, files).warnings == (
        "3 pieces of music are in no ANNOTATIONS file: genre, vocals and musician are not known "
        "of them",
    )
    files["musan/music/fma/ANNOTATIONS"] = b"fma-0026 blues Y Cullah\n"
    with pytest.raises(ConfigError, match=r"ANNOTATIONS line 1: 'fma-0026 .* is not NAME GENRES"):
        read("musan", tmp_path, files)


@pytest.mark.parametrize("name", ["musan", "rirs_noises"])
def test_folder_of_something_else_is_told_what_to_hold(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"holds no .*; expected\n  (musan|RIRS_NOISES)/"):
        read(name, tmp_path, {"music/a.wav": b""})


@needs_published_files
def test_published_names_of_musan_have_their_counts() -> None:
    names = (DATASETS / "musan" / "all.txt").read_text().split()
    source = ListedSource([f"musan/{name}.wav" for name in names], {})
    catalogue = read_catalogue(find_dataset("musan"), source)
    assert (catalogue.differences, catalogue.rejections) == ((), ())
    origins = Counter(clip.metadata["origin"] for clip in catalogue.clips)
    assert origins["free-sound"] == 843
    assert origins["fma-western-art"] == 93
    background = {
        clip.id.removeprefix("musan/")
        for clip in catalogue.clips
        if clip.metadata.get("is_background")
    }
    assert background == set((DATASETS / "musan" / "background_noise.txt").read_text().split())


def response(num_channels: int = 1, num_samples: int = 800) -> bytes:
    """A decaying response; that of channel c begins 10 * c samples later, and is as loud."""
    rng = np.random.default_rng(0)
    wave_TC = np.zeros((num_samples, num_channels))
    for channel in range(num_channels):
        start = 10 * channel
        wave_TC[start:, channel] = rng.normal(0, 0.1, num_samples - start)
        wave_TC[start, channel] = 0.9
    return encoded(wave_TC, rate_hz=16_000)


ROOT = "RIRS_NOISES"
REAL = f"{ROOT}/real_rirs_isotropic_noises"
RIRS = {
    **{
        f"{ROOT}/simulated_rirs/{size}room/Room001/Room001-00001.wav": response()
        for size in ("small", "medium", "large")
    },
    f"{ROOT}/simulated_rirs/smallroom/rir_list": b"--rir-id small-00001 --room-id x y.wav\n",
    f"{REAL}/RVB2014_type1_rir_largeroom1_far_angla.wav": response(8),
    f"{REAL}/RVB2014_type1_noise_largeroom1_1.wav": response(2),
    f"{REAL}/air_type1_air_binaural_lecture_0_1.wav": response(),
    f"{REAL}/rir_list": "--rir-id 00001 --room-id 001 "
    f"{REAL}/air_type1_air_binaural_lecture_0_1.wav\n"
    "--rir-id 00002 --room-id 002 --receiver-position-id '1 a' "
    f"{REAL}/RVB2014_type1_rir_largeroom1_far_angla.wav\n".encode(),
    f"{ROOT}/pointsource_noises/noise-free-sound-0000.wav": SOUND,
}
FAR = "real/RVB2014_type1_rir_largeroom1_far_angla"


def test_responses_go_to_shards_and_back_with_their_first_channel(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "in", {"rirs_noises.zip": zip_bytes(RIRS)})
    trip = round_trip("rirs_noises", place, tmp_path / "out")
    assert trip.splits == {
        "small/Room001-00001": "simulated_small",
        "medium/Room001-00001": "simulated_medium",
        "large/Room001-00001": "simulated_large",
        "real/air_type1_air_binaural_lecture_0_1": "real",
        FAR: "real",
    }
    assert trip.records["small/Room001-00001"].group == "small/Room001"
    record = trip.records[FAR]
    assert (record.labels, record.group) == (("room_response",), "real/002")
    assert record.metadata == {"room": "real/002", "channel": 0}
    assert trip.catalogue.warnings == ()


def test_every_channel_of_a_real_response_is_a_clip_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    place = write_folder(tmp_path / "in", RIRS)
    trip = round_trip("rirs_noises", place, tmp_path / "out", channels="every")
    real = [name for name, split in trip.splits.items() if split == "real"]
    assert Counter(name.rpartition("/")[0] for name in real)[FAR] == 8
    pcm_TC, _ = decoded(RIRS[f"{REAL}/RVB2014_type1_rir_largeroom1_far_angla.wav"])
    for channel in range(8):
        record = trip.records[f"{FAR}/{channel}"]
        assert record.metadata["channel"] == channel
        assert record.pcm_sha256 == hashlib.sha256(pcm_TC[:, channel].tobytes()).hexdigest()


def test_noises_are_chosen_by_kind(tmp_path: Path) -> None:
    trip = round_trip(
        "rirs_noises", write_folder(tmp_path / "in", RIRS), tmp_path / "out", kind="noises"
    )
    assert trip.loaded == {
        "isotropic/RVB2014_type1_noise_largeroom1_1": ("noise",),
        "point/noise-free-sound-0000": ("noise",),
    }
    everything = read("rirs_noises", tmp_path / "all", RIRS, kind="all")
    assert len(everything.clips) == 7
    assert everything.expected_num_clips == 60_325 + 935


def test_real_responses_without_their_list_get_no_room_and_that_is_told(tmp_path: Path) -> None:
    files = {name: data for name, data in RIRS.items() if name != f"{REAL}/rir_list"}
    catalogue = read("rirs_noises", tmp_path, files)
    assert {clip.group for clip in catalogue.clips if clip.split == "real"} == {None}
    assert len(catalogue.warnings) == 1


@pytest.mark.parametrize(
    "line", [b"--rir-id 1 a.wav", b"--room-id 1", b"--room-id '1 a.wav", b"a.wav"]
)
def test_list_of_another_form_is_refused(tmp_path: Path, line: bytes) -> None:
    with pytest.raises(ConfigError, match=r"rir_list line 1: "):
        read("rirs_noises", tmp_path, {**RIRS, f"{REAL}/rir_list": line})


def test_file_whose_channels_can_t_be_counted_is_refused(tmp_path: Path) -> None:
    files = {**RIRS, f"{REAL}/air_type1_air_binaural_lecture_0_1.wav": b"RIFF"}
    with pytest.raises(ConfigError, match=r"lecture_0_1\.wav: .*get the archive again"):
        read("rirs_noises", tmp_path, files, channels="every")


def test_untouched_bytes_hold_no_part_of_a_file(tmp_path: Path) -> None:
    source = open_source(str(write_folder(tmp_path / "in", RIRS)))
    catalogue = read_catalogue(find_dataset("rirs_noises"), source)
    options = IngestOptions(
        out=str(tmp_path / "out"), codec=Codec.SOURCE, num_workers=0, quiet=True
    )
    summary = ingest(catalogue, open_fetcher(source.url), options)
    assert summary.num_written == 3  # the simulated ones have one channel
    refused = {found.clip_id: found.reason for found in summary.rejections}
    assert refused[f"rirs_noises/{FAR}"] == "unsupported"
    assert len(refused) == 2


@needs_published_files
def test_real_eight_channel_response_is_read_by_channel(tmp_path: Path) -> None:
    data = (DATASETS / "formats" / "rir" / "real_8ch.wav").read_bytes()
    place = write_folder(tmp_path / "in", {f"{REAL}/RVB2014_type1_rir_x.wav": data})
    trip = round_trip("rirs_noises", place, tmp_path / "out", channels="every")
    assert len(trip.records) == 8
    assert len({record.pcm_sha256 for record in trip.records.values()}) == 8
    assert {record.num_samples for record in trip.records.values()} == {1600}
