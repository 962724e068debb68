"""loader streams shards: planned, prefetched, exactly resumable batches for each rank.

config      the settings, refused early where they are wrong
world       which of how many processes this is
dataset_config  what is taken of one dataset
dataset     manifest and index as arrays
targets     named targets beside the labels, as columns
filters     which samples are used, by fold, label, target and length
label_map   labels renamed, merged and dropped
mixture     several datasets as one index
randomness  numbers keyed by (seed, epoch, sample, operation)
balance     how often each clip should come, from the labels of all
draws       how many copies of each clip an epoch holds
spread      copies laid far apart
groups      batches of P groups with U clips each
plan        the global order of an epoch
sampling    from the settings to each epoch's order
stripe      how the order is dealt to ranks (twins: so that no batch holds a clip twice)
exposure    how often each class comes: intended, planned, delivered
reservoir   class balance in streams without an index
crop        where the window of each clip lies
stream      a sample's encoded bytes, checked (step_reader: of each place of a batch)
frame_offsets  which bytes of a FLAC clip a crop needs
part_reader  the encoded clips of a part of a batch
decode      encoded bytes → int16 samples
flac_decoder, flac_kernel  16-bit FLAC, many clips in one call, compiled
clip_memory  room for the encoded clips of a call
resampling_buffer  encoded clips kept between their copies
noise, noise_source, noise_level  noise of another dataset mixed in
batch, feature_batch, batch_memory  AudioBatch, FeatureBatch, and room for samples
rows, feature_rows  what the rows of a batch hold: samples, or features from their own shards
assemble    planned rows → a batch, in parts
once        a batch made when its first part needs it
prefetch    parts made ahead in threads, results in order
iteration   one pass over what is left of an epoch
state       what a checkpoint keeps
mending, replacement, quarantine  clips that can't be read: which others come in their place
ceiling     a few batches over and over, to measure the training loop
stats, histogram, bottleneck  where the time goes, in numbers and in a sentence
stats_merge, stats_sinks, prometheus  ... of all ranks, and in files
loader      ShardLoader, which puts these together
features    log-mel and its like on the device
augment     noise, rooms, masks, mixing, by recipe
"""

from loader.balance import EffectiveNumber, InverseFrequency, RepeatFactor
from loader.batch import AudioBatch
from loader.config import LoaderConfig
from loader.dataset_config import DatasetConfig
from loader.exposure import Exposure
from loader.feature_batch import FeatureBatch
from loader.groups import GroupBatches
from loader.loader import ShardLoader
from loader.noise import NoiseConfig
from loader.quarantine import QuarantinedSample
from loader.reservoir import ClassReservoirs
from loader.stats import LoaderStats
from loader.stats_merge import merge_stats
from loader.stats_sinks import JsonlSink, PrometheusFileSink
from loader.world import World

__all__ = [
    "AudioBatch",
    "ClassReservoirs",
    "DatasetConfig",
    "EffectiveNumber",
    "Exposure",
    "FeatureBatch",
    "GroupBatches",
    "InverseFrequency",
    "JsonlSink",
    "LoaderConfig",
    "LoaderStats",
    "NoiseConfig",
    "PrometheusFileSink",
    "QuarantinedSample",
    "RepeatFactor",
    "ShardLoader",
    "World",
    "merge_stats",
]
