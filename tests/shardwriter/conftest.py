import shutil
from pathlib import Path

import pytest

from shardwriter.storage import LocalStore
from tests.shardwriter.builders import write_dataset


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """11 clips in two splits and five shards; tests only read it."""
    folder = tmp_path_factory.mktemp("shards") / "made"
    write_dataset(folder)
    return folder


@pytest.fixture
def own_dataset(dataset: Path, tmp_path: Path) -> Path:
    """A copy of it, for a test that changes it."""
    return Path(shutil.copytree(dataset, tmp_path / "made"))


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """On a folder that isn't there yet."""
    return LocalStore(tmp_path / "root")
