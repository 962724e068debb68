"""The ablation on ESC-10: its recipes, and that it goes on where it was."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import esc10_ablation, machine
from benchmarks.esc10_ablation import ALL_ON, RECIPES, main, without
from jobs.results import RunResult, save_result
from loader.augment import parse_recipe, recipe
from tests.jobs.test_results import RESULT


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        *(("esc50", operation) for operation in ("roll", "mix", "spec_augment")),
        ("speech_commands", "white_noise"),
        ("voxceleb", "speed"),
    ],
)
def test_a_recipe_without_an_operation_is_the_recipe_less_its_tables(
    name: str, operation: str
) -> None:
    text = (RECIPES / f"{name}.toml").read_text()
    expected = replace(recipe(name), **{operation: None})  # type: ignore[arg-type]
    assert expected != recipe(name)
    assert parse_recipe(without(text, operation), where=name) == expected


def test_subtables_go_with_their_table() -> None:
    assert without("[noise]\np = 1\n[noise.kinds.a]\nq = 2\n[mix]\nr = 3\n", "noise") == (
        "[mix]\nr = 3\n"
    )


def test_a_run_that_was_stopped_goes_on_and_the_table_has_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, int]] = []

    def run_fold(fold: int, dataset: Path, out: Path, **more: object) -> RunResult:
        if len(trained) == 7:
            raise KeyboardInterrupt
        trained.append((out.parent.name, fold))
        accuracy = 0.9 if out.parent.name == "all_on" else 0.8
        result = replace(RESULT, metrics=replace(RESULT.metrics, accuracy=accuracy))
        save_result(result, out)
        return result

    def make_dataset(source: str | None, out: Path) -> int:
        return 400

    monkeypatch.setattr(esc10_ablation, "run_fold", run_fold)
    monkeypatch.setattr(esc10_ablation, "make_dataset", make_dataset)
    monkeypatch.setattr(machine, "RESULTS", tmp_path / "results")
    words = ["--work", str(tmp_path / "work")]
    with pytest.raises(KeyboardInterrupt):
        main(words)
    assert [fold for row, fold in trained if row == "all_on"] == [1, 2, 3, 4, 5]
    assert main([*words, "--table"]) == 0
    assert len(trained) == 7
    table = (tmp_path / "results" / "esc10_augmented_embedded.md").read_text().splitlines()
    assert _cells(table, ALL_ON) == ["90.0%"] * 6 + [""]
    assert _cells(table, "without roll") == ["80.0%", "", "", "", "", "", "-10.0 points"]
    with pytest.raises(KeyboardInterrupt):
        main(words)
    assert len(set(trained)) == len(trained) == 7


def _cells(table: Sequence[str], row: str) -> list[str]:
    (line,) = [line for line in table if line.startswith(f"| {row} ")]
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]
