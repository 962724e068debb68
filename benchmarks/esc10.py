"""Five-fold cross-validation on ESC-10: the proof that labels and audio belong together.

Each of the five official folds is held out once; a network is trained from scratch on the other
four by `melstream train` under torchrun, and the model of the last step is tested. Literature for
ESC-10: random forest 72.7 %, Piczak's CNN about 80 %, people 95.7 %.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import write_results
from jobs.catalogues.esc50 import NUM_FOLDS, read_catalogue
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, ingest
from jobs.results import RunResult, load_result
from jobs.sample import sample_folder
from jobs.sources import open_source

MINIMUM_ACCURACY = 0.75
FOLDS = range(1, NUM_FOLDS + 1)


def main() -> int:
    """Run the folds; exit status 1 if the mean accuracy is under the minimum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", help="ESC-50 as published; default: the embedded clips")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "esc10"
        num_clips = make_dataset(arguments.source, dataset)
        results = [
            run_fold(
                fold,
                dataset,
                Path(folder) / f"fold{fold}",
                num_processes=arguments.processes,
                seed=arguments.seed,
            )
            for fold in FOLDS
        ]
    accuracy = statistics.mean(result.metrics.accuracy for result in results)
    macro_map = statistics.mean(result.metrics.macro_map for result in results)
    rows = [
        (
            str(fold),
            f"{result.metrics.accuracy:.1%}",
            f"{result.metrics.macro_map:.3f}",
            f"{result.total_seconds:.0f} s",
        )
        for fold, result in enumerate(results, start=1)
    ]
    kind = "original recordings" if arguments.source else "embedded, re-encoded clips"
    write_results(
        "esc10" if arguments.source else "esc10_embedded",
        title=f"ESC-10, five official folds, {kind}",
        header=("held-out fold", "accuracy", "macro mAP", "training"),
        rows=[*rows, ("mean", f"{accuracy:.1%}", f"{macro_map:.3f}", "")],
        notes=[
            f"{num_clips} clips, from scratch, last step tested, "
            f"{arguments.processes} processes, seed {arguments.seed}: "
            + ", ".join(
                f"{name} {value}"
                for name, value in results[0].settings.items()
                if "fold" not in name
            )
        ],
        data={
            "mean_accuracy": accuracy,
            "mean_macro_map": macro_map,
            "accuracy": [result.metrics.accuracy for result in results],
            "macro_map": [result.metrics.macro_map for result in results],
        },
        command="make esc10 SOURCE=ESC-50" if arguments.source else "make esc10",
    )
    return 0 if accuracy >= MINIMUM_ACCURACY else 1


def make_dataset(source: str | None, out: Path) -> int:
    """Make shards of ESC-50 as published, or of the embedded clips; return how many clips.

    What a stopped run has made is not made again.
    """
    opened = open_source(source or str(sample_folder()))
    catalogue = read_catalogue(opened, subset="esc10")
    summary = ingest(catalogue, open_fetcher(opened.url), IngestOptions(out=str(out)))
    num_clips = summary.num_written + summary.num_already_there
    print(f"{num_clips} clips from {opened.url}")
    return num_clips


def run_fold(
    fold: int,
    dataset: Path,
    out: Path,
    *,
    num_processes: int,
    seed: int,
    flags: Sequence[str] = (),
) -> RunResult:
    """Train on the other folds from scratch, with more flags of `melstream train`; test on this."""
    others = ",".join(str(other) for other in FOLDS if other != fold)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(num_processes), "-m", "jobs.cli"]
    command += ["train", str(dataset), "--folds", others, "--eval-fold", str(fold)]
    command += ["--out", str(out), "--seed", str(seed), *flags]
    threads = max(1, len(os.sched_getaffinity(0)) // num_processes)
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
    return load_result(out)


if __name__ == "__main__":
    sys.exit(main())
