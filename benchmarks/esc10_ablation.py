"""What each operation of an augmentation recipe does for ESC-10: all on, each one off, all off.

Every row is a cross-validation on the five official folds by `melstream train`, from scratch, with
the same seed and as many epochs: twice those of `benchmarks.esc10`, because what changes in each
epoch is learnt more slowly. Finished folds stay in `--work` and the table is written after each of
them, so that a run that was stopped goes on where it was. All rows take 25 trainings of about two
minutes on two quiet cores.

    python -m benchmarks.esc10_ablation --source ESC-50
"""

import argparse
import math
import statistics
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.esc10 import FOLDS, make_dataset, run_fold
from benchmarks.machine import write_results
from jobs.results import RESULT_NAME, RunResult, load_result

RECIPES = Path(__file__).parents[1] / "loader" / "augment" / "recipes"
MINIMUM_ACCURACY = 0.85
ALL_ON = "all on"
ALL_OFF = "all off"

Results = Mapping[str, Mapping[int, RunResult]]
"""Row → fold → what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table: its name, and the flags that make it."""

    name: str
    flags: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the rows; exit status 1 unless the mean with everything on reaches the minimum."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", help="ESC-50 as published; default: the embedded clips")
    parser.add_argument("--augment", default="esc50", help="a recipe of loader/augment/recipes")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("out/esc10_ablation"))
    parser.add_argument("--table", action="store_true", help="train nothing: write what is done")
    arguments = parser.parse_args(argv)
    dataset = arguments.work / ("original" if arguments.source else "embedded")
    num_clips = make_dataset(arguments.source, dataset)
    runs = arguments.work / (
        f"{dataset.name}_{arguments.augment}_epochs{arguments.epochs}_seed{arguments.seed}"
    )
    runs.mkdir(parents=True, exist_ok=True)
    rows = _rows(arguments.augment, runs)
    results: dict[str, dict[int, RunResult]] = {row.name: {} for row in rows}
    for row, fold in _in_order(rows):
        out = runs / row.name.replace(" ", "_") / f"fold{fold}"
        if (out / RESULT_NAME).exists():
            results[row.name][fold] = load_result(out)
        elif not arguments.table:
            results[row.name][fold] = run_fold(
                fold,
                dataset,
                out,
                num_processes=arguments.processes,
                seed=arguments.seed,
                flags=("--epochs", str(arguments.epochs), "--resume-if-there", *row.flags),
            )
            _write(results, num_clips=num_clips, arguments=arguments)
    _write(results, num_clips=num_clips, arguments=arguments)
    is_whole = len(results[ALL_ON]) == len(FOLDS)
    return 0 if is_whole and _mean(results[ALL_ON]) >= MINIMUM_ACCURACY else 1


def without(text: str, operation: str) -> str:
    """Return a recipe's text without the tables of one operation."""
    kept = []
    is_kept = True
    for line in text.splitlines():
        if line.startswith("["):
            is_kept = line.strip("[").partition("]")[0].partition(".")[0] != operation
        if is_kept:
            kept.append(line)
    return "\n".join(kept) + "\n"


def _rows(recipe: str, folder: Path) -> list[Row]:
    text = (RECIPES / f"{recipe}.toml").read_text(encoding="utf-8")
    operations = [name for name, value in tomllib.loads(text).items() if isinstance(value, dict)]
    rows = [Row(name=ALL_ON, flags=("--augment", recipe))]
    for operation in operations:
        path = folder / f"{recipe}_without_{operation}.toml"
        path.write_text(without(text, operation), encoding="utf-8")
        rows.append(Row(name=f"without {operation}", flags=("--augment", str(path))))
    return [*rows, Row(name=ALL_OFF, flags=("--no-shift",))]


def _in_order(rows: Sequence[Row]) -> list[tuple[Row, int]]:
    """Return everything on first, then fold by fold, so that a stopped run has whole folds."""
    return [(rows[0], fold) for fold in FOLDS] + [(row, fold) for fold in FOLDS for row in rows[1:]]


def _mean(results: Mapping[int, RunResult]) -> float:
    return statistics.mean(result.metrics.accuracy for result in results.values())


def _write(results: Results, *, num_clips: int, arguments: argparse.Namespace) -> None:
    all_on = results[ALL_ON]
    if not all_on:
        return
    accuracy = _mean(all_on)
    num_tested = sum(result.metrics.num_clips for result in all_on.values())
    error = math.sqrt(accuracy * (1 - accuracy) / num_tested)
    settings = next(iter(all_on.values())).settings
    source = " --source ESC-50" if arguments.source else ""
    write_results(
        "esc10_augmented" if arguments.source else "esc10_augmented_embedded",
        title=f"ESC-10 with the augmentation recipe {arguments.augment}, and without its parts",
        header=("recipe", *(f"fold {fold}" for fold in FOLDS), "mean", "against all on"),
        rows=[_cells(name, results) for name in results if results[name]],
        notes=[
            f"Accuracy on the held-out fold: {num_clips} clips in all, from scratch, last step "
            f"tested. {arguments.processes} processes, "
            + ", ".join(f"{name} {value}" for name, value in settings.items() if _is_shared(name)),
            "Cells without a figure were not run, and there is no mean of a part of the folds, "
            "which are not equally hard. The last column is the mean difference over the folds "
            "that both rows have, with its standard error where these are several. One clip of a "
            f"fold is 1.25 points; {num_tested} clips give the mean of everything on a standard "
            f"error of {100 * error:.1f} points: differences of that size say nothing.",
        ],
        data={
            name: {
                "accuracy": {fold: result.metrics.accuracy for fold, result in folds.items()},
                "macro_map": {fold: result.metrics.macro_map for fold, result in folds.items()},
                "final_loss": {fold: result.losses[-1] for fold, result in folds.items()},
                "seconds": {fold: round(result.total_seconds) for fold, result in folds.items()},
            }
            for name, folds in results.items()
        },
        command=f"python -m benchmarks.esc10_ablation{source} --epochs {arguments.epochs}",
    )


def _cells(name: str, results: Results) -> tuple[str, ...]:
    """Return a row of the table: accuracies, their mean, and the difference from everything on.

    Folds are not equally hard: there is no mean over some of them.
    """
    folds, all_on = results[name], results[ALL_ON]
    accuracies = [f"{folds[fold].metrics.accuracy:.1%}" if fold in folds else "" for fold in FOLDS]
    mean = f"{_mean(folds):.1%}" if len(folds) == len(FOLDS) else ""
    if name == ALL_ON:
        return (name, *accuracies, mean, "")
    both = [fold for fold in folds if fold in all_on]
    points = [100 * (folds[fold].metrics.accuracy - all_on[fold].metrics.accuracy) for fold in both]
    against = f"{statistics.mean(points):+.1f} points"
    if len(points) > 1:
        against += f" ± {statistics.stdev(points) / math.sqrt(len(points)):.1f}"
    return (name, *accuracies, mean, against)


def _is_shared(setting: str) -> bool:
    return "held out" not in setting and "trained on" not in setting and setting != "augment"


if __name__ == "__main__":
    sys.exit(main())
