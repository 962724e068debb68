"""webdataset over our shards, decoded by soundfile, whole."""

from benchmarks.loader_peers.decoding import worker_tunings
from benchmarks.loader_peers.webdatasets import open_batches, prepare

__all__ = ["TUNINGS", "open_batches", "prepare"]

TUNINGS = worker_tunings("soundfile, whole")
