import io
import subprocess
import sys
import threading

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from numpy.typing import NDArray

from jobs.result_plots import class_histogram, confusion_picture, curves
from jobs.sound_plots import MelTile, clip_picture, mel_grid

GREEN, RED, BLUE, ORANGE = "#007A5A", "#C44601", "#0072B2", "#E69F00"
ODD_LABEL = "$x_{ <b>&\n" + "very " * 20 + "long"


def pixels(png: bytes) -> NDArray[np.float32]:
    """Decode a picture, which checks that it is one; height x width x RGBA."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return imread(io.BytesIO(png), format="png")


def num_pixels_of(png: bytes, color: str) -> int:
    distance = np.abs(pixels(png)[..., :3] - np.array(to_rgb(color))).max(axis=-1)
    return int((distance < 0.01).sum())


def mel_MF(num_frames: int = 50, level_db: float = 0.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(3)
    return (level_db - 60 * rng.random((64, num_frames))).astype(np.float32)


def wave_T(num_samples: int = 16000) -> NDArray[np.int16]:
    return np.random.default_rng(4).integers(-9000, 9000, num_samples).astype(np.int16)


def clip(title: str = "dog", wave: NDArray[np.int16] | None = None, **settings: object) -> bytes:
    return clip_picture(
        wave_T() if wave is None else wave,
        mel_MF(),
        sample_rate_hz=32000,
        hop_seconds=0.01,
        title=title,
        **settings,  # type: ignore[arg-type]  # one factory for all tests
    )


def every_picture(label: str = "dog") -> dict[str, bytes]:
    tiles = [MelTile(mel_MF=mel_MF(), label=label, predicted="cat")]
    return {
        "clip": clip(label),
        "grid": mel_grid(tiles, hop_seconds=0.01, title=label),
        "curves": curves([2.0, 1.0, 0.5], [0.2, 0.4, 0.6], title=label),
        "confusion": confusion_picture(np.array([[3, 1], [0, 4]]), [label, "cat"]),
        "histogram": class_histogram({label: [3, 4], "held out": [1, 0]}, [label, "cat"]),
    }


def test_every_picture_is_a_png_and_the_same_call_gives_the_same_bytes() -> None:
    first, second = every_picture(), every_picture()
    assert len(first) == 5
    for name, png in first.items():
        height, width, _ = pixels(png).shape
        assert 100 < height < 3000, name
        assert 100 < width < 3000, name
    assert first == second


def test_labels_with_formula_signs_newlines_and_great_length_are_drawn() -> None:
    for png in every_picture(ODD_LABEL).values():
        assert pixels(png).size > 0


def test_pictures_can_be_made_in_a_thread() -> None:
    made: list[bytes] = []
    thread = threading.Thread(target=lambda: made.append(clip()))
    thread.start()
    thread.join()
    assert made == [clip()]


def test_pyplot_stays_out() -> None:
    code = (
        "import sys, jobs.result_plots, jobs.sound_plots; "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_single_loud_sample_is_seen_in_the_waveform() -> None:
    silent = np.zeros(320_000, np.int16)
    click = silent.copy()
    click[123_457] = 32767
    assert num_pixels_of(clip(wave=click), BLUE) > num_pixels_of(clip(wave=silent), BLUE) + 50


@pytest.mark.parametrize("num_samples", [1, 700])
def test_short_waves_are_drawn(num_samples: int) -> None:
    assert pixels(clip(wave=wave_T(num_samples))).size > 0


def test_mel_axis_in_hz_differs_from_the_axis_in_bands() -> None:
    centres_hz = np.geomspace(60, 13000, 64).tolist()
    assert clip(mel_centres_hz=centres_hz) != clip()


def test_silence_is_drawn_without_a_warning() -> None:
    tiles = [MelTile(mel_MF=np.full((64, 20), -100.0, np.float32), label="silence")]
    assert pixels(mel_grid(tiles, hop_seconds=0.01, title="silence")).size > 0


def test_right_predictions_are_green_and_wrong_ones_red() -> None:
    def grid(predicted: str | None) -> bytes:
        tile = MelTile(mel_MF=mel_MF(), label="dog", predicted=predicted)
        return mel_grid([tile], hop_seconds=0.01, title="one clip")

    assert num_pixels_of(grid("dog"), GREEN) > 0
    assert num_pixels_of(grid("dog"), RED) == 0
    assert num_pixels_of(grid("cat"), RED) > 0
    assert num_pixels_of(grid("cat"), GREEN) == 0
    assert num_pixels_of(grid(None), GREEN) + num_pixels_of(grid(None), RED) == 0


@pytest.mark.parametrize("num_tiles", [1, 4, 7])
def test_grid_takes_any_number_of_clips(num_tiles: int) -> None:
    tiles = [MelTile(mel_MF=mel_MF(20 + i), label=f"class {i}") for i in range(num_tiles)]
    height, _, _ = pixels(mel_grid(tiles, hop_seconds=0.01, title="clips")).shape
    one_row, _, _ = pixels(mel_grid(tiles[:1], hop_seconds=0.01, title="clips")).shape
    assert (height > one_row) == (num_tiles > 4)


def test_grid_of_few_clips_is_as_wide_as_its_title_needs() -> None:
    tiles = [MelTile(mel_MF=mel_MF(), label="dog")] * 4
    one, four = (mel_grid(tiles[:n], hop_seconds=0.01, title="clips") for n in (1, 4))
    assert pixels(one).shape[1] == pixels(four).shape[1]


def test_empty_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        mel_grid([], hop_seconds=0.01, title="nothing")


def test_curves_show_loss_and_accuracy_in_their_colours() -> None:
    png = curves(np.linspace(3, 1, 100).tolist(), [0.1, 0.5], steps_per_epoch=50, chance=0.02)
    assert num_pixels_of(png, BLUE) > 100
    assert num_pixels_of(png, RED) > 100


def test_curves_without_accuracies_have_no_axis_for_them() -> None:
    assert num_pixels_of(curves([2.0, 1.0], [], chance=0.02), RED) == 0


@pytest.mark.parametrize(
    ("losses", "accuracies", "steps"), [([], [], 1), ([2.0], [], 8), ([2.0, 1.0], [0.5], 2)]
)
def test_curves_of_a_run_that_has_hardly_begun_are_drawn(
    losses: list[float], accuracies: list[float], steps: int
) -> None:
    assert pixels(curves(losses, accuracies, steps_per_epoch=steps)).size > 0


def test_fifty_classes_fit() -> None:
    labels = [f"class_number_{i}" for i in range(50)]
    confusion = pixels(confusion_picture(np.eye(50, dtype=np.int64) * 8, labels))
    # 50 rows of 8-point text need about 12 points each, at 150 dots an inch.
    assert confusion.shape[0] > 50 * 12 / 72 * 150
    histogram = class_histogram({"train": [32] * 50, "held out": [8] * 50}, labels)
    assert pixels(histogram).shape[0] > 50 * 12 / 72 * 150


def test_class_without_clips_leaves_its_row_blank() -> None:
    assert pixels(confusion_picture(np.array([[2, 0], [0, 0]]), ["dog", "cat"])).size > 0
    assert pixels(class_histogram({"train": [0, 0]}, ["dog", "cat"])).size > 0


def test_histogram_bars_are_as_long_as_the_counts() -> None:
    png = class_histogram({"train": [30, 10], "held out": [10, 10]}, ["dog", "cat"])
    assert num_pixels_of(png, BLUE) / num_pixels_of(png, ORANGE) == pytest.approx(2.0, rel=0.05)


def test_counts_that_do_not_fit_the_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="square for 2 labels"):
        confusion_picture(np.zeros((2, 3), np.int64), ["dog", "cat"])
    with pytest.raises(ValueError, match="each of 2 labels"):
        class_histogram({"train": [1, 2, 3]}, ["dog", "cat"])
