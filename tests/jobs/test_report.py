import base64
import dataclasses
import io
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import jobs.report
from jobs.report import Mistake, Part, Picture, Provenance, Report, Scores, Stage
from jobs.report_html import render_report, wilson_interval, write_report
from jobs.result_plots import confusion_picture

EVIL = "<script>alert('\"x\"')</script>&amp;"
PNG = confusion_picture(np.array([[3, 1], [0, 4]]), ["dog", "cat"])
VOID_TAGS = {"meta", "img", "br", "hr", "link", "input"}


def report(**changes: object) -> Report:
    whole = Report(
        title="Sounds from shards",
        subtitle="A small network; fold 5 held out.",
        scores=Scores(
            accuracy=0.5,
            chance_accuracy=0.02,
            num_held_out=80,
            macro_map=0.6134,
            clips_per_second=1234.5,
            total_seconds=245.2,
        ),
        stages=[Stage(name="ingest", seconds=45.2), Stage(name="training", seconds=150.0)],
        parts=[
            Part(
                name="fold 1",
                num_clips=1600,
                audio_seconds=7200,
                num_bytes=23_400_000,
                num_classes=50,
            )
        ],
        rejections={"too_short": 17},
        settings={"batch size": "32"},
        mistakes=[Mistake(key="esc50+5-1-A-0", true="dog", predicted="cat", probability=0.987)],
        provenance=Provenance(
            created="2026-11-22 13:40 UTC",
            dataset_digest="sha256:9f3a",
            versions={"torch": "2.11.0"},
            commands=["melstream train --epochs 30", "melstream report"],
            attribution="bark.wav by somebody",
            licence="CC BY 3.0",
        ),
        sound_pictures=[Picture(png=PNG, caption="Log-mels of clips")],
        training_pictures=[Picture(png=PNG, caption="Loss over epochs")],
        result_pictures=[Picture(png=PNG, caption="Rows are true classes")],
        dataset_pictures=[Picture(png=PNG, caption="Clips per class")],
    )
    return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]  # one factory for all


class Page(HTMLParser):
    """Reads a page strictly: every tag that opens must close, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open_tags: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open_tags == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open_tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open_tags and self.open_tags[-1] == "style":
            return
        self.text += data
        if self.open_tags and self.open_tags[-1] == "h2":
            self.headings.append(data)

    def attributes_of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_page_holds_every_section_in_order() -> None:
    assert Page(render_report(report())).headings == [
        "Where the time went",
        "What the model hears",
        "Training",
        "Results on held-out clips",
        "The most confident mistakes",
        "Dataset",
        "Provenance",
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("Sounds from shards", "A small network; fold 5 held out.", "2026-11-22 13:40 UTC"),
        *("50.0%", "chance 2.0%", "39% to 61% on 80 clips", "0.613", "1,234", "4 min 05 s"),
        *("45.2 s", "2 min 30 s", "18.4%", "everything else", "50.0 s", "20.4%"),
        *("fold 1", "1,600", "2.00", "23.4", "too_short", "17", "batch size", "32"),
        *("esc50+5-1-A-0", "98.7%", "sha256:9f3a", "torch 2.11.0", "bark.wav by somebody"),
        *("CC BY 3.0", "melstream train --epochs 30\nmelstream report", "Loss over epochs"),
    ],
)
def test_page_says(text: str) -> None:
    assert text in Page(render_report(report())).text


def test_untrusted_text_is_escaped_wherever_it_stands() -> None:
    evil = report(
        title=EVIL,
        subtitle=EVIL,
        stages=[Stage(name=EVIL, seconds=1.0)],
        parts=[Part(name=EVIL, num_clips=1, audio_seconds=1, num_bytes=1, num_classes=1)],
        rejections={EVIL: 1},
        settings={EVIL: EVIL},
        mistakes=[Mistake(key=EVIL, true=EVIL, predicted=EVIL, probability=0.5)],
        provenance=Provenance(
            created=EVIL,
            dataset_digest=EVIL,
            versions={EVIL: EVIL},
            commands=[EVIL],
            attribution=EVIL,
            licence=EVIL,
        ),
        sound_pictures=[Picture(png=b"\x89PNG", caption=EVIL)],
    )
    page = Page(render_report(evil))
    assert page.attributes_of("script") == []
    # In the text: title twice, subtitle, date, stage, part, reason, setting and value, three
    # of the mistake, six of the provenance and a caption. In attributes: a stage, a picture.
    assert page.text.count(EVIL) == 19
    assert any(attributes["alt"] == EVIL for attributes in page.attributes_of("img"))


def test_page_needs_nothing_but_itself() -> None:
    html = render_report(report())
    page = Page(html)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        assert "href" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        if "src" in attributes:
            assert (attributes["src"] or "").startswith("data:image/png;base64,")
    assert "url(" not in html
    assert "@import" not in html
    assert "http:" not in html
    assert "https:" not in html


def test_pictures_are_whole_pngs_with_a_caption_each() -> None:
    page = Page(render_report(report()))
    images = page.attributes_of("img")
    assert len(images) == 4
    for attributes in images:
        png = base64.b64decode((attributes["src"] or "").partition(",")[2], validate=True)
        assert imread(io.BytesIO(png), format="png").shape[2] == 4
        assert attributes["alt"]
    assert len(page.attributes_of("figcaption")) == 4


def test_what_was_tested_instead_takes_the_place_of_accuracy() -> None:
    page = Page(
        render_report(
            report(
                headlines=[("EER", "1.05%", "37,611 trials of vox1-o")],
                figures=[("minDCF at 0.05", "0.071")],
            )
        )
    )
    for text in ("EER", "1.05%", "37,611 trials of vox1-o", "minDCF at 0.05", "0.071"):
        assert text in page.text
    assert "Held-out accuracy" not in page.text
    assert "Training speed" in page.text


def test_sections_without_content_are_left_out() -> None:
    empty = report(
        stages=[],
        parts=[],
        rejections={},
        settings={},
        mistakes=[],
        sound_pictures=[],
        training_pictures=[],
        result_pictures=[],
        dataset_pictures=[],
        scores=dataclasses.replace(report().scores, total_seconds=0.0, macro_map=None),
    )
    page = Page(render_report(empty))
    assert page.headings == ["Dataset", "Provenance"]
    assert "No clip was rejected." in page.text
    assert "not measured" in page.text


def test_widths_of_the_time_bar_sum_to_the_whole() -> None:
    html = render_report(report())
    widths = [
        float((attributes["style"] or "").partition("width:")[2].partition("%")[0])
        for attributes in Page(html).attributes_of("i")
        if attributes.get("class") != "swatch"
    ]
    assert widths == pytest.approx([18.434, 61.175, 20.392], abs=0.001)


@pytest.mark.parametrize("total_seconds", [195.2, 195.5, 100.0])
def test_a_rest_that_is_rounding_or_negative_is_not_shown(total_seconds: float) -> None:
    scores = dataclasses.replace(report().scores, total_seconds=total_seconds)
    assert "everything else" not in render_report(report(scores=scores))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min 00 s"),
        (3599.8, "1 h 00 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    scores = dataclasses.replace(report().scores, total_seconds=seconds)
    assert text in Page(render_report(report(scores=scores, stages=[]))).text


def test_wilson_interval_is_that_of_the_literature_and_stays_inside() -> None:
    # Newcombe (1998), table I: 81 of 263 gives 0.2553 to 0.3662, 0 of 20 gives 0 to 0.1611.
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(0.5, 0) == (0.0, 1.0)


def test_report_is_written_into_a_new_folder_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "demo" / "report.html"
    write_report(report(), path)
    assert path.read_text(encoding="utf-8") == render_report(report())
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_keeps_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    write_report(report(), path)
    old = path.read_bytes()

    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(report(title="new"), path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_report_loads_neither_torch_nor_matplotlib() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(jobs.report.__file__).parents[1])!r}); "
        "import jobs.report_html; "
        "sys.exit(bool({'torch', 'matplotlib', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
