import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loader.features import Standardize, cmvn, sliding_cmvn


def features(num_frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 3, num_frames, generator=torch.Generator().manual_seed(seed)) + 5


def kaldi_sliding(
    x_MF: NDArray[np.float64], window: int, centred: bool, least: int, with_std: bool
) -> NDArray[np.float64]:
    """SlidingWindowCmn of Kaldi's feature-functions.cc, frame by frame."""
    num_frames = x_MF.shape[1]
    result = np.zeros_like(x_MF)
    for t in range(num_frames):
        start, end = (t - window // 2, 0) if centred else (t - window, t + 1)
        end = start + window if centred else end
        if start < 0:
            start, end = 0, end - start
        if not centred and end > t:
            end = max(t + 1, least)
        if end > num_frames:
            start, end = max(0, start - (end - num_frames)), num_frames
        seen = x_MF[:, start:end]
        result[:, t] = x_MF[:, t] - seen.mean(axis=1)
        if with_std:
            variance = np.maximum((seen**2).mean(axis=1) - seen.mean(axis=1) ** 2, 1e-10)
            result[:, t] = result[:, t] / np.sqrt(variance) if end - start > 1 else 0
    return result


@settings(max_examples=60, deadline=None)
@given(
    num_frames=st.integers(1, 60),
    window=st.integers(1, 40),
    centred=st.booleans(),
    least=st.integers(1, 30),
    with_std=st.booleans(),
)
def test_sliding_cmvn_equals_kaldis_loop(
    num_frames: int, window: int, centred: bool, least: int, with_std: bool
) -> None:
    x_BMF = features(num_frames, seed=num_frames)
    expected = kaldi_sliding(x_BMF[0].double().numpy(), window, centred, least, with_std)
    got = sliding_cmvn(
        x_BMF, window_frames=window, centred=centred, min_window_frames=least, with_std=with_std
    )
    np.testing.assert_allclose(got[0].numpy(), expected, rtol=0, atol=1e-4)


def test_sliding_cmvn_over_a_window_longer_than_the_clip_is_cmvn() -> None:
    x_BMF = features(40)
    torch.testing.assert_close(sliding_cmvn(x_BMF, window_frames=300), cmvn(x_BMF))


@pytest.mark.parametrize("with_std", [False, True])
@pytest.mark.parametrize("sliding", [False, True])
def test_a_padded_clip_is_normalised_as_if_it_were_alone(sliding: bool, with_std: bool) -> None:
    def normalised(x_BMF: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
        if sliding:
            return sliding_cmvn(x_BMF, num_frames_B, window_frames=20, with_std=with_std)
        return cmvn(x_BMF, num_frames_B, with_std=with_std)

    x_BMF = features(50)
    padded_BMF = torch.cat([x_BMF, torch.full((1, 3, 30), 1e4)], dim=2)
    got = normalised(padded_BMF, torch.tensor([50]))
    torch.testing.assert_close(got[:, :, :50], normalised(x_BMF))
    assert (got[:, :, 50:] == 0).all()


def test_cmvn_leaves_mean_0_and_deviation_1_in_each_band() -> None:
    x_BMF = features(200) * torch.tensor([1.0, 5.0, 30.0])[:, None]
    result = cmvn(x_BMF, with_std=True)
    torch.testing.assert_close(result.mean(dim=2), torch.zeros(1, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(result.std(dim=2), torch.ones(1, 3), rtol=0, atol=1e-4)


@pytest.mark.parametrize("num_frames", [0, 1])
def test_a_clip_of_no_or_one_frame_gives_zeros(num_frames: int) -> None:
    for result in (
        cmvn(features(10), torch.tensor([num_frames]), with_std=True),
        sliding_cmvn(features(10), torch.tensor([num_frames]), with_std=True),
    ):
        assert (result == 0).all()


@pytest.mark.parametrize("window", [{"window_frames": 0}, {"min_window_frames": 0}])
def test_an_empty_window_is_refused(window: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1 frame"):
        sliding_cmvn(features(10), **window)  # type: ignore[arg-type]  # one of two integers


def test_given_statistics_standardise_each_band_and_are_saved() -> None:
    module = Standardize(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]))
    result = module(torch.tensor([[[3.0, 1.0], [2.0, 6.0]]]))
    torch.testing.assert_close(result, torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    assert set(module.state_dict()) == {"mean_M", "std_M"}


@pytest.mark.parametrize(
    ("mean_M", "std_M", "message"),
    [
        (torch.zeros(2), torch.ones(3), "shapes"),
        (torch.zeros(2, 1), torch.ones(2, 1), "shapes"),
        (torch.zeros(2), torch.tensor([1.0, 0.0]), "above 0"),
        (torch.tensor([0.0, torch.nan]), torch.ones(2), "finite"),
    ],
)
def test_statistics_that_make_no_sense_are_refused(
    mean_M: torch.Tensor, std_M: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Standardize(mean_M, std_M)
