"""How `pytest -n` deals the tests out: by file, long ones first, some files together.

Each worker is a session of its own: it makes the fixtures of module and session scope that its
tests need.
"""

from pathlib import PurePosixPath

from xdist.scheduler import LoadFileScheduling

# The first worker starts the one storage server, the second runs the one demo.
_TOGETHER = {
    "tests/s3": "s3",
    "tests/jobs/test_demo.py": "demo",
    "tests/jobs/test_ingest.py": "demo",
    "tests/jobs/test_inspection.py": "demo",
}
# Begun first, so that no worker ends long behind the others.
_LONG_FIRST = (
    *_TOGETHER,
    "tests/jobs/test_train.py",
    "tests/jobs/test_train_signals.py",
    "tests/jobs/test_feature_cache.py",
    "tests/jobs/test_training_banks.py",
    "tests/jobs/test_dataset_stats.py",
    "tests/jobs/test_disk_full.py",
    "tests/jobs/test_crash.py",
    "tests/test_examples.py",
    "tests/jobs/e2e",
    "tests/jobs/ingesting",
    "tests/shardwriter",
    "tests/jobs",
)


class FileScheduling(LoadFileScheduling):
    """A worker gets whole files, and those of `_TOGETHER` with each other."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        path = PurePosixPath(file)
        return next((name for at, name in _TOGETHER.items() if path.is_relative_to(at)), file)


def place(nodeid: str) -> int:
    """Return the place of a test's file in the order of beginning."""
    path = PurePosixPath(nodeid.partition("::")[0])
    places = (place for place, at in enumerate(_LONG_FIRST) if path.is_relative_to(at))
    return next(places, len(_LONG_FIRST))
