"""The README's Python blocks run as they stand, one after the other, in an empty folder."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def test_the_python_blocks_of_the_readme_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}

    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)

    printed = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"loss (\d+\.\d+)", printed)]
    assert len(blocks) == 2
    assert len(losses) == 3
    assert losses[-1] < losses[0]


def test_the_training_example_of_the_readme_has_about_twenty_lines() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)

    assert len(blocks[1].splitlines()) <= 22


def test_every_file_of_tests_that_may_skip_stands_in_the_table_of_skips() -> None:
    root = README.parent
    table = (root / "CONTRIBUTING.md").read_text()
    may_skip = [
        path.name
        for path in (root / "tests").rglob("*.py")
        if re.search(r"pytest\.(skip|importorskip|mark\.skipif)\(", path.read_text())
    ]
    assert len(may_skip) > 10
    assert sorted(name for name in may_skip if f"`{name}`" not in table) == []


def test_every_file_that_the_readme_names_is_there() -> None:
    root = README.parent
    text = README.read_text()

    named = set(re.findall(r"`((?:tests|jobs|benchmarks)/[\w/.]+\.\w+)`", text))
    assert len(named) > 5
    assert sorted(name for name in named if not (root / name).exists()) == []
