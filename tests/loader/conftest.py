from pathlib import Path

import pytest
import torch

from tests.loader.builders import make_dataset


@pytest.fixture(scope="session")
def dataset_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """23 clips in 8 shards; tests only read it."""
    return make_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture
def own_dataset_url(tmp_path: Path) -> str:
    """The same, for a test that changes it."""
    return make_dataset(tmp_path / "dataset")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Let torch's own generator begin alike in every test."""
    torch.manual_seed(0)
