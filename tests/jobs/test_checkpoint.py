import os
import pickle
from pathlib import Path

import pytest
import torch

from jobs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from shardwriter.errors import ConfigError


def checkpoint(step: int = 7) -> Checkpoint:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return Checkpoint(
        step=step,
        loader={"epoch": 1, "cursor": 12, "folds": [1, 2]},
        model=model.state_dict(),
        optimizer=optimizer.state_dict(),
        average=None,
        scaler={},
        recipe={"model": "cnn10"},
        objective="ce",
        augmentation={},
        statistics=None,
        labels=["dog"],
        num_outputs=1,
        history={"losses": [0.5, 0.25], "num_clips": 64, "seconds": {"waiting": 0.5}},
    )


class Intruder:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = checkpoint()
    path = tmp_path / "new" / "checkpoint.pt"
    save_checkpoint(saved, path)
    loaded = load_checkpoint(path)
    assert (loaded.step, loaded.loader, loaded.history) == (7, saved.loader, saved.history)
    assert loaded.model.keys() == saved.model.keys()
    assert all(torch.equal(loaded.model[name], saved.model[name]) for name in saved.model)
    for place, state in saved.optimizer["state"].items():
        assert all(
            torch.equal(loaded.optimizer["state"][place][name], value)
            for name, value in state.items()
        )
    assert loaded.optimizer["param_groups"] == saved.optimizer["param_groups"]
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.pt"]


def test_save_that_fails_midway_leaves_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(checkpoint(step=1), path)

    def fill_the_disk(value: object, file: object) -> None:
        file.write(b"half of it")  # type: ignore[attr-defined]
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(checkpoint(step=2), path)
    assert load_checkpoint(path).step == 1


def test_missing_checkpoint_names_the_path_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no checkpoint at .*nope\.pt; leave out --resume"):
        load_checkpoint(tmp_path / "nope.pt")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_cut_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(checkpoint(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ConfigError, match=r"checkpoint\.pt is not a whole checkpoint"):
        load_checkpoint(path)


def test_damaged_checkpoint_is_refused_or_harmless_wherever_the_damage_is(tmp_path: Path) -> None:
    saved = checkpoint()
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(saved, path)
    data = path.read_bytes()
    num_refused = 0
    for position in range(0, len(data), 37):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        try:
            loaded = load_checkpoint(path)
        except ConfigError:
            num_refused += 1
        else:
            assert all(torch.equal(loaded.model[name], saved.model[name]) for name in saved.model)
    assert num_refused > 10


@pytest.mark.parametrize(
    "content",
    [
        b"not a checkpoint at all",
        pickle.dumps({"version": 4}),
    ],
)
def test_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"checkpoint\.pt is not a whole checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "not a checkpoint of version 4"),
        ({"version": 3}, "not a checkpoint of version 4"),
        ({"weight": torch.zeros(3)}, "not a checkpoint of version 4"),
        ({"version": 4, "step": 3}, "lacks parts"),
    ],
)
def test_file_of_torch_that_is_no_checkpoint_is_refused(
    tmp_path: Path, value: object, message: str
) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save(value, path)
    with pytest.raises(ConfigError, match=f"{message}.*; leave out --resume"):
        load_checkpoint(path)


@pytest.mark.parametrize("as_zip", [True, False])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(tmp_path: Path, as_zip: bool) -> None:
    path, made = tmp_path / "checkpoint.pt", tmp_path / "made-by-the-intruder"
    row = {"version": 4, "step": Intruder(made)}
    if as_zip:
        torch.save(row, path)
    else:
        path.write_bytes(pickle.dumps(row))
    with pytest.raises(ConfigError, match=r"checkpoint\.pt is not a (readable|whole) checkpoint"):
        load_checkpoint(path)
    assert not made.exists()
