"""The wheel holds what it should and nothing else, and works where the checkout is not."""

import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"jobs", "loader", "shardwriter"}
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
DIST_INFO = f"melstream-{VERSION}.dist-info"
MAX_WHEEL_BYTES = 10_000_000


def run(command: Sequence[str | Path], *, cwd: Path) -> str:
    """Run a command as a stranger's shell would, without this environment's Python settings."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} exited {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the hatchling of this environment: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def members(wheel: Path) -> frozenset[str]:
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(archive.namelist())


@pytest.fixture(scope="session")
def installed(wheel: Path) -> Iterator[Path]:
    """Give the bin folder of an empty environment into which the wheel was installed.

    The pins are constraints, so that the packages come out of uv's cache. The environment is
    removed at once: it would be some GB in pytest's temporary folder.
    """
    uv = Path(sys.executable).parent / "uv"
    with tempfile.TemporaryDirectory(prefix="melstream-") as name:
        folder = Path(name)
        run([uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], cwd=folder)
        python = folder / "venv" / "bin" / "python"
        pins = ["--constraint", ROOT / "requirements.txt"]
        run([uv, "pip", "install", "--quiet", "--python", python, *pins, wheel], cwd=folder)
        yield python.parent


def test_wheel_holds_the_three_packages_and_its_metadata_only(members: frozenset[str]) -> None:
    top_level = {name.split("/")[0] for name in members}
    assert top_level == PACKAGES | {DIST_INFO}


def test_wheel_holds_the_licence(members: frozenset[str]) -> None:
    assert f"{DIST_INFO}/licenses/LICENSE" in members


def test_wheel_holds_the_sample_with_its_metadata_attribution_and_licence(
    members: frozenset[str],
) -> None:
    sample = {name for name in members if name.startswith("jobs/sample/")}
    assert sum(name.endswith(".ogg") for name in sample) == 400
    file_names = {Path(name).name for name in sample}
    assert {"esc50.csv", "ATTRIBUTION.tsv", "LICENSE.md"} <= file_names


def test_wheel_is_small_enough_to_send(wheel: Path) -> None:
    assert wheel.stat().st_size < MAX_WHEEL_BYTES


def test_wheel_leaves_out_what_the_interpreter_leaves_behind(members: frozenset[str]) -> None:
    assert not [name for name in members if "__pycache__" in name or name.endswith(".pyc")]


def test_command_works_outside_the_checkout(installed: Path) -> None:
    help_text = run([installed / "melstream", "--help"], cwd=installed)
    for job in ("ingest", "inspect", "verify", "sync", "train", "demo"):
        assert job in help_text


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_installed_package_belongs_to_melstream_alone(installed: Path, package: str) -> None:
    code = f"import importlib.metadata as m; print(m.packages_distributions()[{package!r}])"
    assert run([installed / "python", "-c", code], cwd=installed).strip() == "['melstream']"


def test_importing_the_shard_format_loads_no_heavy_library(installed: Path) -> None:
    # import-linter reads import lines; this also sees what shardwriter/__init__.py brings along.
    code = "import shardwriter.schema, sys; print(*sys.modules)"
    loaded = run([installed / "python", "-c", code], cwd=installed).split()
    assert "shardwriter.schema" in loaded
    assert not {"boto3", "torch", "torchaudio", "pandas", "webdataset", "yt_dlp"} & set(loaded)
