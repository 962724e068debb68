"""What `melstream simulate` prints: what nodes and store would have to carry, and what to do."""

from jobs.console import human_bytes, say, table
from jobs.fleet import EpochTraffic, Fleet
from jobs.fleet_pace import Pace
from jobs.simulate import Simulation
from loader.shard_downloads import NUM_DOWNLOADS

S3_GETS_PER_PREFIX = 5500
"""A second, before S3 begins to answer 503 ("Best practices design patterns", Amazon S3 guide)."""
DOLLARS_PER_1000_GETS = 0.0004
"""S3 Standard, us-east-1."""
DOLLARS_PER_GB_ACROSS_REGIONS = 0.02

Rows = list[tuple[str, str]]


def print_simulation(simulation: Simulation) -> None:
    """Print it, and below what to set."""
    options, fleet = simulation.options, simulation.options.fleet
    first = simulation.epochs[0]
    say(
        f"{fleet.num_gpus:,} GPUs on {fleet.num_nodes:,} nodes, batches of {fleet.batch_size}, "
        f"{fleet.clips_per_gpu:,.0f} clips/s each; {simulation.num_shards:,} shards, "
        f"{human_bytes(simulation.dataset_num_bytes)}"
    )
    seconds = full_speed_seconds(first, fleet)
    rows = [
        ("an epoch", f"{first.num_steps:,} steps, {seconds:,.0f} s at that speed"),
        (
            "the fleet needs",
            f"{fleet.num_gpus * fleet.clips_per_gpu:,.0f} clips/s, "
            f"{human_bytes(first.num_bytes_needed / seconds)}/s of audio",
        ),
    ]
    if not options.is_local:
        opening = simulation.opening
        rows.append(
            (
                "to begin",
                f"{opening.num_requests:,} requests, {human_bytes(opening.num_bytes)}: each rank "
                f"reads manifest and index, {opening.seconds:.1f} s, and plans, "
                f"{simulation.plan_seconds:.1f} s here",
            )
        )
    for number, (epoch, paced) in enumerate(zip(simulation.epochs, simulation.paces, strict=True)):
        if not options.is_local:
            rows += _traffic_rows(number, epoch, fleet)
        rows += _pace_rows(number, paced)
    table(rows)
    for line in _advice(simulation, seconds):
        say(f"  {line}")


def full_speed_seconds(epoch: EpochTraffic, fleet: Fleet) -> float:
    """Return how long an epoch takes when nobody waits."""
    return epoch.num_steps * fleet.batch_size / fleet.clips_per_gpu


def _traffic_rows(number: int, epoch: EpochTraffic, fleet: Fleet) -> Rows:
    seconds = full_speed_seconds(epoch, fleet)
    rate = epoch.num_requests / seconds
    extra = ""
    if epoch.max_extra_num_bytes:
        extra = f", and up to {human_bytes(epoch.max_extra_num_bytes)} while shards come"
    rows = [
        (
            f"epoch {number}: store",
            f"{epoch.num_requests:,} GETs ({rate:,.0f}/s), "
            f"{human_bytes(epoch.num_bytes_fetched)} "
            f"({human_bytes(epoch.num_bytes_fetched / seconds)}/s){extra}; "
            f"{epoch.amplification:.2f} bytes fetched for one needed, "
            f"${epoch.num_requests / 1000 * DOLLARS_PER_1000_GETS:,.2f} of GETs",
        ),
        (
            f"epoch {number}: node",
            f"{human_bytes(epoch.max_node_num_bytes)} "
            f"({8 * epoch.max_node_num_bytes / seconds / 1e9:,.2f} Gbit/s) at the busiest",
        ),
    ]
    if fleet.cache_num_bytes is not None:
        share = epoch.num_cache_hits / max(1, epoch.num_cache_visits)
        rows.append((f"epoch {number}: cache", f"{share:.0%} of the shards were on the nodes"))
    return rows


def _pace_rows(number: int, paced: Pace) -> Rows:
    return [
        (
            f"epoch {number}: speed",
            f"first batch after {paced.first_batch_seconds:.2f} s, then "
            f"{paced.clips_per_gpu:,.0f} clips/s on each GPU, waiting {paced.waiting_share:.0%} of "
            "the time",
        ),
        (
            f"epoch {number}: waits",
            f"{1000 * paced.mean_wait_seconds:.1f} ms a step on the mean rank, "
            f"{1000 * paced.slowest_wait_seconds:.1f} ms on the slowest, which all wait for",
        ),
    ]


def _advice(simulation: Simulation, seconds: float) -> list[str]:
    options, fleet, paced = simulation.options, simulation.options.fleet, simulation.paces[0]
    lines = []
    if paced.threads_needed > fleet.num_threads:
        lines.append(
            f"Decoding {fleet.clips_per_gpu:,.0f} clips/s takes {paced.threads_needed:.1f} threads "
            f"of each rank, it has {fleet.num_threads}: raise num_threads, or cut shorter crops "
            "(--decode-ms)."
        )
    if options.is_local:
        return [*lines, "Read from local disks: nothing is asked of a store."]
    return [*lines, *_store_advice(simulation, seconds), *_network_advice(simulation, seconds)]


def _store_advice(simulation: Simulation, seconds: float) -> list[str]:
    fleet, first, paced = simulation.options.fleet, simulation.epochs[0], simulation.paces[0]
    lines = []
    rate = first.num_requests / seconds
    is_cache_idle = fleet.cache_num_bytes is not None and not first.num_shards_downloaded
    if is_cache_idle:
        lines.append(
            "The caches stay empty: each node needs so little of each shard that its clips alone "
            f"are cheaper. Set num_streams to the number of nodes, {fleet.num_nodes}."
        )
    if rate > S3_GETS_PER_PREFIX:
        way_out = "set cache_dir" if fleet.cache_num_bytes is None else "begin with fewer nodes"
        lines.append(
            f"{rate:,.0f} GETs/s are {rate / S3_GETS_PER_PREFIX:,.1f} x what S3 serves for one "
            f"prefix before it has split it: expect 503 at first; {way_out}."
        )
    if fleet.cache_num_bytes is None and paced.connections_needed > fleet.num_connections:
        lines.append(
            f"Streaming at that speed keeps {paced.connections_needed:,.0f} connections of each "
            f"rank busy, it has {fleet.num_connections}: raise fetch_connections, or set "
            "cache_dir, which asks for 8 MiB at a time."
        )
    if first.num_shards_downloaded and paced.downloads_clips_per_gpu < fleet.clips_per_gpu:
        lines.append(
            f"{NUM_DOWNLOADS} downloads of each rank fill a cache at "
            f"{paced.downloads_clips_per_gpu:,.0f} clips/s: until it is full, that is the speed. "
            "Copy to the nodes beforehand (melstream sync) where that is too slow."
        )
    return lines


def _network_advice(simulation: Simulation, seconds: float) -> list[str]:
    options, first = simulation.options, simulation.epochs[0]
    lines = []
    if first.amplification > 1.1:
        lines.append(_why_amplified(simulation))
    gbits = 8 * first.max_node_num_bytes / seconds / 1e9
    limit = 8 * options.speeds.node_bytes_per_second / 1e9
    if gbits > limit:
        lines.append(
            f"A node would need {gbits:,.0f} Gbit/s and has {limit:,.0f}: smaller clips (16 kHz, "
            "Opus), or a cache that is warm."
        )
    dollars = first.num_bytes_fetched / 1e9 * DOLLARS_PER_GB_ACROSS_REGIONS
    lines.append(f"From another region each such epoch would cost ${dollars:,.0f} of transfer.")
    return lines


def _why_amplified(simulation: Simulation) -> str:
    options, num_nodes = simulation.options, simulation.options.fleet.num_nodes
    told = f"Each byte is fetched {simulation.epochs[0].amplification:.1f} times, because nodes "
    if simulation.num_streams % num_nodes:
        max_open_shards = simulation.num_shards // num_nodes
        way_out = f"set num_streams to the number of nodes, {num_nodes}"
        if max_open_shards < options.open_shards:
            way_out += f", and open_shards to {max_open_shards} or less, or write smaller shards"
        return told + f"share shards: {way_out}."
    return told + "need little of many shards, or the headers between clips are large."
