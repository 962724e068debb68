"""A report as one HTML file that needs nothing else, no network and no script.

All text is escaped: labels and keys come from datasets, which anyone may have made.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from jobs.html_page import Html, cards, code, figures, page, section, table, write_page
from jobs.report import Mistake, Part, Provenance, Report, Scores, Stage


def write_report(report: Report, path: Path) -> None:
    """Write a report as one HTML file, making its folder where that is missing.

    Who reads `path` meanwhile sees the old file or the whole new one, never a part.
    """
    write_page(render_report(report), path)


def render_report(report: Report) -> str:
    """Return the text of the HTML file; the same report gives the same text."""
    sections = [
        section("Where the time went", _times(report.stages, report.scores.total_seconds)),
        section("What the model hears", figures(report.sound_pictures)),
        section(
            "Training",
            figures(report.training_pictures),
            table(("setting", "value"), report.settings.items()),
        ),
        section(
            "Results on held-out clips",
            table(("figure", "value"), report.figures),
            figures(report.result_pictures),
        ),
        section("The most confident mistakes", _mistakes(report.mistakes)),
        section(
            "Dataset",
            _parts(report.parts),
            _rejections(report.rejections),
            figures(report.dataset_pictures),
        ),
        section("Provenance", _provenance(report.provenance)),
    ]
    return page(
        title=report.title,
        subtitle=report.subtitle,
        note=report.provenance.created,
        body=_cards(report) + "".join(sections),
    )


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95% confidence interval of a share that was measured on `count` clips.

    Wilson's (1927), which stays inside [0, 1] and is sound for few clips and extreme shares.
    """
    if count == 0:
        return 0.0, 1.0
    z = 1.96
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return (centre - spread) / scale, (centre + spread) / scale


def _cards(report: Report) -> str:
    scores = report.scores
    speed = f"{scores.clips_per_second:,.{0 if scores.clips_per_second >= 100 else 1}f}"
    rows = [
        *(report.headlines or _score_rows(scores)),
        ("Training speed", speed, "clips a second"),
        ("Total time", _duration(scores.total_seconds), "wall time of the whole run"),
    ]
    return cards(rows)


def _score_rows(scores: Scores) -> list[tuple[str, str, str]]:
    low, high = wilson_interval(scores.accuracy, scores.num_held_out)
    sure = (
        f"chance {scores.chance_accuracy:.1%}; 95% interval {low:.0%} to {high:.0%} "
        f"on {scores.num_held_out:,} clips"
    )
    macro_map = "not measured" if scores.macro_map is None else f"{scores.macro_map:.3f}"
    return [
        ("Held-out accuracy", f"{scores.accuracy:.1%}", sure),
        ("Macro mAP", macro_map, "average precision, mean over classes"),
    ]


def _times(stages: Sequence[Stage], total_seconds: float) -> str:
    rest_seconds = total_seconds - sum(stage.seconds for stage in stages)
    # Below half a percent the rest is rounding; the bar would not show it.
    if rest_seconds > 0.005 * total_seconds:
        stages = [*stages, Stage(name="everything else", seconds=rest_seconds)]
    whole_seconds = sum(stage.seconds for stage in stages)
    if whole_seconds <= 0:
        return ""
    bar, rows = "", []
    for number, stage in enumerate(stages):
        share = stage.seconds / whole_seconds
        color = _STAGE_COLORS[number % len(_STAGE_COLORS)]
        title = f"{escape(stage.name)}: {_duration(stage.seconds)}"
        bar += f'<i style="width:{share:.3%};background:{color}" title="{title}"></i>'
        swatch = f'<i class="swatch" style="background:{color}"></i>{escape(stage.name)}'
        rows.append((Html(swatch), _duration(stage.seconds), f"{share:.1%}"))
    return f'<div class="bar">{bar}</div>' + table(("stage", "time", "share"), rows, numbers=True)


def _mistakes(mistakes: Sequence[Mistake]) -> str:
    rows = [
        (code(mistake.key), mistake.true, mistake.predicted, f"{mistake.probability:.1%}")
        for mistake in mistakes
    ]
    return table(("clip", "true class", "predicted class", "probability"), rows)


def _parts(parts: Sequence[Part]) -> str:
    rows = [
        (
            part.name,
            f"{part.num_clips:,}",
            f"{part.audio_seconds / 3600:.2f}",
            f"{part.num_bytes / 1e6:,.1f}",
            f"{part.num_classes:,}",
        )
        for part in parts
    ]
    return table(("part", "clips", "hours", "megabytes", "classes"), rows, numbers=True)


def _rejections(rejections: Mapping[str, int] | None) -> str:
    if rejections is None:
        return ""
    if not rejections:
        return "<p>No clip was rejected.</p>"
    rows = [(reason, f"{count:,}") for reason, count in rejections.items()]
    return table(("rejected because", "clips"), rows, numbers=True)


def _provenance(provenance: Provenance) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in provenance.versions.items())
    rows = [
        ("dataset digest", code(provenance.dataset_digest)),
        ("versions", versions),
        ("commands", Html(f"<pre>{escape(chr(10).join(provenance.commands))}</pre>")),
        ("licence of the audio", provenance.licence),
        ("attribution", Html(f"<pre>{escape(provenance.attribution)}</pre>")),
    ]
    return table(("what", "value"), rows)


def _duration(seconds: float) -> str:
    if seconds < 59.95:  # what is more would round to 60.0
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


# After Okabe and Ito: neighbours differ in lightness too.
_STAGE_COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8A8F98", "#F0E442",
)  # fmt: skip
