"""AudioSet's audio in parquet tables, a clip a row, as agkphysics/AudioSet on the Hugging Face Hub.

Their columns are `video_id`, `audio` (FLAC), `labels` and `human_labels`; the times and labels of a
clip are taken from the published lists all the same.
"""

from jobs.catalogues.huggingface_features import read_features
from jobs.catalogues.huggingface_tables import open_table, table_names
from jobs.catalogues.listed_clips import NO_LABELS
from jobs.sources import Source
from jobs.sources.row_files import cell_name
from shardwriter.errors import ConfigError

_VIDEO = "video_id"


def video_rows(source: Source) -> dict[str, str]:
    """Map each video to the cell that holds its clip.

    Raises:
        ConfigError: no table has both audio and a `video_id` column.
    """
    found: dict[str, str] = {}
    for name in table_names(source):
        table = open_table(source, name)
        features = read_features(table.schema, label=NO_LABELS, where=f"{source.url}/{name}")
        if features is None or _VIDEO not in table.schema.names:
            continue
        videos = table.columns([_VIDEO])[_VIDEO].to_pylist()
        for row, video in enumerate(videos):
            found.setdefault(video, cell_name(name, row, features.audio))
    if not found:
        raise ConfigError(
            f"{source.url} holds no parquet table with the columns {_VIDEO} and audio; is it the "
            "folder of agkphysics/AudioSet?"
        )
    return found
