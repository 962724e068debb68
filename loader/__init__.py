"""loader streams shards: planned, prefetched, exactly resumable batches for each rank.

config      the settings, refused early where they are wrong
world       which of how many processes this is
dataset     manifest and index as arrays
randomness  numbers keyed by (seed, epoch, sample, operation)
plan        the global order of an epoch, and how it is dealt to ranks
crop        where the window of each clip lies
stream      a sample's encoded bytes, checked
decode      encoded bytes → int16 samples
flac_decoder, flac_kernel  16-bit FLAC, many clips in one call, compiled
batch       AudioBatch
assemble    planned rows → a batch, in parts
prefetch    parts made ahead in threads, results in order
iteration   one pass over what is left of an epoch
state       what a checkpoint keeps
stats       where the time goes
loader      ShardLoader, which puts these together
features    log-mel and its like on the device
"""

from loader.batch import AudioBatch
from loader.config import LoaderConfig
from loader.loader import ShardLoader
from loader.stats import LoaderStats
from loader.world import World

__all__ = ["AudioBatch", "LoaderConfig", "LoaderStats", "ShardLoader", "World"]
