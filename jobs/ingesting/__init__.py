"""Running an ingest: from listed clips to published shards, on one machine or many.

making   one try at one clip: fetch, clean, judge, encode; each try is logged
spool    fetched bytes that no published shard holds yet, kept over a kill
pool     tries in worker processes, in order
preload  what all of these need, loaded once
quiet_libraries  what C libraries print, kept off the terminal
lane     one writer's work: tries, retries, shards; the same for every executor
parts    `--part 3/64`: which clips, and who merges
on_ray   slices of the catalogue as tasks of a Ray cluster
tally    what came of the clips, counted
"""
