"""Where published files lie: folders, archives as published, S3 prefixes; read by name.

opening       `open_source`: the source at a place, by what lies there
source        what every source gives, and the look-ups that all share
folder        a folder of files, as unpacked
archives      which files of a folder make up an archive: volumes, parts, single files
archive_folder  a folder that holds the published archives, as one namespace
zips          a zip archive
split_zip     the volumes of a zip (`.z01` ... `.zip`) as one that a zip reader takes
joined        parts (`_partaa`, `.zip.001`) as one file
tars          a tar archive
unpacking     packed tars to plain ones, once, where that is asked for
row_files     tables with a clip a row: parquet, and what `datasets` saves to disk
stored        a prefix on S3
checksums     whether the published archives are there and whole

No member is unpacked to disk, so no member's name can lead anywhere; sizes are bounded. A source is
opened again from its `url` in each worker process.
"""

from jobs.sources.folder import FolderSource
from jobs.sources.opening import open_source
from jobs.sources.source import NoFiles, Source
from jobs.sources.tars import TarSource
from jobs.sources.zips import ZipSource

__all__ = ["FolderSource", "NoFiles", "Source", "TarSource", "ZipSource", "open_source"]
