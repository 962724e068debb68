"""The model of `melstream simulate` and a measured run as a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.machine import write_results
from jobs.fleet import EpochTraffic
from jobs.fleet_pace import Pace
from jobs.simulate import Simulation
from tests.s3.shard_traffic import SeenTraffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A way to read, and how fast the GPUs would be."""

    name: str
    clips_per_gpu: float
    num_connections: int
    cache_share: float | None = None
    """The cache's size, as a share of the dataset's; None: there is none."""
    num_streams: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What an epoch was."""

    by_node: tuple[SeenTraffic, ...]
    num_shards_downloaded: int
    num_cache_fallbacks: int
    fetch_seconds: float
    """Of all requests."""
    first_batch_seconds: float
    clips_per_gpu: float
    mean_wait_seconds: float
    slowest_wait_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """Model and measurement of a case."""

    case: Case
    simulation: Simulation
    epochs: tuple[Measured, ...]


def write_report(results: Sequence[CaseResult], *, notes: str) -> None:
    """Print and write the table."""
    rows = []
    data = []
    for result in results:
        simulation = result.simulation
        for number, (counted, paced, seen) in enumerate(
            zip(simulation.epochs, simulation.paces, result.epochs, strict=True)
        ):
            rows += table_rows(f"{result.case.name}, epoch {number}", counted, paced, seen)
            data.append(
                {
                    "case": asdict(result.case),
                    "epoch": number,
                    "speeds": asdict(simulation.options.speeds),
                    "simulated": {
                        "num_requests": counted.num_requests,
                        "node_num_bytes": counted.node_num_bytes,
                        "max_extra_num_bytes": counted.max_extra_num_bytes,
                        "num_shards_downloaded": counted.num_shards_downloaded,
                        **asdict(paced),
                    },
                    "measured": asdict(seen),
                }
            )
    write_results(
        "simulate",
        title="`melstream simulate` beside two nodes that stream for real",
        header=["case", "what", "simulated", "measured"],
        rows=rows,
        notes=[notes],
        data={"epochs": data},
        command="python -m benchmarks.simulate",
    )


def table_rows(
    name: str, counted: EpochTraffic, paced: Pace, seen: Measured
) -> list[tuple[str, str, str, str]]:
    """Return one row for each figure."""
    extra, extra_bytes = counted.max_extra_num_requests, counted.max_extra_num_bytes
    low, high = counted.num_requests, counted.num_requests + extra
    num_bytes = counted.num_bytes_fetched
    measured_num_bytes = sum(node.num_bytes for node in seen.by_node)
    busiest = max(node.num_bytes for node in seen.by_node)
    figures = [
        (
            "GETs",
            f"{low:,}" if low == high else f"{low:,} to {high:,}",
            f"{sum(node.num_requests for node in seen.by_node):,}",
        ),
        (
            "MB fetched by the busiest node",
            f"{counted.max_node_num_bytes / 1e6:.2f}",
            f"{busiest / 1e6:.2f}",
        ),
        (
            "bytes fetched for one needed",
            f"{num_bytes / counted.num_bytes_needed:.3f}"
            + (
                f" to {(num_bytes + extra_bytes) / counted.num_bytes_needed:.3f}"
                if extra_bytes
                else ""
            ),
            f"{measured_num_bytes / counted.num_bytes_needed:.3f}",
        ),
        ("first batch, s", f"{paced.first_batch_seconds:.2f}", f"{seen.first_batch_seconds:.2f}"),
        ("clips/s on each GPU", f"{paced.clips_per_gpu:.1f}", f"{seen.clips_per_gpu:.1f}"),
        (
            "wait a step, mean rank, ms",
            f"{1000 * paced.mean_wait_seconds:.0f}",
            f"{1000 * seen.mean_wait_seconds:.0f}",
        ),
        (
            "wait a step, slowest rank, ms",
            f"{1000 * paced.slowest_wait_seconds:.0f}",
            f"{1000 * seen.slowest_wait_seconds:.0f}",
        ),
    ]
    if counted.num_cache_visits:
        hits = counted.num_cache_visits - seen.num_shards_downloaded
        streamed = f", {seen.num_cache_fallbacks} times no room" if seen.num_cache_fallbacks else ""
        figures.append(
            (
                "cache hits of visits to shards",
                f"{counted.num_cache_hits} of {counted.num_cache_visits}",
                f"{hits} of {counted.num_cache_visits}{streamed}",
            )
        )
    return [(name if not place else "", *row) for place, row in enumerate(figures)]
