"""Features made from audio in S3, into S3, and read from there: the bytes and batches of a disk."""

from pathlib import Path

import pytest

from loader import LoaderConfig, ShardLoader, World
from shardwriter.storage import open_store
from tests.jobs.builders import tree
from tests.jobs.feature_builders import cache, features_loader, make_audio, make_features
from tests.s3.builders import FAST, s3_store
from tests.s3.weed import BUCKET


@pytest.mark.parametrize("has_cache", [False, True], ids=["streamed", "cached"])
def test_features_in_s3_are_those_of_a_disk(prefix: str, tmp_path: Path, has_cache: bool) -> None:
    audio = make_audio(tmp_path / "audio", num_clips=7)
    near = make_features(audio, tmp_path / "near", "ecapa")
    source = s3_store(f"{prefix}/audio")
    for name, data in tree(Path(audio)).items():
        source.put(name, data)
    urls = [f"s3://{BUCKET}/{prefix}/{name}" for name in ("audio", "far")]
    summary = cache(urls[0], urls[1], "ecapa", s3=FAST, out_s3=FAST)  # type: ignore[arg-type]
    assert (summary.num_made, summary.num_missing) == (3, 0)
    far = s3_store(f"{prefix}/far")
    expected = tree(Path(near))
    assert {name: far.read(name) for name in far.names("")} == expected
    assert cache(urls[0], urls[1], "ecapa", s3=FAST, out_s3=FAST).num_made == 0  # type: ignore[arg-type]
    config = LoaderConfig(
        url=urls[1],
        split="train",
        batch_size=2,
        crop_seconds=0.3,
        cache_dir=str(tmp_path / "cache") if has_cache else None,
    )
    batches = list(ShardLoader(config, world=World(), store=far))
    local = list(features_loader(near, batch_size=2, crop_seconds=0.3))
    assert [batch.keys for batch in batches] == [batch.keys for batch in local]
    for one, other in zip(batches, local, strict=True):
        assert one.mel_BMF.equal(other.mel_BMF)
    assert open_store(near).exists("dataset.json")
