import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jobs.models.ast import Ast, AstConfig
from jobs.models.build import build_network
from jobs.models.cnn import CnnConfig, PannsCnn
from jobs.models.ecapa import Ecapa, EcapaConfig
from jobs.models.pooling import MilHead
from jobs.recipe import Recipe
from shardwriter.errors import ConfigError

pytestmark = pytest.mark.usefixtures("one_thread")


def num_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# 527 classes, as published: CNN6 4.8, CNN10 5.2, CNN14 80.8 million (Kong et al. 2020), of which
# 1.0 and 0.5 million are the spectrogram's fixed weights.
@pytest.mark.parametrize(("kind", "millions"), [("cnn6", 4.8), ("cnn10", 5.2), ("cnn14", 80.8)])
def test_cnns_of_full_width_have_the_published_number_of_weights(
    kind: str, millions: float
) -> None:
    with torch.device("meta"):
        network = PannsCnn(CnnConfig(kind=kind, num_classes=527))  # type: ignore[arg-type]
    assert num_parameters(network) / 1e6 == pytest.approx(millions, abs=0.6)


@pytest.mark.parametrize("kind", ["cnn6", "cnn10", "cnn14"])
@pytest.mark.parametrize("pooling", ["mean_max", "max", "attention", "linear_softmax"])
def test_cnn_takes_the_fewest_frames_it_says_and_no_less(kind: str, pooling: str) -> None:
    config = CnnConfig(
        kind=kind,  # type: ignore[arg-type]
        num_classes=5,
        width=1 / 32,
        pooling=pooling,
    )
    network = PannsCnn(config).eval()
    assert network(torch.randn(2, 64, config.min_frames)).shape == (2, 5)
    with pytest.raises(RuntimeError):
        network(torch.randn(2, 64, config.min_frames - 1))


@pytest.mark.parametrize("pooling", ["max", "attention", "linear_softmax"])
def test_frames_beyond_the_clip_do_not_count_in_multiple_instance_pooling(pooling: str) -> None:
    torch.manual_seed(0)
    head = MilHead(8, 3, pooling=pooling, dropout=0.0).eval()
    map_BCF = torch.randn(2, 8, 10)
    is_own_BF = (torch.arange(10) < 6)[None].expand(2, 10)
    alone_BK = head(map_BCF[:, :, :6])
    assert torch.allclose(head(map_BCF, is_own_BF[:, None]), alone_BK, atol=1e-5)
    assert not torch.allclose(head(map_BCF), alone_BK, atol=1e-3)


def test_linear_softmax_and_max_pool_probabilities() -> None:
    share_F = torch.tensor([0.1, 0.8, 0.5])
    head = MilHead(1, 1, pooling="linear_softmax", dropout=0.0).eval()
    head.hidden = torch.nn.Identity()  # type: ignore[assignment]
    head.classes = torch.nn.Identity()  # type: ignore[assignment]
    logits_BKF = torch.logit(share_F)[None, None]
    expected = (share_F**2).sum() / share_F.sum()
    assert head(logits_BKF).sigmoid().item() == pytest.approx(expected.item(), abs=1e-5)
    head.pooling = "max"
    assert head(logits_BKF).sigmoid().item() == pytest.approx(0.8, abs=1e-5)


def test_embedding_of_a_padded_clip_is_that_of_the_clip_alone() -> None:
    torch.manual_seed(0)
    network = Ecapa(EcapaConfig(num_classes=4, num_mels=20, width=1 / 32)).eval()
    mel_BMF = torch.randn(2, 20, 50)
    padded_BMF = torch.cat((mel_BMF, 100 * torch.randn(2, 20, 30)), dim=2)
    alone_BD = network.embed(mel_BMF)
    assert torch.allclose(network.embed(padded_BMF, torch.tensor([50, 50])), alone_BD, atol=1e-5)
    assert torch.allclose(alone_BD.norm(dim=1), torch.ones(2), atol=1e-5)
    assert network(mel_BMF).abs().max() <= 1.0


def tiny_ast() -> AstConfig:
    return AstConfig(num_classes=3, num_mels=32, num_frames=64, width=1 / 12, num_layers=1)


@pytest.mark.slow  # transformers takes long to load
def test_ast_is_made_with_random_weights_and_loaded_from_a_folder(tmp_path: Path) -> None:
    network = Ast(tiny_ast()).eval()
    network.network.save_pretrained(tmp_path)
    mel_BMF = torch.randn(2, 32, 64)
    logits_BK = network(mel_BMF)
    assert logits_BK.shape == (2, 3)
    loaded = Ast(replace(tiny_ast(), weights=tmp_path)).eval()
    assert torch.equal(loaded(mel_BMF), logits_BK)
    with pytest.raises(ConfigError, match="takes 32 mels and 64 frames, the front end gives 64"):
        Ast(replace(tiny_ast(), num_mels=64, weights=tmp_path))
    with pytest.raises(ConfigError, match=r"no config\.json in .*nothing is downloaded"):
        Ast(replace(tiny_ast(), weights=tmp_path / "MIT"))


def test_ast_without_transformers_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match="pip install 'transformers"):
        Ast(tiny_ast())


def test_clip_that_is_too_short_for_the_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="clips of 20 frames are too short for cnn10"):
        build_network(Recipe(), num_classes=3, num_mels=64, num_frames=20)
    with pytest.raises(ConfigError, match="--weights is for the model ast"):
        build_network(Recipe(weights="x"), num_classes=3, num_mels=64, num_frames=200)
