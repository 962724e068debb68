"""A small ESC-50-like source, an ingest of it in a process of its own, what a reader may see."""

import csv
import hashlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from loader.dataset import open_dataset
from shardwriter.check import check_shards
from shardwriter.errors import ConfigError
from shardwriter.manifest import load_manifest, load_parts
from shardwriter.object_stream import ObjectStream
from shardwriter.shard_names import idx_name
from shardwriter.storage import LocalStore
from shardwriter.tarshard import stream_members
from tests.shardwriter.dataset_builders import tree

NUM_CLIPS = 40
NUM_CLIPS_AT_FIRST = 25
CLIPS_PER_SHARD = 2
RATE_HZ = 1000
MAX_WAIT_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What uninterrupted ingests give."""

    sources: tuple[Path, Path]
    """ESC-50 as published, at first with a part of the clips absent."""
    trees: tuple[dict[str, str], dict[str, str]]
    """What lies in the target after the first source, and after both."""
    seconds: float
    """How long a writer holds the target."""


def make_reference(folder: Path) -> Reference:
    sources = (folder / "first", folder / "second")
    for source, num_present in zip(sources, (NUM_CLIPS_AT_FIRST, NUM_CLIPS), strict=True):
        write_source(source, num_present)
    target = folder / "reference"
    trees = []
    for source in sources:
        process = start(source, target)
        wait_until_writing(process, target)
        started = time.monotonic()
        _, errors = process.communicate(timeout=MAX_WAIT_SECONDS)
        assert process.returncode == 0, errors.decode()
        seconds = time.monotonic() - started
        trees.append(shards_tree(target))
    check_as_reader(target)
    return Reference(sources=sources, trees=(trees[0], trees[1]), seconds=seconds)


def write_source(folder: Path, num_present: int) -> None:
    (folder / "meta").mkdir(parents=True)
    (folder / "audio").mkdir()
    with (folder / "meta" / "esc50.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "fold", "target", "category", "esc10", "src_file", "take"])
        for number in range(NUM_CLIPS):
            row = (number % 5 + 1, 1000 + number, "A", number % 50)
            name = "{}-{}-{}-{}.wav".format(*row)
            writer.writerow([name, row[0], row[3], f"class{row[3]}", "False", row[1], "A"])
            if number < num_present:
                rng = np.random.default_rng(number % 37)  # three clips sound as another
                wave_T = rng.integers(-5000, 5000, 5 * RATE_HZ, dtype=np.int16)
                soundfile.write(folder / "audio" / name, wave_T, RATE_HZ)


def shards_tree(target: Path) -> dict[str, str]:
    """Hash of every file, hidden ones too, but of what tells of the runs: it holds their times."""
    return {
        name: digest
        for name, digest in tree(target).items()
        if not name.startswith("availability/")
    }


def command(source: Path, target: Path) -> list[str]:
    # Without workers, because a killed parent leaves the end of its children to them.
    arguments = ["--source", str(source), "--out", str(target), "--sample-rate", str(RATE_HZ)]
    shape = ["--workers", "0", "--shard-clips", str(CLIPS_PER_SHARD)]
    return [sys.executable, "-m", "jobs.cli", "ingest", "esc50", *arguments, *shape]


def start(source: Path, target: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command(source, target), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def wait_until_writing(process: subprocess.Popen[bytes], target: Path) -> None:
    stop = time.monotonic() + MAX_WAIT_SECONDS
    while not (target / ".tmp-scratch").exists() and process.poll() is None:
        assert time.monotonic() < stop
        time.sleep(0.0005)


def check_as_reader(target: Path) -> bool:
    """Check all that a reader can see; say whether there is a manifest."""
    store = LocalStore(target)
    for name in store.names(""):
        if name.endswith(".tar"):
            stream = ObjectStream(store, name)
            members = stream_members(stream, num_bytes=stream.num_bytes, where=name)
            num_members = sum(1 for _ in members)
            assert num_members >= 2
            assert num_members % 2 == 0
    for entry in load_parts(store):
        stream = ObjectStream(store, entry.tar)
        assert stream.sha256() == entry.sha256
        idx = store.read(idx_name(entry.tar))
        assert hashlib.sha256(idx).hexdigest() == entry.idx_sha256
    try:
        manifest = load_manifest(store)
    except ConfigError:
        return False
    reports = list(check_shards(store, manifest, manifest.shards))
    assert [problem for report in reports for problem in report.problems] == []
    for split, totals in manifest.splits.items():
        assert len(open_dataset(store, split=split, folds=None)) == totals.num_samples
    return True
