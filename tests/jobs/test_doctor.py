"""`melstream doctor`: what it says of set-ups that work, waste, or can't work."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import main
from jobs.doctor import Cluster, diagnose
from jobs.doctor_mixing import mixing_of
from jobs.doctor_warnings import warnings_about
from loader import LoaderConfig, ShardLoader, World
from tests.loader.builders import make_dataset, make_loader
from tests.loader.index_builders import make_index
from tests.loader.remote_folder import RemoteFolder

CLUSTER = Cluster(num_gpus=6, gpus_per_node=4, clips_per_second=100.0)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """23 clips in 8 shards, the last with two."""
    return make_dataset(tmp_path_factory.mktemp("doctor") / "set")


def remote(url: str, **settings: Any) -> ShardLoader:
    defaults = {"split": "train", "batch_size": 1, "crop_seconds": 0.02}
    config = LoaderConfig(url=url, **{**defaults, **settings})
    return ShardLoader(config, world=World(size=CLUSTER.num_gpus), store=RemoteFolder(url))


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["doctor", *arguments, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert isinstance(row, dict)
    return row


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("tail", ["drop", "pad", "cycle"])
def test_steps_are_those_that_training_makes(
    url: str, capsys: pytest.CaptureFixture[str], world: int, tail: str
) -> None:
    row = report(capsys, url, "--world", str(world), "--batch-size", "3", "--tail", tail)
    loader = make_loader(url, size=world, batch_size=3, tail=tail)
    steps = row["steps"]
    assert steps["num_steps"] == len(loader) == sum(1 for _ in loader)
    taken = steps["num_steps"] * 3 * world
    assert taken == 23 - steps["num_dropped"] + steps["num_repeated"]
    assert (steps["num_dropped"] if tail != "drop" else steps["num_repeated"]) == 0


def test_the_table_tells_shards_classes_and_warnings(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--batch-size", "3", "--balance", "inverse", "--min-clips", "6", "--folds", "1-2"]
    assert main(["doctor", url, *arguments]) == 0
    out = capsys.readouterr().out
    assert "10 samples an epoch, 1 GPU on 1 node" in out
    assert "steps an epoch     3 on every rank, 3 samples each" in out
    assert "drop: 1 samples left out, others in each epoch" in out
    assert "smallest         train/made-" in out
    assert "classes            5, most clips: " in out
    assert "a clip comes up to" in out
    assert "folds              1: 5, 2: 5" in out
    assert "warning: 1 of 10 samples (10%) are dropped in each epoch: use --tail cycle" in out
    assert "% of each batch is padding: " in out
    assert "with under 6 clips" in out
    assert out.endswith(" warnings; it would run\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--world", "24"], "23 samples give no step: 24 ranks .* use tail='pad' or 'cycle'"),
        (["--split", "test"], "has no split 'test'; it has: train"),
        (["--folds", "9"], "9"),
        (["--crop-seconds", "0.00001"], "is less than one sample at 8000 Hz; make it longer"),
    ],
)
def test_what_can_not_work_is_refused_with_the_way_out(
    url: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    import re

    assert main(["doctor", url, "--batch-size", "1", *arguments]) == 2
    assert re.search(rf"^melstream doctor: .*{message}", capsys.readouterr().err)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "x"])
def test_nonsense_is_refused(url: str, capsys: pytest.CaptureFixture[str], value: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["doctor", url, "--clips-per-second", value])
    assert "expected a number above 0" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["doctor", url, "--balance", value])
    assert "expected inverse[:EXPONENT]" in capsys.readouterr().err


def test_very_large_clips_are_warned_about(url: str) -> None:
    loader = make_loader(url)
    found = diagnose(loader, CLUSTER)
    for num_bytes, is_warned in ((50_000_000, False), (60_000_000, True)):
        lengths = dataclasses.replace(found.lengths, largest_clip_num_bytes=num_bytes)
        warnings = warnings_about(
            dataclasses.replace(found, lengths=lengths),
            loader.config,
            min_clips=0,
            free_disk_bytes=None,
        )
        assert any("the largest clip has 60.0 MB: " in line for line in warnings) == is_warned


def test_a_remote_dataset_needs_a_request_for_each_clip_or_a_cache(
    url: str, tmp_path: Path
) -> None:
    streamed = diagnose(remote(url), CLUSTER)
    assert streamed.needs.requests_per_second == 600.0
    mean_num_bytes = float(remote(url).index.audio_num_bytes_N.mean())
    assert streamed.needs.network_bytes_per_second == pytest.approx(300 * mean_num_bytes)
    config = remote(url, cache_dir=str(tmp_path / "cache"), cache_bytes=1000).config
    cached = diagnose(remote(url, cache_dir=str(tmp_path / "cache"), cache_bytes=1000), CLUSTER)
    tars = sum(path.stat().st_size for path in Path(url).glob("train/*.tar"))
    assert cached.needs.cache_num_bytes_per_node == tars
    assert cached.needs.requests_per_second == pytest.approx(600 * 2 * tars / 23 / (8 << 20))
    warnings = warnings_about(cached, config, min_clips=0, free_disk_bytes=1)
    assert "the cache may take 1.0 kB, the selection has" in warnings[0]
    assert "disk here has 1 B left" in warnings[1]
    local = diagnose(make_loader(url), CLUSTER)
    assert (local.needs.requests_per_second, local.needs.cache_num_bytes_per_node) == (0.0, 0)


def test_what_overloads_the_store_or_the_network_is_warned_about(url: str) -> None:
    loader = remote(url)
    fast = dataclasses.replace(CLUSTER, clips_per_second=1e7)
    warnings = warnings_about(
        diagnose(loader, fast), loader.config, min_clips=0, free_disk_bytes=None
    )
    assert "GET requests a second are more than the 5500" in warnings[0]
    assert "more than 10 Gbit/s" in warnings[1]
    slow = warnings_about(
        diagnose(loader, CLUSTER), loader.config, min_clips=0, free_disk_bytes=None
    )
    assert slow[0].startswith("no --cache-dir: every epoch fetches every clip again")
    assert any("shards are small (median 10.2 kB)" in warning for warning in slow)


@pytest.mark.parametrize(
    ("num_streams", "num_gpus", "num_fetches"),
    [(1, 6, 2.0), (2, 6, 1.0), (2, 9, 2.0)],
)
def test_nodes_that_fetch_the_same_shards_are_warned_about(
    url: str, tmp_path: Path, num_streams: int, num_gpus: int, num_fetches: float
) -> None:
    loader = remote(url, cache_dir=str(tmp_path / "c"), open_shards=3, num_streams=num_streams)
    cluster = dataclasses.replace(CLUSTER, num_gpus=num_gpus)
    diagnosis = diagnose(loader, cluster)
    assert diagnosis.needs.num_fetches_per_shard == num_fetches
    warnings = warnings_about(diagnosis, loader.config, min_clips=0, free_disk_bytes=None)
    said = [warning for warning in warnings if "is fetched by" in warning]
    if num_gpus > 8:  # three nodes, too few shards for whatever number of streams
        assert not said
        assert any("8 shards for 3 nodes" in warning for warning in warnings)
    elif num_streams == 1:
        assert "each shard is fetched by 2.0 of 2 nodes: give --num-streams 2, and" in said[0]
    else:
        assert not said


def test_nodes_get_as_many_bytes_as_they_fetch(url: str, tmp_path: Path) -> None:
    needs = [
        diagnose(
            remote(url, cache_dir=str(tmp_path / "c"), open_shards=3, num_streams=streams), CLUSTER
        ).needs
        for streams in (1, 2)
    ]
    assert needs[0].network_bytes_per_second == pytest.approx(2 * needs[1].network_bytes_per_second)
    assert needs[0].requests_per_second == pytest.approx(2 * needs[1].requests_per_second)


def test_shards_that_are_sorted_by_class_are_warned_about(url: str) -> None:
    in_order = [[number // 100] for number in range(2000)]
    mixed = [[number % 20] for number in range(2000)]
    sorted_mixing = mixing_of(
        make_index(in_order, num_labels=20, clips_per_shard=50), open_shards=8
    )
    assert 5 < sorted_mixing.num_classes < 8
    assert sorted_mixing.num_classes_if_mixed > 19
    good = mixing_of(make_index(mixed, num_labels=20, clips_per_shard=50), open_shards=8)
    assert 19.9 < good.num_classes <= 20
    loader = make_loader(url)
    diagnosis = diagnose(loader, CLUSTER)
    for mixing in (good, diagnosis.mixing, sorted_mixing):
        with_it = dataclasses.replace(diagnosis, mixing=mixing)
        warnings = warnings_about(with_it, loader.config, min_clips=0, free_disk_bytes=None)
        is_said = any("shards are sorted by class: the 8 that" in each for each in warnings)
        assert is_said == (mixing is sorted_mixing)
