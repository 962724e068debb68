"""VoxCeleb2 (Chung 2018): 1,128,246 utterances of 6,112 speakers from YouTube, AAC in m4a.

The usual training set of speaker verification; its test part is seldom used, and trials are those
of VoxCeleb1, with which it shares no speaker.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble
from jobs.catalogues.tables import TableForm
from jobs.catalogues.voxceleb import (
    find_utterances,
    read_speakers,
    speaker_of,
    speaker_targets,
    utterance_clip,
)
from jobs.sources import Source

_SPEAKER = re.compile(r"id0\d{4}", re.ASCII)
# As published, the file has a BOM, CRLF, and a space behind every name and value.
_META = TableForm(columns=("VoxCeleb2 ID", "VGGFace2 ID", "Gender", "Set"), strips=True)
_EXPECTED = ExpectedCounts(
    name="verification", num_by_split={"dev": 1_092_009, "test": 36_237}, num_classes=6112
)


def _read(source: Source, _options: Mapping[str, str]) -> Catalogue:
    speakers = read_speakers(source, "vox2_meta.csv", _META, _SPEAKER, layout=DATASET.layout)
    clips = [
        utterance_clip(DATASET.name, utterance, file=file, speaker=speaker_of(utterance, speakers))
        for utterance, file in find_utterances(source, _SPEAKER).items()
    ]
    catalogue = assemble(
        DATASET,
        mixed(clips),
        labels=tuple(sorted(speakers)),
        expected=_EXPECTED,
        where=source.url,
    )
    return replace(catalogue, targets=speaker_targets(DATASET, speakers))


DATASET = Dataset(
    name="voxceleb2",
    title="VoxCeleb2",
    summary="1,128,246 utterances of 6,112 speakers, from videos",
    num_classes=6112,
    size="2,441 hours of AAC",
    licence="CC BY 4.0 for the metadata; access needs a registration, voices are personal data",
    citation="J. S. Chung, A. Nagrani, A. Zisserman. VoxCeleb2: Deep Speaker Recognition. "
    "Interspeech 2018",
    homepage="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/",
    how_to_get="register at the homepage and download the parts; the addresses of old scripts "
    "answer 401. The parts are read as they are: don't join or unpack them",
    layout="vox2_dev_aac_partaa to _partah (or vox2_dev_aac.zip) and vox2_test_aac.zip,\n"
    "or unpacked: <speaker>/<video>/<utterance>.m4a (or .wav) anywhere below\n"
    "vox2_meta.csv",
    read=_read,
    expected=(_EXPECTED,),
    targets={"speaker": "id of the speaker", "gender": "m or f"},
    faults=("the meta file lists 6,114 speakers; of two in the test part there is no audio",),
)
