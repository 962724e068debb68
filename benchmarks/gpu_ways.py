"""Ways of computing the log-mels of PANNs (32 kHz) and AST (16 kHz): melstream's and its peers'.

Peers are imported where they are used: one that is not installed is left out. A peer computes the
same features by its own means, so that its output can be held against melstream's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from benchmarks.gpu_timing import graphed
from loader.features import LogMel
from loader.features.fused import FusedLogMel

OURS = "melstream"
FRONT_ENDS = ("panns", "ast")

Call = Callable[[], Tensor]
FrontEnd = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way of computing a front end's features of a batch.

    Attributes:
        name: What the table calls it.
        is_ours: Whether it is melstream's.
        prepare: Takes a batch on the device and returns the call to time.
        keeps_memory: Whether preparing takes the memory that calls work in, as a graph does.
    """

    name: str
    is_ours: bool
    prepare: Callable[[Tensor], Call]
    keeps_memory: bool = False


def ways(front_end: str, device: torch.device) -> list[Way]:
    """Return every way that may be there on a device, melstream's first."""

    def ours() -> FrontEnd:
        return LogMel.preset(front_end).to(device)

    made = [
        _plain(OURS, ours, is_ours=True),
        _compiled(OURS, ours, device, is_ours=True),
        *_graphed(OURS, ours, device, is_ours=True),
        *_graphed(f"{OURS}, compiled", lambda: _compile(ours(), device), device, is_ours=True),
        *_fused(front_end, device),
    ]
    for name, make in _PEERS[front_end].items():
        if find_spec(name.partition(" ")[0]) is None:
            continue
        theirs = partial(make, device)
        made.append(_plain(name, theirs, is_ours=False))
        if name in _BATCHED and device.type == "cuda":
            made.append(_compiled(name, theirs, device, is_ours=False))
            made += _graphed(name, theirs, device, is_ours=False)
    return made


def _fused(front_end: str, device: torch.device) -> list[Way]:
    """Return the ways of the one kernel, which only CUDA has."""

    def ours() -> FrontEnd:
        return FusedLogMel.preset(front_end).to(device)

    name = f"{OURS}, fused kernel"
    graphs = _graphed(name, ours, device, is_ours=True)
    return [_plain(name, ours, is_ours=True), *graphs] if device.type == "cuda" else []


# A front end is made when its way is prepared: what fails then is that way's, not the others'.


def _plain(name: str, make: Callable[[], FrontEnd], *, is_ours: bool) -> Way:
    return Way(name=name, is_ours=is_ours, prepare=lambda wave_BT: partial(make(), wave_BT))


def _compiled(
    name: str, make: Callable[[], FrontEnd], device: torch.device, *, is_ours: bool
) -> Way:
    backend = _backend(device)
    return Way(
        name=f"{name}, torch.compile" + ("" if backend == "inductor" else f" ({backend})"),
        is_ours=is_ours,
        prepare=lambda wave_BT: partial(_compile(make(), device, fullgraph=is_ours), wave_BT),
    )


def _graphed(
    name: str, make: Callable[[], FrontEnd], device: torch.device, *, is_ours: bool
) -> list[Way]:
    if device.type != "cuda":
        return []
    return [
        Way(
            name=f"{name}, CUDA graph",
            is_ours=is_ours,
            prepare=lambda wave_BT: graphed(partial(make(), wave_BT)),
            keeps_memory=True,
        )
    ]


def _compile(compute: FrontEnd, device: torch.device, *, fullgraph: bool = True) -> FrontEnd:
    return torch.compile(compute, fullgraph=fullgraph, dynamic=False, backend=_backend(device))


def _backend(device: torch.device) -> str:
    # Code for a CPU would take a minute to make and shows no more than a trace of the whole.
    return "inductor" if device.type == "cuda" else "aot_eager"


def _torchaudio_panns(device: torch.device) -> FrontEnd:
    import torchaudio

    config = LogMel.preset("panns").config
    return nn.Sequential(
        torchaudio.transforms.MelSpectrogram(
            sample_rate=config.sample_rate_hz,
            n_fft=config.n_fft,
            hop_length=config.hop_samples,
            f_min=config.min_hz,
            f_max=config.max_hz,
            n_mels=config.num_mels,
            norm="slaney",
            mel_scale="slaney",
        ),
        torchaudio.transforms.AmplitudeToDB(top_db=None),
    ).to(device)


def _torchlibrosa_panns(device: torch.device) -> FrontEnd:
    from torchlibrosa.stft import LogmelFilterBank, Spectrogram

    config = LogMel.preset("panns").config
    layers = nn.Sequential(
        Spectrogram(n_fft=config.n_fft, hop_length=config.hop_samples),
        LogmelFilterBank(
            sr=config.sample_rate_hz,
            n_fft=config.n_fft,
            n_mels=config.num_mels,
            fmin=config.min_hz,
            fmax=config.max_hz,
            top_db=None,
        ),
    ).to(device)
    return lambda wave_BT: layers(wave_BT)[:, 0].transpose(1, 2)


def _nnaudio_panns(device: torch.device) -> FrontEnd:
    from nnAudio.features.mel import MelSpectrogram

    config = LogMel.preset("panns").config
    mel = MelSpectrogram(
        sr=config.sample_rate_hz,
        n_fft=config.n_fft,
        n_mels=config.num_mels,
        hop_length=config.hop_samples,
        fmin=config.min_hz,
        fmax=config.max_hz,
        verbose=False,
    ).to(device)
    return lambda wave_BT: 10 * mel(wave_BT).clamp(min=config.power_floor).log10()


def _torchaudio_ast(device: torch.device) -> FrontEnd:  # noqa: ARG001 - as the others
    from torchaudio.compliance.kaldi import fbank

    config = LogMel.preset("ast").config

    def theirs(wave_BT: Tensor) -> Tensor:
        clips = [
            fbank((wave_T - wave_T.mean())[None], window_type="hanning", num_mel_bins=128)
            for wave_T in wave_BT
        ]
        num_frames = config.num_frames_out or clips[0].shape[0]
        mel_BFM = nn.functional.pad(torch.stack(clips), (0, 0, 0, num_frames - clips[0].shape[0]))
        return ((mel_BFM - config.mean) / config.std).transpose(1, 2)

    return theirs


_PEERS: Mapping[str, Mapping[str, Callable[[torch.device], FrontEnd]]] = {
    "panns": {
        "torchaudio MelSpectrogram + AmplitudeToDB": _torchaudio_panns,
        "torchlibrosa (convolution)": _torchlibrosa_panns,
        "nnAudio (convolution)": _nnaudio_panns,
    },
    "ast": {"torchaudio kaldi.fbank, clip by clip": _torchaudio_ast},
}
# Compiled and captured too, so that melstream isn't compared in its best form with their plain one.
_BATCHED = frozenset({"torchaudio MelSpectrogram + AmplitudeToDB"})
