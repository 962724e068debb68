"""Front ends of published models, as data.

Each says where its values come from. A preset is a `LogMelConfig` (or `MfccConfig`), so a variant
is `dataclasses.replace(presets()["passt"].config, max_hz=14500.0)`. Dither, jittered bands and
masks, which some recipes add in training, are augmentation and not part of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from loader.features.config import LogMelConfig
from loader.features.mfcc_config import MfccConfig

# Kaldi's floor under mel energies: the smallest step of float32 at 1.
_FLOAT_EPS = 2.0**-23


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One published front end.

    Attributes:
        config: Its settings.
        source: Where they stand.
        note: What a user should know beside them.
        mask_value: What SpecAugment writes into the finished features in the model's recipe; None
            where the recipe has no such masks, or sets the mean behind the network's first norm.
    """

    config: LogMelConfig | MfccConfig
    source: str
    note: str = ""
    mask_value: float | None = None


def presets() -> Mapping[str, Preset]:
    """Return every preset by name."""
    return _PRESETS


def log_mel_preset(name: str, *, sample_rate_hz: int | None = None) -> LogMelConfig:
    """Return a preset's settings.

    Args:
        name: Its name.
        sample_rate_hz: Rate of the waves that will come in; None leaves it unchecked.

    Raises:
        ValueError: there is no such preset, it is one of MFCCs, or its rate is another.
    """
    config = _find(name).config
    if isinstance(config, MfccConfig):
        raise ValueError(f"preset {name!r} computes MFCCs: use Mfcc.preset({name!r})")
    if name == "torchaudio" and sample_rate_hz is not None:
        return replace(config, sample_rate_hz=sample_rate_hz, max_hz=sample_rate_hz / 2)
    _check_rate(name, config.sample_rate_hz, sample_rate_hz)
    return config


def mfcc_preset(name: str, *, sample_rate_hz: int | None = None) -> MfccConfig:
    """Return a preset's settings; arguments and errors as in `log_mel_preset`."""
    config = _find(name).config
    if isinstance(config, LogMelConfig):
        raise ValueError(f"preset {name!r} computes log-mels: use LogMel.preset({name!r})")
    _check_rate(name, config.log_mel.sample_rate_hz, sample_rate_hz)
    return config


def _find(name: str) -> Preset:
    if name not in _PRESETS:
        raise ValueError(f"no preset {name!r}; there are {', '.join(_PRESETS)}")
    return _PRESETS[name]


def _check_rate(name: str, expected_hz: int, got_hz: int | None) -> None:
    if got_hz is not None and got_hz != expected_hz:
        raise ValueError(
            f"preset {name!r} is for waves of {expected_hz} Hz, these have {got_hz} Hz, and "
            f"nothing is resampled here: make the shards at {expected_hz} Hz (melstream ingest "
            f"--sample-rate {expected_hz}), or choose a preset for {got_hz} Hz"
        )


_PANNS = LogMelConfig()
_KALDI = LogMelConfig(
    sample_rate_hz=16000, edges="none", n_fft=512, num_window_samples=400, hop_samples=160,
    preemphasis="frame", window="povey", periodic_window=False,
    mel_bank="kaldi", num_mels=128, min_hz=20.0, max_hz=8000.0, log="ln", power_floor=_FLOAT_EPS,
)  # fmt: skip
_HF_AST = replace(
    _KALDI, window="hann", num_frames_out=1024, frame_fill=0.0, mean=-4.2677393, std=2 * 4.5689974
)
_AST = replace(_HF_AST, remove_clip_mean=True)
_PASST = LogMelConfig(
    preemphasis="clip_short", num_window_samples=800, periodic_window=False,
    mel_bank="kaldi", num_mels=128, min_hz=0.0, max_hz=15000.0,
    log="ln", power_floor=0.0, power_offset=1e-5, mean=-4.5, std=5.0,
)  # fmt: skip
_CLAP = replace(
    _PANNS, sample_rate_hz=48000, hop_samples=480, clip_samples=480_000, fill="repeat_whole"
)
_WHISPER = LogMelConfig(
    sample_rate_hz=16000, clip_samples=480_000, drop_last_frame=True, n_fft=400, hop_samples=160,
    num_mels=80, min_hz=0.0, max_hz=8000.0, log="log10", max_range=8.0, mean=-4.0, std=4.0,
)  # fmt: skip
_VGGISH = LogMelConfig(
    sample_rate_hz=16000, edges="none", n_fft=512, num_window_samples=400, hop_samples=160,
    magnitude=True, mel_bank="tensorflow", min_hz=125.0, max_hz=7500.0,
    log="ln", power_floor=0.0, power_offset=0.01, patch_frames=96, patch_hop_frames=96,
)  # fmt: skip
_MASKED_AST = 4.2677393 / (2 * 4.5689974)

_PRESETS: Mapping[str, Preset] = MappingProxyType({
    "torchaudio": Preset(
        config=LogMelConfig(
            sample_rate_hz=16000, n_fft=400, hop_samples=200,
            mel_bank="torchaudio", num_mels=128, min_hz=0.0, max_hz=8000.0,
        ),
        source="torchaudio 2.11, defaults of MelSpectrogram and AmplitudeToDB(top_db=None)",
        note="Any sample rate. torchaudio's top_db takes one peak for a whole batch of 3 axes "
        "(pytorch/audio 994), so it is left out; max_range does it for each clip.",
    ),
    "panns": Preset(
        config=_PANNS,
        source="Kong et al., PANNs (2020); audioset_tagging_cnn d2f4b8c; torchlibrosa 0.1.0",
        note="CNN14 at 32 kHz. int16 in PANNs' HDF5 files needs int16_full_scale=32767.",
    ),
    "panns-16k": Preset(
        config=replace(_PANNS, sample_rate_hz=16000, n_fft=512, hop_samples=160, max_hz=8000.0),
        source="audioset_tagging_cnn d2f4b8c, Cnn14_16k",
    ),
    "hts-at": Preset(
        config=_PANNS,
        source="Chen et al., HTS-AT (2022); HTS-Audio-Transformer 2a5c818, config.py",
        note="The model itself stretches 1001 frames to 1024.",
    ),
    "clap": Preset(
        config=_CLAP,
        source="LAION CLAP 1fd4c37; transformers 5.23 ClapFeatureExtractor, rand_trunc, repeatpad",
        note="For models without fusion. A clip over 10 s is cut: let the loader crop it.",
    ),
    "clap-fusion": Preset(
        config=replace(_CLAP, mel_bank="torchaudio"),
        source="LAION CLAP 1fd4c37; transformers 5.23 ClapFeatureExtractor, fusion, repeatpad",
        note="Clips up to 10 s: the four inputs of a fusion model are then equal copies of this.",
    ),
    "ast": Preset(
        config=_AST,
        source="Gong et al., AST (2021); YuanGongND/ast 31088be, src/dataloader.py",
        note="AudioSet weights.",
        mask_value=_MASKED_AST,
    ),
    "ast-esc50": Preset(
        config=replace(_AST, num_frames_out=512, mean=-6.6268077, std=2 * 5.358466),
        source="YuanGongND/ast 31088be, egs/esc50",
        mask_value=6.6268077 / (2 * 5.358466),
    ),
    "ast-speech-commands": Preset(
        config=replace(_AST, num_frames_out=128, mean=-6.845978, std=2 * 5.5654526),
        source="YuanGongND/ast 31088be, egs/speechcommands",
        mask_value=6.845978 / (2 * 5.5654526),
    ),
    "hf-ast": Preset(
        config=_HF_AST,
        source="transformers 5.23, ASTFeatureExtractor",
        note="As ast, but without removing the clip's mean.",
        mask_value=_MASKED_AST,
    ),
    "passt": Preset(
        config=_PASST,
        source="Koutini et al., PaSST (2022); kkoutini/PaSST 2a5c818, models/preprocess.py",
        note="1000 frames of 10 s, of which the model takes 998. Training draws min_hz from 0 to 9 "
        "and max_hz from 14001 to 16000 for each batch.",
        mask_value=4.5 / 5,
    ),
    "efficientat": Preset(
        config=_PASST,
        source="Schmid et al., EfficientAT (2023); fschmid56/EfficientAT a425fdc",
        note="mn and dymn; variants differ in num_mels and hop_samples. No masks by default.",
    ),
    "beats": Preset(
        config=replace(_KALDI, full_scale=32768.0, mean=15.41663, std=2 * 6.55582),
        source="Chen et al., BEATs (2022); microsoft/unilm c68101b, beats/BEATs.py",
    ),
    "eat": Preset(
        config=replace(_AST, mean=-4.268, std=2 * 4.569),
        source="Chen et al., EAT (2024); cwx-worst-one/EAT 06c1c34",
        mask_value=0.0,
    ),
    "audio-mae": Preset(
        config=_AST,
        source="Huang et al., Audio-MAE (2022); facebookresearch/AudioMAE bd60e29",
        note="Masks tokens in the model, not the spectrogram.",
    ),
    "whisper": Preset(
        config=_WHISPER,
        source="openai/whisper c0d2f62, audio.py",
        note="80 mels. The range of 8 counts from each clip's own peak, as in transformers; "
        "openai's code takes that of the whole batch.",
    ),
    "whisper-large-v3": Preset(
        config=replace(_WHISPER, num_mels=128), source="openai/whisper c0d2f62, audio.py, 128 mels"
    ),
    "vggish": Preset(
        config=_VGGISH,
        source="Hershey et al., VGGish (2017); tensorflow/models research/audioset/vggish",
        note="The model takes patches of 96 frames: loader.features.patches.",
    ),
    "yamnet": Preset(
        config=replace(_VGGISH, power_offset=0.001, patch_hop_frames=48, fill_patch=True),
        source="tensorflow/models 33630ec, research/audioset/yamnet features.py, params.py",
        note="The model takes patches of 96 frames: loader.features.patches.",
    ),
    "ecapa": Preset(
        config=LogMelConfig(
            sample_rate_hz=16000, edges="zeros", n_fft=400, window="hamming", hop_samples=160,
            mel_bank="speechbrain", num_mels=80, min_hz=0.0, max_hz=8000.0,
            max_range=80.0, clip_norm="mean",
        ),
        source="SpeechBrain 9c826ef, Fbank and InputNormalization(sentence), VoxCeleb ECAPA-TDNN",
        note="The range of 80 dB counts within each clip's own frames.",
    ),
    "wespeaker": Preset(
        config=replace(
            _KALDI, full_scale=32768.0, window="hamming", num_mels=80, clip_norm="mean"
        ),
        source="wenet-e2e/wespeaker dfa7419, dataset/processor.py",
        note="Training adds dither of 1.0 to the samples at 32768.",
        mask_value=0.0,
    ),
    "nemo": Preset(
        config=LogMelConfig(
            sample_rate_hz=16000, preemphasis="clip", edges="zeros", drop_last_frame=True,
            n_fft=512, num_window_samples=400, periodic_window=False, hop_samples=160,
            num_mels=80, min_hz=0.0, max_hz=8000.0,
            log="ln", power_floor=0.0, power_offset=2.0**-24, clip_norm="mean_std",
        ),
        source="NVIDIA NeMo 3.0.0, FilterbankFeatures",
        note="Windows of 25 ms; older models have 20 ms and 64 mels. NeMo then appends zeros up to "
        "a multiple of 16 frames.",
        mask_value=0.0,
    ),
    "matchboxnet": Preset(
        config=MfccConfig(
            log_mel=LogMelConfig(
                sample_rate_hz=16000, n_fft=512, num_window_samples=400, hop_samples=160,
                mel_bank="torchaudio", min_hz=0.0, max_hz=8000.0,
                log="ln", power_floor=0.0, power_offset=1e-6,
            ),
            num_ceps=64,
        ),
        source="NVIDIA NeMo, matchboxnet_3x1x64_v2.yaml, torchaudio's MFCC with log_mels",
        note="The model takes 128 frames, the clip centred in them.",
    ),
    "kaldi-xvector": Preset(
        config=MfccConfig(
            log_mel=replace(
                _KALDI, full_scale=32768.0, edges="mirror", num_mels=30, max_hz=7600.0
            ),
            num_ceps=30, lifter=22.0, energy=True,
        ),
        source="Kaldi egs/voxceleb/v2/conf/mfcc.conf; feat/feature-mfcc.cc",
        note="Followed by sliding_cmvn(window_frames=300).",
    ),
})  # fmt: skip
