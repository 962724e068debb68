"""SUPERB's speaker identification: VoxCeleb1, the videos of every speaker split in three.

The files and the split are VoxCeleb1's; class n is the speaker `id` + (10001 + n).
"""

from collections.abc import Mapping
from dataclasses import replace

from jobs.catalogues import voxceleb1
from jobs.catalogues.catalogue import Catalogue
from jobs.sources import Source

_PROTOCOL = "identification"


def _read(source: Source, _options: Mapping[str, str]) -> Catalogue:
    catalogue = voxceleb1.DATASET.read(source, {"protocol": _PROTOCOL})
    return replace(catalogue, name=DATASET.name, title=DATASET.title, trials=())


DATASET = replace(
    voxceleb1.DATASET,
    name="superb_sid",
    title="SUPERB speaker identification (VoxCeleb1)",
    citation=f"{voxceleb1.DATASET.citation}; S. Yang et al. SUPERB: Speech processing Universal "
    "PERformance Benchmark. Interspeech 2021",
    layout="as voxceleb1, with iden_split.txt (s3prl calls the same list veri_test_class.txt)\n"
    + voxceleb1.DATASET.layout,
    read=_read,
    options=(),
    expected=tuple(counts for counts in voxceleb1.DATASET.expected if counts.name == _PROTOCOL),
    archives_of=voxceleb1.DATASET.name,
)
