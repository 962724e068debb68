"""A local folder that passes for a store far away."""

import threading
from pathlib import Path
from typing import Any

from loader import LoaderConfig, ShardLoader, World
from shardwriter.storage import LocalStore, Part


class RemoteFolder:
    """A local folder that looks like a remote store, and counts what is asked of it."""

    def __init__(self, folder: str) -> None:
        self._near = LocalStore(Path(folder))
        self.ranges: list[tuple[str, int, int]] = []
        self.version = "1"
        self.problems: list[Exception] = []
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._near, name)

    def read_part(
        self, name: str, *, start: int, stop: int, version: str | None, max_seconds: float
    ) -> Part:
        with self._lock:
            self.ranges.append((name, start, stop))
            if self.problems:
                raise self.problems.pop()
        data = self._near.read_range(name, start, stop - start)
        return Part(data=data, version=self.version, stop=start + len(data))

    @property
    def num_bytes(self) -> int:
        return sum(stop - start for _, start, stop in self.ranges)


def remote_loader(store: RemoteFolder, **settings: Any) -> ShardLoader:
    defaults = {"split": "train", "batch_size": 3, "crop_seconds": 0.02, "tail": "pad"}
    config = LoaderConfig(url=store.url, **{**defaults, **settings})
    return ShardLoader(config, world=World(), store=store)
