"""What is compiled is said on the console, before the wait for it."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jobs.compiling import show_compiling
from tests.shardwriter import media

LOGGER = logging.getLogger("shardwriter.compiled")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    handlers, level = [*LOGGER.handlers], LOGGER.level
    yield
    LOGGER.handlers[:] = handlers
    LOGGER.setLevel(level)


@pytest.mark.parametrize(("is_worker", "start"), [(False, ""), (True, "\n")])
def test_a_line_is_shown_once_however_often_that_is_asked_for(
    is_worker: bool, start: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        show_compiling(is_worker=is_worker)
    LOGGER.info("compiling %s: some %d s", "a decoder", 20)
    assert capsys.readouterr() == ("", f"{start}melstream: compiling a decoder: some 20 s\n")


@pytest.mark.slow
@pytest.mark.timeout(600)  # all is compiled from scratch
def test_workers_compile_once_on_a_machine_and_say_so_once(tmp_path: Path) -> None:
    folder = tmp_path / "clips" / "noise"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(8):
        pcm_TC = rng.integers(-9000, 9000, (22_050, 1), np.int16)
        data = media.by_ffmpeg(pcm_TC, 22_050, "mp4", "aac", b="64k")
        (folder / f"{number}.m4a").write_bytes(data)

    def ingest(out: str) -> list[str]:
        arguments = ["--source", str(folder.parent), "--out", str(tmp_path / out), "--workers", "3"]
        ended = subprocess.run(
            [sys.executable, "-c", "from jobs.cli import main; raise SystemExit(main())",
             "ingest", "folder", *arguments],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True, text=True, check=True, timeout=580,
        )  # fmt: skip
        return sorted(line for line in ended.stderr.splitlines() if "compiling" in line)

    once = "once on this machine: some"
    assert ingest("first") == [
        f"melstream: compiling the AAC decoder, {once} 20 s",
        f"melstream: compiling the FLAC encoder, {once} 15 s",
        f"melstream: compiling the MD5 of samples, {once} 3 s",
    ]
    assert ingest("second") == []
