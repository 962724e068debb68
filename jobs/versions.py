"""Versions of what makes and reads the data, for provenance and reports."""

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("melstream", "numpy", "soundfile", "soxr", "av", "pyarrow")


def tool_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that touch a dataset's bytes."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed as a package"
    return versions
