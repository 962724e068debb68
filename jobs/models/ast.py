"""The Audio Spectrogram Transformer (Gong et al. 2021), through transformers.

transformers is optional, and nothing is ever downloaded: weights come from a local folder, or are
random. Axes: B clips, M mels, F frames, K classes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from shardwriter.errors import ConfigError

_HEAD_SIZE = 64
"""Features of an attention head; the base model has 12 heads of them."""
PATCH_SIZE = 16
_STRIDE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class AstConfig:
    """Size of the network; the defaults are the base model's."""

    num_classes: int
    num_mels: int = 128
    num_frames: int = 1024
    """Frames of every input: the position embeddings are made for one length."""
    width: float = 1.0
    """Factor of 768 features, in steps of an attention head's 64."""
    num_layers: int = 12
    weights: Path | None = None
    """A folder as `save_pretrained` writes it; None draws random weights."""


class Ast(nn.Module):
    """Takes log-mels of one length, gives one logit a class."""

    def __init__(self, config: AstConfig) -> None:
        """Build it, or load it.

        Raises:
            ConfigError: transformers is not there, or the weights are not, or they are of a model
                for other log-mels.
        """
        super().__init__()
        transformers = _transformers()
        if config.weights is None:
            self.network = transformers.ASTForAudioClassification(_settings(transformers, config))
        else:
            self.network = _load(transformers, config, config.weights)

    def forward(self, mel_BMF: Tensor, num_frames_B: Tensor | None = None) -> Tensor:
        """Return logits_BK; AST has no mask, it was trained on clips filled up like these."""
        del num_frames_B
        logits_BK: Tensor = self.network(mel_BMF.transpose(1, 2)).logits
        return logits_BK


def _transformers() -> Any:
    try:
        import transformers
    except ModuleNotFoundError as err:
        raise ConfigError(
            "the model ast needs the package transformers: pip install 'transformers>=4.57'"
        ) from err
    return transformers


def _settings(transformers: Any, config: AstConfig) -> Any:
    num_heads = max(1, round(12 * config.width))
    hidden = _HEAD_SIZE * num_heads
    return transformers.ASTConfig(
        hidden_size=hidden,
        num_hidden_layers=config.num_layers,
        num_attention_heads=num_heads,
        intermediate_size=4 * hidden,
        patch_size=PATCH_SIZE,
        frequency_stride=_STRIDE,
        time_stride=_STRIDE,
        max_length=config.num_frames,
        num_mel_bins=config.num_mels,
        num_labels=config.num_classes,
    )


def _load(transformers: Any, config: AstConfig, folder: Path) -> Any:
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"no config.json in --weights {folder}: it must be a local folder with a model of "
            "transformers; nothing is downloaded"
        )
    try:
        network = transformers.ASTForAudioClassification.from_pretrained(
            folder,
            num_labels=config.num_classes,
            ignore_mismatched_sizes=True,  # the head is for other classes
            local_files_only=True,
            use_safetensors=True,  # no pickled code
        )
    except (OSError, ValueError) as err:
        raise ConfigError(f"can't load the model in --weights {folder}: {err}") from err
    expected = (config.num_mels, config.num_frames)
    got = (network.config.num_mel_bins, network.config.max_length)
    if got != expected:
        raise ConfigError(
            f"the model in --weights {folder} takes {got[0]} mels and {got[1]} frames, the front "
            f"end gives {expected[0]} and {expected[1]}; choose another --preset"
        )
    return network
