"""What is compiled is compiled once, by one process, and anew when anything changes in it."""

import ast
import contextlib
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numba
import pytest

from shardwriter.compiled import entry, jit

ROOT = Path(__file__).parents[2]
PACKAGES = ("shardwriter", "loader", "jobs")
COMPILED = "shardwriter.compiled"
TIMEOUT_SECONDS = 120


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere in it, and the names from them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def is_under(name: str, *modules: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def kernels() -> dict[str, set[str]]:
    """Return the files that hold what is compiled, and what each imports."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    imports = {
        str(path.relative_to(ROOT)): imports_of(path)
        for path in files
        if re.search(rb"compiled|numba|llvmlite", path.read_bytes())
    }
    del imports["shardwriter/compiled.py"]
    return {
        file: names
        for file, names in imports.items()
        if any(is_under(name, COMPILED, "numba", "llvmlite") for name in names)
    }


def test_a_kernel_takes_nothing_from_our_other_files_whose_change_the_cache_would_not_notice() -> (
    None
):
    found = kernels()
    assert "shardwriter/aac_kernel.py" in found
    assert "loader/flac_kernel.py" in found
    for file, names in found.items():
        assert file.endswith("_kernel.py")
        ours = {name for name in names if is_under(name, *PACKAGES) or name.startswith(".")}
        assert ours <= {f"{COMPILED}.jit", f"{COMPILED}.entry"}, file


def test_options_that_all_kernels_share_are_the_ones_of_their_caches() -> None:
    # The cache doesn't notice a change of these: with it, change a line of every kernel's file.
    assert jit(lambda: None).targetoptions == {
        "nogil": True, "nopython": True, "boundscheck": None,
    }  # fmt: skip


KERNEL = """
import time
from pathlib import Path

import numba.extending

from shardwriter.compiled import entry

def increased(x):
    raise NotImplementedError


@numba.extending.overload(increased)
def _compile_increased(x):
    print("compiles", flush=True)
    while not Path(__file__).with_name("go").exists():
        time.sleep(0.01)
    return lambda x: x + 1


@entry("a number", seconds=3)
def plus_one(x):
    return increased(x)
"""
PROGRAM = """
import logging
from waiting_kernel import plus_one
logging.basicConfig(level=logging.INFO, format="%(message)s")
print("begins", flush=True)
print(plus_one(1), flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds a kernel whose compilation goes on until there is a file `go`."""
    (tmp_path / "waiting_kernel.py").write_text(KERNEL)
    return tmp_path


@contextlib.contextmanager
def process_that_calls_it(folder: Path) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    environment.pop("NUMBA_CACHE_DIR", None)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert next_line(process) == "begins\n"
            yield process
        finally:
            process.kill()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def what_is_left(process: subprocess.Popen[str]) -> tuple[list[str], str]:
    out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    return out.splitlines(), err


SAID = "compiling a number, once on this machine: some 3 s\n"


def test_of_several_processes_one_compiles_and_says_so_and_the_others_load_it(folder: Path) -> None:
    with process_that_calls_it(folder) as first:
        assert next_line(first) == "compiles\n"
        with process_that_calls_it(folder) as second, process_that_calls_it(folder) as third:
            (folder / "go").touch()
            assert [what_is_left(each) for each in (second, third)] == [(["2"], "")] * 2
        out, err = what_is_left(first)
        assert (out[-1], err) == ("2", SAID)


def test_a_process_killed_at_compiling_leaves_it_to_the_next(folder: Path) -> None:
    with process_that_calls_it(folder) as first:
        assert next_line(first) == "compiles\n"
        with process_that_calls_it(folder) as second:
            first.kill()
            assert next_line(second) == "compiles\n"
            (folder / "go").touch()
            out, err = what_is_left(second)
            assert (out[-1], err) == ("2", SAID)


def test_where_nothing_can_be_kept_the_way_out_is_told(caplog: pytest.LogCaptureFixture) -> None:
    made: dict[str, object] = {}
    exec("def twice(x):\n    return 2 * x\n", made)  # a function of no file
    twice = entry("a product", seconds=3)(made["twice"])  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO):
        assert [twice(2), twice(3)] == [4, 6]
    [line] = caplog.messages
    assert "compiling a product: some 3 s, in every process anew" in line
    assert "set NUMBA_CACHE_DIR" in line


def test_an_error_of_what_is_called_comes_through() -> None:
    broken = entry("nothing", seconds=1)(lambda: undefined)  # noqa: F821 - as meant
    for _ in range(2):
        with pytest.raises(numba.TypingError, match="undefined"):
            broken()
