import pytest

from loader import World
from shardwriter.errors import ConfigError


def test_world_without_torchrun_is_a_single_process() -> None:
    assert World.from_env({"PATH": "/bin"}) == World(rank=0, size=1, local_rank=0)


def test_world_is_what_torchrun_set() -> None:
    environ = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
    assert World.from_env(environ) == World(rank=5, size=8, local_rank=1)


def test_world_reads_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert World.from_env() == World(rank=1, size=2, local_rank=1)


@pytest.mark.parametrize("missing", ["RANK", "WORLD_SIZE", "LOCAL_RANK"])
def test_partly_set_world_is_refused_with_the_missing_variable(missing: str) -> None:
    environ = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    del environ[missing]
    with pytest.raises(ConfigError, match=f"^{missing} not set"):
        World.from_env(environ)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RANK", "2"),
        ("RANK", "-1"),
        ("RANK", "one"),
        ("RANK", ""),
        ("WORLD_SIZE", "0"),
        ("WORLD_SIZE", "2.0"),
        ("LOCAL_RANK", "2"),
        ("LOCAL_RANK", "¹"),
    ],
)
def test_nonsense_in_a_variable_is_refused_with_its_name(name: str, value: str) -> None:
    environ = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", name: value}
    with pytest.raises(ConfigError, match=f"^{name} must be a whole number"):
        World.from_env(environ)


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"rank": 1}, {"rank": -1}, {"size": 2, "local_rank": 2}]
)
def test_world_outside_of_itself_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        World(**wrong)
