"""What is compiled is compiled anew when anything changes in it."""

import ast
import re
from pathlib import Path

from shardwriter.compiled import jit

ROOT = Path(__file__).parents[2]
PACKAGES = ("shardwriter", "loader", "jobs")
COMPILED = "shardwriter.compiled"


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
        assert ours <= {f"{COMPILED}.jit"}, file


def test_options_that_all_kernels_share_are_the_ones_of_their_caches() -> None:
    # The cache doesn't notice a change of these: with it, change a line of every kernel's file.
    assert jit(lambda: None).targetoptions == {
        "nogil": True, "nopython": True, "boundscheck": None,
    }  # fmt: skip
