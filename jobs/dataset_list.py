"""What `melstream datasets` does: tell of datasets, check and download their archives."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.catalogues.description import Dataset, PublishedFile
from jobs.catalogues.registry import DATASETS, find_dataset
from jobs.catalogues.showing import description, overview
from jobs.console import byte_progress, complain, say, table
from shardwriter.errors import ConfigError, MelstreamError, StorageError

if TYPE_CHECKING:
    from jobs.fetching.http_session import HttpOptions, HttpSession

_MAX_DOWNLOAD_BYTES = 1 << 40


def show_datasets() -> int:
    """Print a line for each dataset."""
    table(overview(DATASETS))
    return 0


def show_dataset(name: str) -> int:
    """Print all that is known of a dataset."""
    dataset = find_dataset(name)
    say(dataset.title)
    table(description(dataset))
    return 0


def check(name: str, folder: Path) -> int:
    """Print what of a dataset's archives lies in a folder; return 1 if anything is damaged."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}")
    return 1 if _check(find_dataset(name), folder) else 0


def refuse_damaged_archives(dataset: Dataset, source: str) -> None:
    """Hash the archives of a source.

    Raises:
        ConfigError: the source is no folder.
        StorageError: an archive is not as published.
    """
    if not Path(source).is_dir():
        raise ConfigError("--check-archives looks for the archives in a --source that is a folder")
    if damaged := _check(dataset, Path(source)):
        raise StorageError(f"not as published: {', '.join(damaged)}; download it again")


def _check(dataset: Dataset, folder: Path) -> list[str]:
    """Print the state of each archive; return the names of those that are damaged."""
    from jobs.sources.checksums import ArchiveState, check_archives

    damaged = []
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    with byte_progress(size, "check") as advance:
        for found in check_archives(folder, _files(dataset), advance=advance):
            say(f"  {found.archive.file}: {found.state}  {found.detail}".rstrip())
            if found.state in (ArchiveState.WRONG_SIZE, ArchiveState.WRONG_CHECKSUM):
                damaged.append(found.archive.file)
    return damaged


def download_archives(name: str, folder: Path, *, http: "HttpOptions | None" = None) -> int:
    """Fetch a dataset's archives, as far as they are public; return 1 if some could not be had."""
    from jobs.fetching.http_session import HttpSession

    dataset = find_dataset(name)
    folder.mkdir(parents=True, exist_ok=True)
    session = HttpSession(http)
    try:
        failed = [
            file.file
            for file in _files(dataset)
            if file.url and not _is_fetched(file, folder, session)
        ]
    finally:
        session.close()
    if failed:
        complain(f"{len(failed)} of {dataset.title}'s files could not be had: {', '.join(failed)}")
    return 1 if failed else 0


def _is_fetched(file: PublishedFile, folder: Path, session: "HttpSession") -> bool:
    from jobs.fetching.download import RemoteFile, download

    if file.note.startswith("needs a registration"):
        say(f"  {file.file}: {file.note}")
        return False
    remote = RemoteFile(url=file.url, num_bytes=file.num_bytes, sha256=file.sha256, md5=file.md5)
    try:
        with byte_progress(file.num_bytes or 0, file.file) as advance:
            before = 0

            def on_bytes(num_bytes: int) -> None:
                nonlocal before
                advance(num_bytes - before)
                before = num_bytes

            download(
                remote,
                folder / file.file,
                session=session,
                max_bytes=file.num_bytes or _MAX_DOWNLOAD_BYTES,
                on_bytes=on_bytes,
            )
    except MelstreamError as err:
        complain(f"  {file.file}: {err}")
        return False
    say(f"  {file.file}: ok")
    return True


def _files(dataset: Dataset) -> Sequence[PublishedFile]:
    if not dataset.archives:
        raise ConfigError(f"no checksums are known of {dataset.title}'s files")
    return dataset.archives
