"""Writers that are killed, run as a program: `python -m tests.shardwriter.killed_writer ...`.

`steps FOLDER NUM_CLIPS` writes one clip for each byte of its input; whoever started it kills it.
`points FOLDER STEP` kills a writer at every STEP-th of its file operations, goes on with another,
and writes what it found as JSON. It forks; pytest's own process must not, it may have threads.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from shardwriter import ShardWriter
from shardwriter.flac import encode_flac
from shardwriter.keys import to_key
from tests.shardwriter.builders import SETTINGS, make_clips, write_dataset
from tests.shardwriter.kill_points import kill_at_points

# Otherwise every fork would import what pyarrow wants, and load the compiled encoder.
PRELOADED = (pd, encode_flac(np.ones(1, np.int16), sample_rate_hz=8000, frame_num_samples=64))


def write_in_steps(folder: Path, num_clips: int) -> None:
    with ShardWriter(str(folder), SETTINGS, max_samples_per_shard=3) as writer:
        for clip in make_clips(range(num_clips)):
            sys.stdin.buffer.read(1)
            if not writer.is_written(to_key(clip.id)):
                writer.write_clip(clip)
            sys.stdout.write(f"{clip.id}\n")
            sys.stdout.flush()


def write_seven_clips(folder: Path) -> None:
    write_dataset(folder, make_clips(range(7)), max_samples_per_shard=2)


def main() -> None:
    mode, folder, *rest = sys.argv[1:]
    if mode == "steps":
        write_in_steps(Path(folder), int(rest[0]))
    else:
        sys.stdout.write(json.dumps(kill_at_points(write_seven_clips, Path(folder), int(rest[0]))))


if __name__ == "__main__":
    main()
