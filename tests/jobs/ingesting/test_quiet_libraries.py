"""In a worker C libraries print nothing; all others still do."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.builders import wav, write_folder
from tests.shardwriter.media import by_ffmpeg, noise

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's stream")

CUT_MP3 = by_ffmpeg(noise(20_000), 44_100, "mp3", "libmp3lame")[:2000]
CHATTER = "Xing stream size off"
DECODING = """
import os, sys, soundfile
from jobs.ingesting.quiet_libraries import quiet_c_libraries
if sys.argv[2] == "quiet":
    quiet_c_libraries()
soundfile.read(sys.argv[1])
os.system("echo a child >&2")
raise RuntimeError("of Python")
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("how", ["quiet", "as before"])
def test_only_c_libraries_are_silenced(tmp_path: Path, how: str) -> None:
    path = tmp_path / "cut.mp3"
    path.write_bytes(CUT_MP3)
    printed = run("-c", DECODING, str(path), how).stderr
    assert "a child" in printed
    assert "RuntimeError: of Python" in printed
    assert (CHATTER in printed) == (how != "quiet")


def test_an_odd_mp3_leaves_the_terminal_of_an_ingest_alone(tmp_path: Path) -> None:
    files = {"dog/whole.wav": wav(1.0), "dog/cut.mp3": CUT_MP3}
    source = write_folder(tmp_path / "source", files)
    arguments = ["ingest", "folder", "--source", str(source), "--out", str(tmp_path / "out")]
    ended = run("-m", "jobs.cli", *arguments, "--workers", "1")
    assert ended.returncode == 0, ended.stderr
    assert CHATTER not in ended.stderr
    assert "cut.mp3" in (tmp_path / "out/availability/rejections.jsonl").read_text()
