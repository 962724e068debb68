"""The one look of every HTML report: a page that needs nothing else, no network and no script.

All text is escaped: labels and keys come from datasets, which anyone may have made.
"""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from jobs.report import Picture


def write_page(html: str, path: Path) -> None:
    """Write a page, making its folder where that is missing.

    Who reads `path` meanwhile sees the old file or the whole new one, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_text(html, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def page(*, title: str, subtitle: str, note: str, body: str) -> str:
    """Return a whole page; `body` is markup, the rest is text."""
    # The policy lets a browser itself refuse what this file promises not to do.
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p><p class="note">{escape(note)}</p></header>
<main>
{body}</main>
</body>
</html>
"""


def cards(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return big numbers in a row; each is a name, a value and a note, all text."""
    content = "".join(
        f'<div class="card"><h3>{escape(name)}</h3><p class="value">{escape(value)}</p>'
        f'<p class="note">{escape(note)}</p></div>'
        for name, value, note in rows
    )
    return f'<div class="cards">{content}</div>\n'


class Html(str):
    """Text that is markup already: `table` escapes everything else."""

    __slots__ = ()


def code(text: str) -> Html:
    """Return text as it would stand in a terminal."""
    return Html(f"<code>{escape(text)}</code>")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> str:
    """Return a table, or nothing where there are no rows; cells are escaped unless `Html`.

    With `numbers`, all columns but the first are set flush right.
    """
    body = "".join(
        "<tr>"
        + "".join(f"<td>{cell if isinstance(cell, Html) else escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    if not body:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    kind = ' class="numbers"' if numbers else ""
    return f'<div class="table"><table{kind}><tr>{head}</tr>{body}</table></div>'


def figures(pictures: Sequence[Picture]) -> str:
    """Return pictures, each above its caption."""
    return "".join(
        f'<figure><img alt="{escape(picture.caption)}" '
        f'src="data:image/png;base64,{base64.b64encode(picture.png).decode()}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in pictures
    )


def section(name: str, *contents: str) -> str:
    """Return a section of markup under a heading, or nothing where there is no content."""
    content = "\n".join(contents)
    return f"<section><h2>{name}</h2>\n{content}</section>\n" if content.strip() else ""


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
