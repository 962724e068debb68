"""Build the embedded sample data: all 400 ESC-10 clips, small enough to travel in the wheel.

    python tools/build_sample.py SOURCE_FOLDER OUT_FOLDER

SOURCE_FOLDER holds the originals in `audio_ogg/` or `audio/`, named as in ESC-50, together with
`meta/esc50.csv` and the README of ESC-10 as `licence/ESC-10-README.md`. OUT_FOLDER/esc10 gets the
published layout of ESC-50 and an attribution of every clip. OUT_FOLDER/esc10/LICENSE.md is written
by hand: correct it when a constant here or the printed count of licences changes. The same versions
of the libraries give the same bytes on every run.
"""

import argparse
import csv
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SECONDS = 5
SOURCE_RATE = 44_100
RATE = 48_000
BIT_RATE = 33_000
# "lowdelay" keeps libopus in its pure transform mode. At this bit rate the mode "audio" falls back
# to speech coding, whose log-mel error on these sounds was measured at 1.7 times as large.
OPUS_OPTIONS = {"application": "lowdelay", "vbr": "on", "compression_level": "10"}
TOTAL_LIMIT = 7_600_000
CLASSES, FOLDS, CLIPS_PER_CELL = 10, 5, 8
MAX_LENGTH_ERROR_S = 0.001

CREDIT_START = re.compile(r"- \*\*\[\d-")
CREDIT = re.compile(
    r"- \*\*\[(?P<key>\d-\d+-[A-Z])\.ogg\]\(\S+\)\*\*:\s+"
    r"clip derived from \[(?P<title>.+)\]\((?P<url>\S+)\) by \*(?P<uploader>.+)\* "
    r"\(\[(?P<licence>[^\]]+)\]\((?P<licence_url>[^)]+)\)\)"
)
ATTRIBUTION_HEADER = "file\tclass\tsource_title\tfreesound_url\tuploader\tclip_licence\tlicence_url"


class SampleError(Exception):
    """The source is not what it should be, or the result misses what was promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """Where a clip comes from, as the README of ESC-10 says."""

    key: str
    title: str
    url: str
    uploader: str
    licence: str
    licence_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One row of the official table, with its line as published so that it is copied verbatim."""

    stem: str
    category: str
    line: str
    credit: Credit

    @property
    def attribution(self) -> str:
        """The clip's line of ATTRIBUTION.tsv."""
        source = self.credit
        origin = (source.title, source.url, source.uploader, source.licence, source.licence_url)
        return "\t".join((f"{self.stem}.ogg", self.category, *origin))


def read_credits(readme: Path) -> dict[str, Credit]:
    """Return the credit of each clip; a line that cannot be read stops the build."""
    found: dict[str, Credit] = {}
    for line in readme.read_text(encoding="utf-8").splitlines():
        if CREDIT_START.match(line):
            match = CREDIT.fullmatch(line.strip())
            if match is None:
                raise SampleError(f"{readme.name}: cannot read this credit: {line}")
            found[match["key"]] = Credit(**match.groupdict())
    return found


def read_source(source: Path) -> tuple[str, list[Clip]]:
    """Return the header line of the table and the ESC-10 clips, in the official order."""
    credit_of = read_credits(source / "licence" / "ESC-10-README.md")
    lines = (source / "meta" / "esc50.csv").read_text(encoding="utf-8").splitlines()
    clips = []
    for line, row in zip(lines[1:], csv.DictReader(lines), strict=True):
        stem = Path(row["filename"]).stem
        key = stem.rpartition("-")[0]  # ESC-10 names lack the class number at the end
        if row["esc10"] == "True":
            if key not in credit_of:
                raise SampleError(f"no credit for {stem}")
            clip = Clip(stem=stem, category=row["category"], line=line, credit=credit_of[key])
            clips.append(clip)
    return lines[0], clips


def find_audio(source: Path, stem: str) -> Path:
    """Return the original of one clip, the published Ogg before the WAV made from it."""
    for name in (f"audio_ogg/{stem}.ogg", f"audio/{stem}.ogg", f"audio/{stem}.wav"):
        if (source / name).is_file():
            return source / name
    raise SampleError(f"no audio for {stem} in {source}")


def read_five_seconds(path: Path) -> NDArray[np.float32]:
    """Decode one original to the length of the official WAV: cut, or padded with silence."""
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != SOURCE_RATE or samples.ndim != 1:
        raise SampleError(f"{path.name}: expected mono at {SOURCE_RATE} Hz")
    clip = np.zeros(SECONDS * SOURCE_RATE, dtype=np.float32)
    kept = samples[: clip.size]
    clip[: kept.size] = kept
    return clip


def encode(samples: NDArray[np.float32], path: Path) -> None:
    """Write Ogg Opus; `bitexact` fixes the stream's serial number, which is random otherwise."""
    resampled = soxr.resample(samples, SOURCE_RATE, RATE, "VHQ")
    if resampled.size != SECONDS * RATE:
        raise SampleError(f"{path.name}: resampled to {resampled.size} samples")
    frame = av.AudioFrame.from_ndarray(
        np.clip(resampled, -1.0, 1.0)[np.newaxis], format="flt", layout="mono"
    )
    frame.sample_rate = RATE
    frame.pts = 0
    with av.open(path, "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono", options=OPUS_OPTIONS)
        stream.bit_rate = BIT_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_text(path: Path, text: str) -> None:
    """Write text that is the same on every system: UTF-8 with LF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def build(source: Path, target: Path) -> Counter[str]:
    """Write audio, table and attribution; return how often each licence occurs."""
    header, clips = read_source(source)
    table = [header, *(clip.line for clip in clips)]
    attribution = [ATTRIBUTION_HEADER, *(clip.attribution for clip in clips)]
    write_text(target / "meta" / "esc50.csv", "\n".join(table) + "\n")
    write_text(target / "ATTRIBUTION.tsv", "\n".join(attribution) + "\n")
    (target / "audio").mkdir(exist_ok=True)
    for clip in clips:
        samples = read_five_seconds(find_audio(source, clip.stem))
        encode(samples, target / "audio" / f"{clip.stem}.ogg")
    return Counter(clip.credit.licence for clip in clips)


def durations(path: Path) -> tuple[float, float]:
    """Return the decoded length in seconds, by libsndfile and by FFmpeg."""
    samples, rate = soundfile.read(path)
    with av.open(path) as container:
        decoded = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    return len(samples) / rate, decoded


def check(target: Path) -> int:
    """Read the result back and return its size in bytes; stop at the first broken promise."""
    with (target / "meta" / "esc50.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    cells = Counter((row["category"], row["fold"]) for row in rows)
    if len(cells) != CLASSES * FOLDS or set(cells.values()) != {CLIPS_PER_CELL}:
        raise SampleError(f"expected {CLIPS_PER_CELL} clips for each class and fold, got {cells}")
    names = {path.name for path in (target / "audio").iterdir()}
    if names != {f"{Path(row['filename']).stem}.ogg" for row in rows}:
        raise SampleError("the files in audio/ are not those of meta/esc50.csv")
    for name in sorted(names):
        for duration in durations(target / "audio" / name):
            if abs(duration - SECONDS) > MAX_LENGTH_ERROR_S:
                raise SampleError(f"{name} decodes to {duration:.4f} s")
    total = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    if total > TOTAL_LIMIT:
        raise SampleError(f"{total} bytes exceed the limit of {TOTAL_LIMIT}")
    return total


def main() -> int:
    """Build, check and report."""
    parser = argparse.ArgumentParser(description="Build the embedded ESC-10 sample.")
    parser.add_argument("source", type=Path, metavar="SOURCE_FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT_FOLDER")
    arguments = parser.parse_args()
    target = arguments.out / "esc10"
    try:
        licences = build(arguments.source, target)
        total = check(target)
    except SampleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{target}: {CLASSES * FOLDS * CLIPS_PER_CELL} clips, {total} bytes, {dict(licences)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
