from pathlib import Path

import pytest

from jobs.catalogues.catalogue import ClipRef
from jobs.catalogues.video_clips import VideoFiles
from jobs.sources import FolderSource, NoFiles
from shardwriter.audio import Cut
from tests.jobs.builders import write_folder

VIDEO = "--PJHxphWEs"


def clip_of(files: VideoFiles, *, video: str = VIDEO, start: float = 30.0) -> ClipRef:
    return files.clip(
        dataset="audioset",
        video=video,
        start_seconds=start,
        stop_seconds=start + 10,
        split="eval",
        labels=("Speech",),
        metadata={},
    )


def files_in(folder: Path, *names: str, are_whole: bool = False) -> VideoFiles:
    write_folder(folder, dict.fromkeys(names, b""))
    return VideoFiles(FolderSource(folder), are_whole=are_whole)


@pytest.mark.parametrize(
    "name",
    [
        f"{VIDEO}.wav",
        f"Y{VIDEO}.wav",
        f"audio/bal_train/{VIDEO}.flac",
        f"{VIDEO}_30.wav",
        f"{VIDEO}_30000.m4a",
        f"{VIDEO}_30.000.ogg",
        f"{VIDEO}_30_40.webm",
        f"{VIDEO}_30.000_40.000.wav",
        f"Y{VIDEO}_30.000_40.000.WAV",
        f"{VIDEO}_30000_40000.opus",
    ],
)
def test_clip_is_found_under_every_custom(tmp_path: Path, name: str) -> None:
    clip = clip_of(files_in(tmp_path, name))
    assert (clip.file, clip.cut) == (name, None)


@pytest.mark.parametrize(
    "name",
    [f"{VIDEO}_50.wav", f"{VIDEO}.txt", f"X{VIDEO}.wav", f"{VIDEO}a.wav", f"{VIDEO}_30_x.wav"],
)
def test_file_of_another_clip_or_kind_is_not_taken(tmp_path: Path, name: str) -> None:
    clip = clip_of(files_in(tmp_path, name))
    assert clip.file is None


def test_clip_that_is_absent_keeps_its_place_in_the_video(tmp_path: Path) -> None:
    for files in (files_in(tmp_path, "other.wav"), VideoFiles(NoFiles(), are_whole=False)):
        clip = clip_of(files)
        assert (clip.file, clip.video_id) == (None, VIDEO)
        assert clip.cut == Cut(start_seconds=30, stop_seconds=40)


def test_whole_videos_are_cut_and_named_clips_among_them_are_not(tmp_path: Path) -> None:
    other = "Zzzzzzzzzz_"
    files = files_in(tmp_path, f"{VIDEO}.m4a", f"{other}_30.wav", f"{other}.m4a", are_whole=True)
    whole, cut, from_start = clip_of(files), clip_of(files, video=other), None
    assert (whole.file, whole.cut) == (f"{VIDEO}.m4a", Cut(start_seconds=30, stop_seconds=40))
    assert (cut.file, cut.cut) == (f"{other}_30.wav", None)
    from_start = clip_of(files, video=other, start=0.5)
    assert (from_start.file, from_start.cut) == (
        f"{other}.m4a",
        Cut(start_seconds=0.5, stop_seconds=10.5),
    )


def test_id_with_underscores_is_not_taken_for_an_id_and_a_start(tmp_path: Path) -> None:
    files = files_in(tmp_path, "abcdefgh_10.wav", "abcdefgh_10_30.wav", "Y_bcdefgh_10_30.wav")
    assert clip_of(files, video="abcdefgh_10", start=0.0).file == "abcdefgh_10.wav"
    assert clip_of(files, video="abcdefgh_10").file == "abcdefgh_10_30.wav"
    assert clip_of(files, video="_bcdefgh_10").file == "Y_bcdefgh_10_30.wav"


def test_equal_parts_of_clips_are_one_object(tmp_path: Path) -> None:
    files = VideoFiles(NoFiles(), are_whole=False)
    first, second = clip_of(files), clip_of(files, video="Zzzzzzzzzz_")
    assert first.cut is second.cut
    assert first.duration is second.duration
