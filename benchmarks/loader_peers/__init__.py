"""The loaders that `benchmarks.loader` compares: one module each, which runs in its own process.

A module has `TUNINGS`, settings by name of which the benchmark keeps the fastest; `prepare`, which
writes the clips in the form that this loader likes best; and `open_batches`, an endless iterator
of (64, T) tensors. Imports of its packages are at its top: only its own environment has them.
"""

from dataclasses import dataclass

BATCH_SIZE = 64
SAMPLE_RATE_HZ = 32_000
CLIP_SAMPLES = 10 * SAMPLE_RATE_HZ
CROP_SAMPLES = 2 * SAMPLE_RATE_HZ

_TORCH = ("torch==2.11.*", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A loader to compare with."""

    name: str
    module: str
    packages: tuple[str, ...]
    """What its environment needs; empty: it runs in ours."""


OURS = Peer(name="melstream", module="melstream", packages=())
PEERS = (
    Peer(name="NVIDIA DALI", module="dali", packages=("nvidia-dali-cuda120", *_TORCH)),
    Peer(name="LitData", module="litdata", packages=("litdata", "soundfile", "miniaudio", *_TORCH)),
    Peer(
        name="Dataset + DataLoader",
        module="dataset",
        packages=("soundfile", "miniaudio", *_TORCH),
    ),
    Peer(
        name="webdataset, soundfile",
        module="webdataset_soundfile",
        packages=("webdataset", "soundfile", *_TORCH),
    ),
    Peer(
        name="webdataset, soundfile, whole",
        module="webdataset_whole",
        packages=("webdataset", "soundfile", *_TORCH),
    ),
    Peer(
        name="webdataset, miniaudio",
        module="webdataset_miniaudio",
        packages=("webdataset", "miniaudio", *_TORCH),
    ),
    Peer(
        name="torchcodec",
        module="torchcodec",
        packages=("torchcodec", "webdataset", "torchaudio==2.11.*", *_TORCH),
    ),
    Peer(name="SPDL", module="spdl", packages=("spdl", "soundfile", "miniaudio", *_TORCH)),
    Peer(
        name="MosaicML Streaming",
        module="mosaicml",
        packages=("mosaicml-streaming", "soundfile", "miniaudio", *_TORCH),
    ),
    Peer(
        name="Hugging Face datasets",
        module="huggingface",
        packages=("datasets", "pyarrow", "soundfile", "miniaudio", *_TORCH),
    ),
    Peer(
        name="Lhotse Shar",
        module="lhotse",
        packages=("lhotse", "urllib3", "soundfile", "torchaudio==2.11.*", *_TORCH),
    ),
    Peer(
        name="Megatron Energon",
        module="energon",
        packages=("megatron-energon", "soundfile", "miniaudio", *_TORCH),
    ),
)
