"""The deployment files as data, and the parts of them that Kubernetes' own schemas know."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DOCKER = Path(__file__).parents[2] / "docker"


def read(name: str) -> Any:
    return yaml.safe_load((DOCKER / name).read_text())


def pod_specs(value: Any) -> Iterator[dict[str, Any]]:
    """Every pod's specification, however deep it lies."""
    if isinstance(value, dict):
        if "containers" in value:
            yield value
        for inner in value.values():
            yield from pod_specs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from pod_specs(inner)


def as_known_kinds(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """A manifest as objects of kinds that Kubernetes itself has.

    A JobSet holds Jobs, a RayJob pod templates: these parts are checked as what they are.
    """
    if manifest["kind"] == "JobSet":
        return [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": job["name"]},
                **job["template"],
            }
            for job in manifest["spec"]["replicatedJobs"]
        ]
    if manifest["kind"] == "RayJob":
        return [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
            for spec in pod_specs(manifest["spec"]["rayClusterSpec"])
        ]
    return [manifest]
