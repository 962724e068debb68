"""A source on the network, made up: what it answers lies in a file, and it counts each request."""

import contextlib
import io
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from jobs.availability.outcome import Code, Outcome
from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.fetching.fetcher import SourceAudio
from jobs.fetching.own_outcome import own_outcome
from jobs.ingest import IngestOptions, IngestSummary, ingest
from jobs.ingesting.parts import Part
from shardwriter.audio import DurationRule

RATE_HZ = 8000
SECONDS = 0.25
LABELS = ("bark", "rain", "siren")
Answers = Mapping[str, Sequence[str]]
"""For a clip what it answers, request by request, as codes; the last stays. Others are `ok`."""


class SiteFetcher:
    """Asks the site. Its requests stand in a file, so that they are counted over processes."""

    tool = "site 1.0"

    def __init__(
        self, folder: Path, *, kind: str = "http", seconds_per_request: float = 0.0
    ) -> None:
        self.kind = kind
        self._folder = folder
        self._seconds_per_request = seconds_per_request

    @contextlib.contextmanager
    def open(self) -> Iterator["SiteFetcher"]:
        self._answers: dict[str, list[str]] = json.loads((self._folder / "answers").read_text())
        yield self

    def fetch(self, clip: ClipRef) -> SourceAudio | Outcome:
        number_of_request = requests(self._folder)[clip.id] if clip.id in self._answers else 0
        _append_line(self._folder / "requests", clip.id)
        time.sleep(self._seconds_per_request)
        answers = self._answers.get(clip.id, ["ok"])
        code = Code(answers[min(number_of_request, len(answers) - 1)])
        if code is not Code.OK:
            return own_outcome(code, text=f"the site says {code}")
        data = wav(clip.id)
        return SourceAudio(
            data=data, file="clip.wav", cut=clip.cut, num_bytes=len(data), tool=self.tool
        )


def wav(clip_id: str) -> bytes:
    rng = np.random.default_rng(list(clip_id.encode()))
    wave_T = rng.integers(-9000, 9000, round(SECONDS * RATE_HZ), dtype=np.int16)
    file = io.BytesIO()
    soundfile.write(file, wave_T, RATE_HZ, format="WAV")
    return file.getvalue()


def write_site(folder: Path, answers: Answers | None = None) -> Path:
    """Set what the site answers from now on; requests are counted anew."""
    folder.mkdir(exist_ok=True)
    (folder / "answers").write_text(json.dumps(answers or {}))
    (folder / "requests").write_bytes(b"")
    return folder


def requests(folder: Path) -> Counter[str]:
    """How often each clip was asked for."""
    return Counter((folder / "requests").read_text().splitlines())


def _append_line(path: Path, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


def clip_id(number: int) -> str:
    return f"site/{number:04d}"


def catalogue(num_clips: int) -> Catalogue:
    """Clips of three classes; every fifth is in the split eval."""
    clips = tuple(
        ClipRef(
            id=clip_id(number),
            file=f"{number:04d}.wav",
            split="eval" if number % 5 == 4 else "train",
            labels=(LABELS[number % len(LABELS)],),
            duration=DurationRule(seconds=SECONDS, tolerance_seconds=0.01),
            group=f"uploader-{number // 10}",
        )
        for number in range(num_clips)
    )
    return Catalogue(
        name="site",
        title="Site",
        labels=LABELS,
        clips=clips,
        rejections=(),
        expected_num_clips=num_clips,
        licence="CC0",
        citation="none",
    )


def run_site(
    folder: Path,
    out: Path | str,
    num_clips: int,
    *,
    part: str = "",
    seconds_per_request: float = 0.0,
    **options: object,
) -> IngestSummary:
    chosen = {"num_workers": 0, "max_samples_per_shard": 8, "group_rule": "ignore"} | options
    return ingest(
        catalogue(num_clips),
        SiteFetcher(folder, seconds_per_request=seconds_per_request),
        IngestOptions(
            out=str(out),
            sample_rate_hz=RATE_HZ,
            quiet=True,
            part=Part.parse(part) if part else None,
            **chosen,
        ),
    )
