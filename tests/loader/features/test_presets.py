import pytest
import torch

from loader.features import LogMel, LogMelConfig, Mfcc, MfccConfig, num_patches_B, patches_BPMF
from loader.features.presets import presets

NAMED_IN_THE_DOCS = (
    "torchaudio", "ast", "hf-ast", "panns", "panns-16k", "hts-at", "clap", "passt", "efficientat",
    "beats", "eat", "audio-mae", "whisper", "vggish", "yamnet", "ecapa", "wespeaker", "nemo",
    "matchboxnet",
)  # fmt: skip


def test_every_promised_preset_is_there_with_its_source() -> None:
    assert set(NAMED_IN_THE_DOCS) <= set(presets())
    assert all(preset.source for preset in presets().values())


def test_presets_can_not_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        presets()["mine"] = presets()["ast"]  # type: ignore[index]  # wrong on purpose


@pytest.mark.parametrize("front_end", [LogMel, Mfcc])
def test_an_unknown_name_is_refused_with_the_names_there_are(
    front_end: type[LogMel] | type[Mfcc],
) -> None:
    with pytest.raises(ValueError, match=r"no preset 'asr'; there are torchaudio, .*ast, .*yamnet"):
        front_end.preset("asr")


def test_a_preset_of_the_other_kind_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"Mfcc.preset\('matchboxnet'\)"):
        LogMel.preset("matchboxnet")
    with pytest.raises(ValueError, match=r"LogMel.preset\('ast'\)"):
        Mfcc.preset("ast")


def test_waves_of_another_rate_are_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"16000 Hz, these have 32000 Hz.*--sample-rate 16000"):
        LogMel.preset("ast", sample_rate_hz=32000)
    with pytest.raises(ValueError, match=r"16000 Hz, these have 8000 Hz"):
        Mfcc.preset("kaldi-xvector", sample_rate_hz=8000)
    assert LogMel.preset("ast", sample_rate_hz=16000).config.sample_rate_hz == 16000


def test_the_torchaudio_preset_takes_any_rate() -> None:
    config = LogMel.preset("torchaudio", sample_rate_hz=44100).config
    assert (config.sample_rate_hz, config.max_hz) == (44100, 22050)


@pytest.mark.parametrize("name", list(presets()))
def test_the_shortest_wave_passes_and_a_shorter_one_is_refused(name: str) -> None:
    config = presets()[name].config
    module = Mfcc.preset(name) if isinstance(config, MfccConfig) else LogMel.preset(name)
    config = config.log_mel if isinstance(config, MfccConfig) else config
    shortest = config.min_samples
    assert module(torch.zeros(1, shortest)).shape[2] >= 1
    assert config.num_frames(shortest) >= 1
    with pytest.raises(ValueError, match=f"at least {shortest}"):
        module(torch.zeros(1, shortest - 1))


def test_yamnet_fills_a_clip_up_to_whole_patches() -> None:
    module = LogMel.preset("yamnet")
    lengths = [16000, 15600, 23281, 400]
    mel_BMF = module(torch.full((4, 23281), 0.1), torch.tensor(lengths))
    counts_B = num_patches_B(torch.tensor(lengths), module.config)
    assert counts_B.tolist() == [2, 1, 3, 1]
    patches = patches_BPMF(mel_BMF, module.config)
    assert patches.shape == (4, 3, 64, 96)
    torch.testing.assert_close(patches[:, 1], mel_BMF[:, :, 48:144])


def test_vggish_cuts_ten_seconds_into_ten_patches() -> None:
    module = LogMel.preset("vggish")
    mel_BMF = module(torch.zeros(1, 160_000))
    assert patches_BPMF(mel_BMF, module.config).shape == (1, 10, 64, 96)
    assert num_patches_B(torch.tensor([160_000, 100]), module.config).tolist() == [10, 0]


def test_a_front_end_without_patches_says_so() -> None:
    with pytest.raises(ValueError, match="no patches"):
        patches_BPMF(torch.zeros(1, 64, 100), LogMelConfig())


def test_the_presets_mask_values_are_what_their_recipes_write() -> None:
    # AST and PaSST write 0 before they standardise; EAT, WeSpeaker and NeMo write the mean, 0.
    masks = {name: preset.mask_value for name, preset in presets().items()}
    for name in ("ast", "hf-ast", "ast-esc50", "ast-speech-commands", "passt"):
        config = presets()[name].config
        assert isinstance(config, LogMelConfig)
        assert masks[name] == pytest.approx((0 - config.mean) / config.std)
    assert masks["ast"] == pytest.approx(0.467, abs=1e-3)
    assert masks["passt"] == pytest.approx(0.9)
    assert masks["eat"] == masks["wespeaker"] == masks["nemo"] == 0
    assert masks["panns"] is None
