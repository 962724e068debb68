"""Statistics → one sentence that names what limits the speed, with its evidence. Pure."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loader.stats import LoaderStats

_NEGLIGIBLE_WAIT = 0.05
"""Share of the time: a loop that waits less than this gains nothing from a faster loader."""
_MOSTLY = 0.5


def describe(stats: "LoaderStats") -> str:
    """Return the sentence."""
    total_seconds = stats.wait_seconds + stats.loop_seconds
    if not total_seconds:
        return "Nothing is measured yet: it takes two batches of one iteration."
    if stats.ceiling_batches is not None:
        return (
            f"CEILING MODE, no training: {stats.num_replayed} of {stats.num_batches} batches were "
            f"repeats of {stats.ceiling_batches}, so this is how fast the training loop goes "
            f"without waiting for data ({stats.loop_seconds:.2f} s in the loop)."
        )
    share = stats.wait_seconds / total_seconds
    waited = f"{stats.wait_seconds:.2f} s of {total_seconds:.2f} s ({share:.0%})"
    if share < _NEGLIGIBLE_WAIT:
        return (
            f"The training loop is the bottleneck: it waited for data only {waited}, with "
            f"{stats.mean_ready:.1f} batches ready on average."
        )
    waited = f"the training loop waited for data {waited}"
    if stats.plan_seconds > _MOSTLY * stats.wait_seconds:
        return (
            f"Planning is the bottleneck: {waited}, {stats.plan_seconds:.2f} s of it planning in "
            "its own thread: make batches larger, or give that thread a core of its own."
        )
    return f"{_cause(stats)[0]} is the bottleneck: {waited}; {_threads(stats)}; {_cause(stats)[1]}."


def _threads(stats: "LoaderStats") -> str:
    return (
        f"the loader's threads ({stats.num_threads}) spent {stats.decode_seconds:.2f} s decoding "
        f"and {stats.read_seconds:.2f} s reading"
    )


def _cause(stats: "LoaderStats") -> tuple[str, str]:
    """Return what is slow, and what to do about it."""
    reader = stats.reader
    if stats.decode_seconds >= stats.read_seconds:
        return "Decoding", "raise num_threads up to the number of free cores, or crop shorter"
    if reader.num_bytes_network + reader.num_bytes_memory > (
        reader.num_bytes_local + reader.num_bytes_cache
    ):
        return "The network", f"{_network_evidence(stats)}; {_network_way_out(stats)}"
    place = "cache" if reader.num_bytes_cache > reader.num_bytes_local else "dataset"
    megabytes = max(reader.num_bytes_cache, reader.num_bytes_local) / 1e6
    return "The disk", (
        f"it gave {megabytes:.0f} MB; move the {place} to faster storage, or raise num_threads"
    )


def _network_evidence(stats: "LoaderStats") -> str:
    reader = stats.reader
    seconds = reader.fetch_seconds / reader.num_requests if reader.num_requests else 0.0
    return (
        f"{reader.num_requests} requests brought {reader.num_bytes_fetched / 1e6:.0f} MB at "
        f"{1000 * seconds:.0f} ms each, {reader.num_retries} were made again, "
        f"{reader.num_throttled} throttled"
    )


def _network_way_out(stats: "LoaderStats") -> str:
    if stats.reader.num_throttled:
        return "the store throttles: spread the dataset over prefixes, or set cache_dir"
    return "set cache_dir, or raise fetch_connections and fetch_memory_bytes"
