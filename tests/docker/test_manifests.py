"""Kubernetes and Compose files: valid by schema, without secrets, for users who are not root."""

from typing import Any

import kubernetes_validate
import pytest

from jobs.cli import parser
from jobs.training_commands import train_options
from tests.docker.manifests import DOCKER, as_known_kinds, pod_specs, read

MANIFESTS = sorted(path.name for path in (DOCKER / "k8s").glob("*.yaml"))
ANY_MANIFEST = pytest.mark.parametrize("name", MANIFESTS)
KUBERNETES = "1.33"


def commands(name: str) -> list[list[str]]:
    """What follows `melstream` in each container of a manifest."""
    found = []
    manifest = read(f"k8s/{name}")
    if "entrypoint" in manifest["spec"]:
        found.append(manifest["spec"]["entrypoint"].split()[1:])
    for spec in pod_specs(manifest):
        for container in spec["containers"]:
            words = [*container.get("command", []), *container.get("args", [])]
            if "jobs.cli" in words:
                found.append(words[words.index("jobs.cli") + 1 :])
            elif "ingest" in words:
                found.append(["ingest", *words[words.index("ingest") + 1 :]])
    return found


@ANY_MANIFEST
def test_manifests_follow_the_schemas_of_kubernetes(name: str) -> None:
    parts = as_known_kinds(read(f"k8s/{name}"))
    assert parts
    for part in parts:
        kubernetes_validate.validate(part, KUBERNETES, strict=True)


@ANY_MANIFEST
def test_the_commands_of_manifests_are_commands_of_ours(name: str) -> None:
    found = commands(name)
    assert found
    for command in found:
        arguments = parser().parse_args(command)  # ends the process where it is wrong
        if command[0] == "train":
            train_options(arguments)  # refuses what holds nothing out


@ANY_MANIFEST
def test_pods_run_without_root_and_without_privileges(name: str) -> None:
    for spec in pod_specs(read(f"k8s/{name}")):
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def literals(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in literals(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in literals(inner)]
    return [str(value)]


@ANY_MANIFEST
def test_secrets_come_by_reference_only(name: str) -> None:
    manifest = read(f"k8s/{name}")
    assert any("secretRef" in str(spec) for spec in pod_specs(manifest))
    for spec in pod_specs(manifest):
        for container in spec["containers"]:
            for variable in container.get("env", []):
                assert not variable["name"].startswith("AWS_"), variable["name"]
    assert not any("AKIA" in text or "SECRET" in text for text in literals(manifest))


def test_compose_starts_what_it_needs_first_and_builds_what_the_dockerfile_has() -> None:
    services = read("compose.yaml")["services"]
    targets = {line.split()[-1] for line in dockerfile() if line.startswith("FROM")}
    assert set(services) == {"s3", "ingest", "train"}
    assert services["ingest"]["depends_on"] == {"s3": {"condition": "service_healthy"}}
    assert services["train"]["depends_on"]["ingest"] == {
        "condition": "service_completed_successfully"
    }
    for name in ("ingest", "train"):
        assert services[name]["build"]["target"] in targets
        assert (DOCKER.parent / services[name]["build"]["dockerfile"]).exists()


def dockerfile() -> list[str]:
    return (DOCKER / "Dockerfile").read_text().splitlines()


def test_images_run_as_a_user_without_root() -> None:
    users = [line.split()[1] for line in dockerfile() if line.startswith("USER")]
    assert users == ["10001"]
