"""The source at a place, by what lies there."""

from pathlib import Path

from jobs.sources.archive_folder import ArchiveFolder, open_archive
from jobs.sources.archives import archive_with, archives_in
from jobs.sources.folder import FolderSource
from jobs.sources.source import Source
from jobs.sources.stored import StoredSource
from jobs.sources.unpacking import unpack_tars
from jobs.sources.zips import ZipSource
from shardwriter.errors import ConfigError
from shardwriter.storage import S3Options, open_store


def open_source(
    place: str, *, s3: S3Options | None = None, unpack_into: Path | None = None
) -> Source:
    """Open a folder, an archive, a folder of archives or an S3 prefix.

    A packed tar beside its plain one (`x.tar.gz` and `x.tar`) is passed over.

    Args:
        place: A path or an `s3://bucket/prefix` URL. Of a split zip, and of an archive in parts,
            any of its files; the others lie beside it.
        s3: How to reach S3; None for what boto3 finds.
        unpack_into: Folder in which packed tars are unpacked to plain ones first, and then read;
            None: they are refused. The source's `url` leads to the plain ones.

    Raises:
        ConfigError: nothing is there, or an archive can't be read.
        StorageError: a packed tar can't be unpacked.
    """
    if place.startswith("s3://"):
        return StoredSource(open_store(place, s3))
    location = Path(place if unpack_into is None else unpack_tars(place, unpack_into))
    if location.is_dir():
        archives = archives_in(location)
        return ArchiveFolder(location, archives) if archives else FolderSource(location)
    if location.is_file():
        archive = archive_with(location)
        source = ZipSource(location) if archive is None else open_archive(archive)
        source.names()  # now, not in the middle of the work: is it whole, and harmless?
        return source
    raise ConfigError(
        f"no folder or archive at {place}; give the place of the dataset as published"
    )
