"""ESC-10 as embedded sample data: 400 real clips, so that every job can run with no download.

The files are package data. Who recorded each clip and under which licence is in
`esc10/ATTRIBUTION.tsv`; what was changed is in `esc10/LICENSE.md`. They were made by
`tools/build_sample.py`.
"""

from importlib.resources import files
from pathlib import Path


def sample_folder() -> Path:
    """Return the folder of the embedded ESC-10 clips, in the published layout of ESC-50.

    It holds `audio/` and `meta/esc50.csv`, so the ordinary ingest of ESC-50 reads it. The result
    is a plain path because a wheel is always unpacked when it is installed.
    """
    return Path(str(files(__name__))) / "esc10"
