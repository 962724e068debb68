"""Every code block of the documentation is run, or at least read by the command it is for."""

import contextlib
import re
import shlex
from pathlib import Path

import pytest

from jobs.catalogues.registry import find_dataset
from jobs.cli import parser
from jobs.training_commands import train_options
from loader.features import MfccConfig, presets

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
FIRST = "index.md"  # its blocks make the dataset that those of other pages read


def blocks(page: str, language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def run(page: str) -> None:
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first page's blocks have run."""
    folder = tmp_path_factory.mktemp("docs")
    with contextlib.chdir(folder):
        run(FIRST)
    return folder


def test_the_python_blocks_of_the_first_page_make_a_dataset(folder: Path) -> None:
    assert (folder / "out" / "beeps" / "dataset.json").exists()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != FIRST and blocks(page, "python")]
)
def test_the_python_blocks_of_a_page_run_in_order(page: str, folder: Path) -> None:
    with contextlib.chdir(folder):
        run(page)


def commands(page: str) -> list[list[str]]:
    """What follows `melstream` in the shell blocks of a page."""
    found = []
    for line in "".join(blocks(page, "sh")).splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if "jobs.cli" in words:
            found.append(words[words.index("jobs.cli") + 1 :])
        else:
            assert words[0] == "melstream", line
            found.append(words[1:])
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")])
def test_the_commands_of_a_page_are_commands_of_ours(page: str) -> None:
    for command in commands(page):
        if "--help" in command:
            with pytest.raises(SystemExit) as ended:
                parser().parse_args(command)
            assert ended.value.code == 0, command
        else:
            arguments = parser().parse_args(command)  # ends the process where it is wrong
            if command[0] == "train":
                train_options(arguments)  # refuses what holds nothing out


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")])
def test_a_training_on_a_published_dataset_names_splits_that_it_has(page: str) -> None:
    parsed = [parser().parse_args(words) for words in commands(page) if "--help" not in words]
    made = {asked.out: asked.dataset for asked in parsed if asked.command == "ingest"}
    for asked in parsed:
        published = (
            find_dataset(made[asked.url]).expected if getattr(asked, "url", "") in made else ()
        )
        splits = {split for counts in published for split in counts.num_by_split}
        if splits and asked.command == "train":
            assert {*asked.splits, asked.eval_split} <= splits, page


def test_the_table_of_front_ends_has_every_preset_with_its_rate_and_size() -> None:
    rows = re.findall(
        r"^\| `([\w-]+)` \| ([\d,]+|any) \| (\d+) ", (DOCS / "presets.md").read_text(), re.M
    )
    expected = []
    for name, preset in presets().items():
        is_mfcc = isinstance(preset.config, MfccConfig)
        log_mel = preset.config.log_mel if is_mfcc else preset.config
        size = preset.config.num_ceps if is_mfcc else log_mel.num_mels
        rate = "any" if name == "torchaudio" else f"{log_mel.sample_rate_hz:,}"
        expected.append((name, rate, str(size)))
    assert rows == expected


def test_links_lead_to_pages_and_pictures_that_are_there() -> None:
    missing = [
        f"{page}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", (DOCS / page).read_text())
        if not (DOCS / page).parent.joinpath(target).exists()
    ]
    assert missing == []


def test_every_page_stands_in_the_navigation() -> None:
    navigation = (DOCS.parent / "mkdocs.yml").read_text()
    assert [page for page in PAGES if page not in navigation] == []
