import pytest
import torch

from loader import AudioBatch


def make_batch() -> AudioBatch:
    return AudioBatch(
        keys=("a", "b"),
        wave_BT=torch.tensor([[1, 2, 3], [4, 0, 0]], dtype=torch.int16),
        num_samples_B=torch.tensor([3, 1]),
        target_BK=torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        copy_B=torch.tensor([0, 1]),
        is_padding_B=torch.tensor([False, True]),
    )


def test_length_is_the_number_of_rows_and_repr_shows_shapes() -> None:
    batch = make_batch()
    assert len(batch) == 2
    assert repr(batch) == (
        "AudioBatch(wave_BT=torch.int16[2, 3], target_BK=torch.float32[2, 2], "
        "num_padding=1, device=cpu)"
    )


def test_to_moves_every_tensor_and_keeps_the_keys() -> None:
    moved = make_batch().to("meta", non_blocking=True)
    tensors = (moved.wave_BT, moved.num_samples_B, moved.target_BK, moved.is_padding_B)
    assert [tensor.device.type for tensor in tensors] == ["meta"] * 4
    assert moved.keys == ("a", "b")


@pytest.mark.gpu
def test_pinned_batch_is_copied_to_the_device_unchanged() -> None:
    batch = make_batch().pin_memory()
    assert batch.wave_BT.is_pinned()
    assert batch.target_BK.is_pinned()
    on_device = batch.to("cuda", non_blocking=True)
    assert on_device.wave_BT.cpu().tolist() == batch.wave_BT.tolist()
    assert on_device.is_padding_B.device.type == "cuda"
