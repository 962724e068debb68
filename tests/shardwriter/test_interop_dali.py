"""NVIDIA DALI reads our shards unchanged; it lives in an environment of its own (1 GB)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shardwriter.dataset_builders import clip, write_dataset

DALI = "nvidia-dali-cuda120==2.4.0"
NUM_CLIPS = 11
READ = """
import hashlib, json, sys
import numpy as np
from nvidia.dali import fn, pipeline_def, types

@pipeline_def(batch_size=4, num_threads=1, device_id=None)
def pipeline(paths):
    audio, label = fn.readers.webdataset(
        paths=paths, ext=["flac", "json"], missing_component_behavior="error"
    )
    wave, rate = fn.decoders.audio(audio, dtype=types.INT16)
    return wave, rate, label

built = pipeline(sys.argv[1:])
built.build()
(num_clips,) = built.epoch_size().values()
seen = {}
for _ in range(-(-num_clips // 4)):
    waves, rates, labels = built.run()
    for place in range(4):
        record = json.loads(bytes(labels.at(place)))
        wave = np.array(waves.at(place)).reshape(-1)
        assert hashlib.sha256(wave.tobytes()).hexdigest() == record["pcm_sha256"]
        assert float(rates.at(place)) == record["sample_rate_hz"]
        seen[record["key"]] = len(wave)
print(num_clips, *sorted(seen))
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_dali_decodes_every_clip_to_the_samples_that_were_written(tmp_path: Path) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    if uv is None:
        pytest.skip("there is no uv to make an environment with")
    environment = tmp_path / "dali"
    python = environment / "bin" / "python"
    run(uv, "venv", "--quiet", "--python", sys.executable, environment)
    run(uv, "pip", "install", "--quiet", "--python", python, DALI)
    write_dataset(tmp_path / "data", [clip(number) for number in range(NUM_CLIPS)])
    script = tmp_path / "read.py"
    script.write_text(READ)
    output = run(python, script, *sorted((tmp_path / "data" / "train").glob("*.tar")))
    keys = [f"made+{number:03d}" for number in range(NUM_CLIPS)]
    assert output.split() == [str(NUM_CLIPS), *keys]


def run(*command: str | Path) -> str:
    # No device is needed to read and decode, so that the test runs anywhere.
    plain = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=plain)
    assert done.returncode == 0, done.stderr
    return done.stdout
