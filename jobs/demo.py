"""`melstream demo`: the whole way on the embedded clips, from files as published to a report."""

import datetime
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from jobs.catalogues.esc50 import read_catalogue
from jobs.console import say, stage, table
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, IngestSummary, ingest
from jobs.ingest_summary import print_summary
from jobs.results import RunResult, load_result, metric_rows
from jobs.run_report import write_run_report
from jobs.sample import sample_folder
from jobs.sources import open_source
from jobs.verify import verify
from shardwriter.errors import ConfigError, MelstreamError

EVAL_FOLD = 5
TRAIN_FOLDS = "1-4"
SHARD_CLIPS = 64
_MARKER = ".melstream-demo"
"""Lies in a folder that a demo made: what is there may be made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the user chose."""

    out: Path
    epochs: int | None = None
    num_processes: int = 2


def demo(options: DemoOptions) -> int:
    """Run every stage, print what comes of it, and say where the report lies."""
    started = time.perf_counter()
    dataset, run = options.out / "esc10", options.out / "train"
    _clear(options.out)

    stage("1/4 ingest: 400 embedded ESC-10 clips → FLAC tar shards with JSON labels")
    summary = _ingest(dataset)
    ingested = time.perf_counter()

    stage("2/4 verify: every byte against the manifest")
    if status := verify(str(dataset)):
        return status
    verified = time.perf_counter()

    stage(f"3/4 train: torchrun with {options.num_processes} processes, streaming the shards")
    command = _train_command(dataset, run, options)
    say("  " + shlex.join(command))
    # torchrun would set one thread a process, and warn about it.
    threads = max(1, len(os.sched_getaffinity(0)) // options.num_processes)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    status = subprocess.run(command, check=False, env=environment).returncode
    if status:
        raise MelstreamError(f"the training ended with status {status}; its message is above")
    trained = time.perf_counter()
    result = load_result(run)

    stage("4/4 report")
    report = options.out / "report.html"
    times = _times(
        ingest_seconds=ingested - started,
        verify_seconds=verified - ingested,
        train_seconds=trained - verified,
        result=result,
    )
    write_run_report(
        report,
        url=str(dataset),
        split="train",
        eval_folds=(EVAL_FOLD,),
        result=result,
        stages=times,
        rejections=summary.rejections_by_reason,
        commands=["melstream demo", shlex.join(["torchrun", *command[3:]])],
        attribution=_attribution(),
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        total_seconds=time.perf_counter() - started,
    )
    _print(result, times | {"drawing the report": time.perf_counter() - trained}, report)
    say(f"  everything took {time.perf_counter() - started:.0f} s")
    return 0


def _clear(out: Path) -> None:
    """Remove what an earlier demo wrote; anything else in the way is left alone and an error."""
    try:
        if out.exists() and not (out / _MARKER).is_file() and any(out.iterdir()):
            raise ConfigError(f"{out} holds something that is no demo; choose another --out")
        out.mkdir(parents=True, exist_ok=True)
        (out / _MARKER).touch()
        for folder in (out / "esc10", out / "train"):
            if folder.exists():
                shutil.rmtree(folder)
        (out / "report.html").unlink(missing_ok=True)
    except OSError as err:
        raise ConfigError(f"can't write the demo to {out}: {err.strerror}") from err


def _ingest(dataset: Path) -> IngestSummary:
    source = open_source(str(sample_folder()))
    catalogue = read_catalogue(source, subset="esc10")
    options = IngestOptions(
        out=str(dataset),
        num_workers=len(os.sched_getaffinity(0)),
        max_samples_per_shard=SHARD_CLIPS,
    )
    summary = ingest(catalogue, open_fetcher(source.url), options)
    print_summary(summary, catalogue, out=str(dataset))
    return summary


def _train_command(dataset: Path, run: Path, options: DemoOptions) -> list[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    # The host's own name, which is torchrun's default, is not resolved everywhere.
    command += ["--local-addr", "127.0.0.1"]
    command += ["--nproc-per-node", str(options.num_processes), "-m", "jobs.cli"]
    command += ["train", str(dataset), "--folds", TRAIN_FOLDS, "--eval-fold", str(EVAL_FOLD)]
    command += ["--out", str(run)]
    if options.epochs is not None:
        command += ["--epochs", str(options.epochs)]
    return command


def _times(
    *, ingest_seconds: float, verify_seconds: float, train_seconds: float, result: RunResult
) -> dict[str, float]:
    """Return where the time went: the training's own account, and the stages around it."""
    inside = {f"train: {what}": seconds for what, seconds in result.seconds.items()}
    return {
        "ingest": ingest_seconds,
        "verify": verify_seconds,
        **inside,
        "train: starting processes": max(0.0, train_seconds - sum(result.seconds.values())),
    }


def _print(result: RunResult, times: dict[str, float], report: Path) -> None:
    metrics = result.metrics
    _, *others = metric_rows(metrics, None)  # the first is the accuracy, without its fold
    table(
        [
            (
                "held-out accuracy",
                f"{metrics.accuracy:.1%} of {metrics.num_clips} clips of fold {EVAL_FOLD} "
                f"(chance {metrics.chance:.0%})",
            ),
            *others,
            ("training speed", f"{result.clips_per_second:.0f} clips/s"),
        ]
    )
    say("  where the time went")
    table([(f"  {what}", f"{seconds:6.1f} s") for what, seconds in times.items()])
    say(f"  {result.bottleneck}")
    say(f"\n  report: {report.absolute()}")


def _attribution() -> str:
    """Return who made the clips, one line each, from the table that lies beside them."""
    rows = (sample_folder() / "ATTRIBUTION.tsv").read_text(encoding="utf-8").splitlines()
    names = rows[0].split("\t")
    lines = ["ESC-10 by K. J. Piczak, CC BY 3.0; clips re-encoded, see LICENSE.md beside them."]
    for row in rows[1:]:
        clip = dict(zip(names, row.split("\t"), strict=True))
        lines.append(
            f"{clip['file']}: {clip['source_title']} by {clip['uploader']}, "
            f"{clip['clip_licence']}, {clip['freesound_url']}"
        )
    return "\n".join(lines)
