"""ESC-50 sources and small datasets, made here or copied from the embedded clips."""

import csv
import io
import shutil
import subprocess
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from jobs.sample import sample_folder
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter

COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
# In order of target, as published.
ESC50_LABELS = (
    *("dog", "rooster", "pig", "cow", "frog"),
    *("cat", "hen", "insects", "sheep", "crow"),
    *("rain", "sea_waves", "crackling_fire", "crickets", "chirping_birds"),
    *("water_drops", "wind", "pouring_water", "toilet_flush", "thunderstorm"),
    *("crying_baby", "sneezing", "clapping", "breathing", "coughing"),
    *("footsteps", "laughing", "brushing_teeth", "snoring", "drinking_sipping"),
    *("door_wood_knock", "mouse_click", "keyboard_typing", "door_wood_creaks", "can_opening"),
    *("washing_machine", "vacuum_cleaner", "clock_alarm", "clock_tick", "glass_breaking"),
    *("helicopter", "chainsaw", "siren", "car_horn", "engine"),
    *("train", "church_bells", "airplane", "fireworks", "hand_saw"),
)
ESC10_TARGETS = (0, 1, 10, 11, 12, 20, 21, 38, 40, 41)
WAV_HZ = 44_100

Row = dict[str, str]


def esc50_row(number: int, *, fold: int = 1, target: int = 0, changes: Row | None = None) -> Row:
    """A row of `esc50.csv` for the clip of this Freesound number."""
    row = {
        "filename": f"{fold}-{number}-A-{target}.wav",
        "fold": str(fold),
        "target": str(target),
        "category": ESC50_LABELS[target],
        "esc10": str(target in ESC10_TARGETS),
        "src_file": str(number),
        "take": "A",
    }
    return row | (changes or {})


def published_rows() -> list[Row]:
    """2,000 rows: 8 clips of each of 50 classes in each of 5 folds."""
    return [
        esc50_row(100_000 + 400 * (fold - 1) + 50 * copy + target, fold=fold, target=target)
        for fold in range(1, 6)
        for copy in range(8)
        for target in range(50)
    ]


def csv_bytes(rows: Iterable[Mapping[str, str]], *, newline: str = "\n") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator=newline)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def write_zip(path: Path, files: Mapping[str, bytes], *, top: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(top + name, data)
    return path


def real_rows() -> list[Row]:
    with (sample_folder() / "meta" / "esc50.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def real_source(folder: Path, *, clips_per_fold: int) -> Path:
    """Copy a part of the embedded clips, an equal number from each fold, of differing classes."""
    chosen: list[Row] = []
    for fold in "12345":
        rows = [row for row in real_rows() if row["fold"] == fold]
        chosen += rows[:: len(rows) // clips_per_fold][:clips_per_fold]
    write_folder(folder, {"meta/esc50.csv": csv_bytes(chosen)})
    (folder / "audio").mkdir()
    for row in chosen:
        name = row["filename"].replace(".wav", ".ogg")
        shutil.copy(sample_folder() / "audio" / name, folder / "audio" / name)
    return folder


def wav(
    seconds: float = 5.0, *, hz: int = WAV_HZ, subtype: str = "PCM_16", nan_at: int | None = None
) -> bytes:
    """A tone."""
    wave_T = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * hz)) / hz)
    if nan_at is not None:
        wave_T[nan_at] = np.nan
    file = io.BytesIO()
    soundfile.write(file, wave_T, hz, format="WAV", subtype=subtype)
    return file.getvalue()


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def dataset_tree(folder: Path) -> dict[str, bytes]:
    """Every file of a dataset but what tells of the runs: it holds their times."""
    return {
        name: data for name, data in tree(folder).items() if not name.startswith("availability/")
    }


TONE_HZ = 8000
TONE_LABELS = ("low", "high", "noise")


def sound_of(label: str, *, number: int, seconds: float) -> np.ndarray:
    """A low tone, a high tone or noise; pitch and phase differ from clip to clip."""
    rng = np.random.default_rng(number)
    num_samples = round(seconds * TONE_HZ)
    if label == "noise":
        return rng.normal(0, 3000, num_samples).astype(np.int16)
    pitch_hz = {"low": 300, "high": 2000}[label] * rng.uniform(0.9, 1.1)
    phase = rng.uniform(0, 2 * np.pi)
    wave_T = 8000 * np.sin(2 * np.pi * pitch_hz * np.arange(num_samples) / TONE_HZ + phase)
    return (wave_T + rng.normal(0, 100, num_samples)).astype(np.int16)


def make_tones(
    folder: Path,
    *,
    num_clips: int = 33,
    seconds: float = 1.0,
    labels_of: Mapping[int, Sequence[str]] | None = None,
) -> str:
    """Write clips of three classes in three folds, 11 a fold by default; return the URL.

    With `labels_of`, clip n is the sum of the sounds of labels_of[n % len(labels_of)].
    """
    chosen = labels_of or {place: (label,) for place, label in enumerate(TONE_LABELS)}
    settings = Settings(name="tones", audio=AudioFormat(sample_rate_hz=TONE_HZ), labels=TONE_LABELS)
    with ShardWriter(str(folder), settings, max_samples_per_shard=10) as writer:
        for number in range(num_clips):
            labels = tuple(chosen[number % len(chosen)])
            sounds = [np.zeros(round(seconds * TONE_HZ))]
            sounds += [sound_of(label, number=number, seconds=seconds) for label in labels]
            writer.write_clip(
                CleanClip(
                    id=f"tones/clip-{number:03d}.wav",
                    split="train",
                    pcm_T=np.sum(sounds, axis=0).astype(np.int16),
                    labels=labels,
                    fold=number // len(chosen) % 3 + 1,
                )
            )
    return str(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRun:
    """What `melstream demo` printed and made."""

    process: subprocess.CompletedProcess[str]
    out: Path
