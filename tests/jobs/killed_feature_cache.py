"""Caching that is killed: `python -m tests.jobs.killed_feature_cache AUDIO FOLDER STEP`.

Kills it at every STEP-th of its file operations, lets another go on, and writes what it found as
JSON.
"""

import json
import sys
from functools import partial
from pathlib import Path

import torch

from tests.jobs.feature_builders import cache
from tests.shardwriter.kill_points import kill_at_points


def main() -> None:
    url, folder, step = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)  # no pool of threads that a fork would lose
    sys.stdout.write(json.dumps(kill_at_points(partial(cache, url), folder, step)))


if __name__ == "__main__":
    main()
