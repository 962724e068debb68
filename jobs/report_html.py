"""A report as one HTML file that needs nothing else, no network and no script.

All text is escaped: labels and keys come from datasets, which anyone may have made.
"""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from jobs.report import Mistake, Part, Picture, Provenance, Report, Scores, Stage


def write_report(report: Report, path: Path) -> None:
    """Write a report as one HTML file, making its folder where that is missing.

    Who reads `path` meanwhile sees the old file or the whole new one, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_text(render_report(report), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def render_report(report: Report) -> str:
    """Return the text of the HTML file; the same report gives the same text."""
    title, created = escape(report.title), escape(report.provenance.created)
    sections = [
        _section("Where the time went", _times(report.stages, report.scores.total_seconds)),
        _section("What the model hears", _figures(report.sound_pictures)),
        _section(
            "Training",
            _figures(report.training_pictures),
            _table(("setting", "value"), report.settings.items()),
        ),
        _section("Results on held-out clips", _figures(report.result_pictures)),
        _section("The most confident mistakes", _mistakes(report.mistakes)),
        _section(
            "Dataset",
            _parts(report.parts),
            _rejections(report.rejections),
            _figures(report.dataset_pictures),
        ),
        _section("Provenance", _provenance(report.provenance)),
    ]
    # The policy lets a browser itself refuse what this file promises not to do.
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>{title}</h1><p>{escape(report.subtitle)}</p><p class="note">{created}</p></header>
<main>
<div class="cards">{_cards(report.scores)}</div>
{"".join(sections)}</main>
</body>
</html>
"""


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


def _cards(scores: Scores) -> str:
    low, high = wilson_interval(scores.accuracy, scores.num_held_out)
    sure = (
        f"chance {scores.chance_accuracy:.1%}; 95% interval {low:.0%} to {high:.0%} "
        f"on {scores.num_held_out:,} clips"
    )
    macro_map = "not measured" if scores.macro_map is None else f"{scores.macro_map:.3f}"
    speed = f"{scores.clips_per_second:,.{0 if scores.clips_per_second >= 100 else 1}f}"
    cards = [
        ("Held-out accuracy", f"{scores.accuracy:.1%}", sure),
        ("Macro mAP", macro_map, "average precision, mean over classes"),
        ("Training speed", speed, "clips a second"),
        ("Total time", _duration(scores.total_seconds), "wall time of the whole run"),
    ]
    return "".join(
        f'<div class="card"><h3>{name}</h3><p class="value">{value}</p>'
        f'<p class="note">{note}</p></div>'
        for name, value, note in cards
    )


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
        rows.append((_Html(swatch), _duration(stage.seconds), f"{share:.1%}"))
    return f'<div class="bar">{bar}</div>' + _table(("stage", "time", "share"), rows, numbers=True)


def _mistakes(mistakes: Sequence[Mistake]) -> str:
    rows = [
        (_code(mistake.key), mistake.true, mistake.predicted, f"{mistake.probability:.1%}")
        for mistake in mistakes
    ]
    return _table(("clip", "true class", "predicted class", "probability"), rows)


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
    return _table(("part", "clips", "hours", "megabytes", "classes"), rows, numbers=True)


def _rejections(rejections: Mapping[str, int]) -> str:
    if not rejections:
        return "<p>No clip was rejected.</p>"
    rows = [(reason, f"{count:,}") for reason, count in rejections.items()]
    return _table(("rejected because", "clips"), rows, numbers=True)


def _provenance(provenance: Provenance) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in provenance.versions.items())
    rows = [
        ("dataset digest", _code(provenance.dataset_digest)),
        ("versions", versions),
        ("commands", _Html(f"<pre>{escape(chr(10).join(provenance.commands))}</pre>")),
        ("licence of the audio", provenance.licence),
        ("attribution", _Html(f"<pre>{escape(provenance.attribution)}</pre>")),
    ]
    return _table(("what", "value"), rows)


class _Html(str):
    """Text that is markup already: `_table` escapes everything else."""

    __slots__ = ()


def _code(text: str) -> _Html:
    return _Html(f"<code>{escape(text)}</code>")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> str:
    """Return a table, or nothing where there are no rows; cells are escaped unless `_Html`.

    With `numbers`, all columns but the first are set flush right.
    """
    body = "".join(
        "<tr>"
        + "".join(f"<td>{cell if isinstance(cell, _Html) else escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    if not body:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    kind = ' class="numbers"' if numbers else ""
    return f'<div class="table"><table{kind}><tr>{head}</tr>{body}</table></div>'


def _figures(pictures: Sequence[Picture]) -> str:
    return "".join(
        f'<figure><img alt="{escape(picture.caption)}" '
        f'src="data:image/png;base64,{base64.b64encode(picture.png).decode()}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in pictures
    )


def _section(name: str, *contents: str) -> str:
    content = "\n".join(contents)
    return f"<section><h2>{name}</h2>\n{content}</section>\n" if content.strip() else ""


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

_STYLE = """
:root { color-scheme: light dark; --page: #f7f7f5; --card: #fff; --ink: #1d2126; --note: #626973;
  --line: #e3e5e8; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1c2025; --ink: #e4e6e9;
  --note: #9aa1ab; --line: #30353c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 68rem; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; letter-spacing: -.01em; }
h2 { margin: 0 0 1rem; font-size: 1.15rem; }
h3 { margin: 0; font-size: .85rem; font-weight: 500; color: var(--note); }
p { margin: .4rem 0; }
.note, figcaption { color: var(--note); font-size: .85rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem;
  margin: 1.75rem 0; }
.card, section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 1.25rem; }
section { margin: 0 0 1rem; padding: 1.5rem; }
.card .value { margin: .1rem 0; font-size: 2rem; font-weight: 650; line-height: 1.25; }
.card .note { margin: 0; line-height: 1.35; }
.bar { display: flex; height: 1.75rem; border-radius: 6px; overflow: hidden; }
.swatch { display: inline-block; width: .75rem; height: .75rem; margin-right: .6rem;
  border-radius: 3px; }
.table { overflow-x: auto; }
* + .table { margin-top: 1rem; }
table { width: 100%; border-collapse: collapse; font-size: .92rem;
  font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--note); }
th, td { padding: .4rem 1rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.numbers :is(th, td):not(:first-child) { padding: .4rem 0 .4rem 1rem; text-align: right;
  white-space: nowrap; }
code, pre { overflow-wrap: anywhere; }
figure { margin: 1.25rem 0 0; }
img { display: block; max-width: 100%; margin: 0 auto .5rem; padding: .5rem; background: #fff;
  border-radius: 8px; }
code, pre { font: .85rem/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { margin: 0; max-height: 16rem; overflow: auto; white-space: pre-wrap; }
@media print { body { background: none; } section, .card { break-inside: avoid; } }
"""
