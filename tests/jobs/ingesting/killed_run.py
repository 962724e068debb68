"""An ingest from the made-up site as a program: `python -m tests.jobs.ingesting.killed_run ...`.

`SITE OUT NUM_CLIPS NUM_WORKERS [PART]`; whoever started it kills it.
"""

import sys
from pathlib import Path

from tests.jobs.ingesting.site import run_site


def main() -> int:
    site, out, num_clips, num_workers, *part = sys.argv[1:]
    summary = run_site(
        Path(site),
        out,
        int(num_clips),
        part=part[0] if part else "",
        num_workers=int(num_workers),
        seconds_per_request=0.005,
    )
    return summary.exit_status


if __name__ == "__main__":
    sys.exit(main())
