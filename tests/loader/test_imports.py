import subprocess
import sys

import pytest

_HEAVY = ("av", "numba", "llvmlite", "boto3", "botocore", "scipy", "soxr", "pandas", "webdataset")


def test_the_loader_is_imported_without_what_only_some_need() -> None:
    code = f"import sys, loader; print(*(name for name in {_HEAVY} if name in sys.modules))"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "\n"


@pytest.mark.parametrize("name", ["CleanClip", "ShardWriter", "SourceBytes", "encode_clip"])
def test_what_writes_shards_is_there_when_asked_for(name: str) -> None:
    import shardwriter

    assert name in shardwriter.__all__
    assert getattr(shardwriter, name).__name__ == name


def test_other_names_are_not() -> None:
    import shardwriter

    with pytest.raises(AttributeError, match="no attribute 'ShardReader'"):
        _ = shardwriter.ShardReader
