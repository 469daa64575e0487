"""One look for what cells show: boxes, colours and marks that read in light and dark themes.

Every style stands in the tag that has it, and none uses a CSS variable: JupyterLab strips a style
with one from a notebook it does not trust yet, and GitHub drops style sheets. Text keeps the
theme's own colour; only lines and marks have one of their own.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from course_utils.store.messages import AMBER, strip

# Each has a contrast of at least 3:1 to JupyterLab's white and to its #111.
GREEN, RED, GREY, BLUE = "#15803d", "#dc2626", "#6b7280", "#2563eb"
_FRAME = "max-width:60em;padding:.6em .9em;margin:4px 0;line-height:1.5"
_CELL = "text-align:left;padding:.25em .9em .25em 0"
# Both colours are given where one is: code has to be read in light and in dark themes.
_CODE = "background-color:#f8f8f8;color:#222;padding:.5em .8em;overflow-x:auto"
LEFT = ' style="text-align:left"'  # JupyterLab sets tables to the right, and an indent is lost


@dataclass(frozen=True)
class Sign:
    """A mark and its colour: never the colour alone."""

    mark: str
    colour: str


GOOD, BAD = Sign("✔", GREEN), Sign("✘", RED)
WARNING, UNKNOWN = Sign("▲", AMBER), Sign("–", GREY)


def frame(body: str) -> str:
    """HTML with a line around it."""
    return f'<div style="{_FRAME};border:1px solid {GREY}">{body}</div>'


def marked(sign: Sign, body: str) -> str:
    """HTML behind a mark, with a line in the mark's colour at its left."""
    return strip(f"<b>{sign.mark}</b> {body}", sign.colour)


def note(body: str) -> str:
    """A paragraph with a little room above it."""
    return f'<div style="margin-top:.4em">{body}</div>'


def hanging(text: str) -> str:
    """A line of plain text whose first character, a mark, stands in front of the lines."""
    return f'<div style="padding-left:1.3em;text-indent:-1.3em">{html.escape(text)}</div>'


def folded(summary: str, body: str) -> str:
    """HTML of which only the summary shows until it is clicked."""
    inside = f'<div style="margin:.4em 0 .4em 1.2em">{body}</div>'
    return f'<details style="margin:.5em 0"><summary>{summary}</summary>{inside}</details>'


def items(lines: Iterable[str]) -> str:
    """A list of pieces of HTML."""
    rows = "".join(f'<li style="margin:.2em 0">{line}</li>' for line in lines)
    return f'<ul style="margin:.3em 0;padding-left:1.3em">{rows}</ul>'


def code(coloured: str) -> str:
    """Code that is HTML already, on a light ground in every theme."""
    return f'<pre style="{_CODE}">{coloured}</pre>'


def output(text: str) -> str:
    """Plain text as a terminal shows it."""
    return f'<pre style="overflow-x:auto">{html.escape(text)}</pre>'


def image(source: str, alt: str) -> str:
    """A picture that is never wider than the page; ``source`` is its address."""
    return f'<img alt="{html.escape(alt)}" style="max-width:100%" src="{source}">'


def checks(rows: Iterable[tuple[Sign, str, str, str]]) -> str:
    """Rows of a sign, its meaning in a word, a name and HTML."""
    # Divs, for JupyterLab has a style of its own for tables.
    cells = "".join(
        f'<div style="color:{sign.colour};font-weight:bold" role="img" aria-label="{meaning}">'
        f"{sign.mark}</div><div><b>{html.escape(name)}</b></div><div>{body}</div>"
        for sign, meaning, name, body in rows
    )
    columns = "grid-template-columns:auto minmax(6em,auto) 1fr;gap:.35em .9em"
    return frame(f'<div style="display:grid;{columns};overflow-wrap:anywhere">{cells}</div>')


def table(heads: Sequence[tuple[str, int]], rows: Iterable[Sequence[str]]) -> str:
    """A table of HTML. A head is its text and how many columns it spans; a row begins with its
    name."""
    row = "".join(
        f'<th scope="{"col" if span == 1 else "colgroup"}" colspan="{span}" style="{_CELL}">{text}'
        "</th>"
        for text, span in heads
    )
    body = "".join(
        f'<tr><th scope="row" style="{_CELL};font-weight:normal;white-space:normal">{name}</th>'
        + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
        + "</tr>"
        for name, *cells in rows
    )
    return (
        '<table style="border-collapse:collapse;margin:.4em 0;white-space:nowrap">'
        f"<thead><tr>{row}</tr></thead><tbody>{body}</tbody></table>"
    )


def bar(parts: Iterable[tuple[float, float]], width: float = 6) -> str:
    """A bar of ``width`` em without text: the words beside it say the same.

    A part is its share and its strength, both from 0 to 1. The bar is made of borders, which
    without a colour take the text's; a background cannot name that colour without a variable.
    """
    spans = "".join(
        f'<span style="display:inline-block;height:.6em;opacity:{strength};'
        f'border-left:{width * share:.2f}em solid"></span>'
        for share, strength in parts
        if share
    )
    return (
        f'<span style="display:inline-block;width:{width}em;height:.6em;line-height:0;'
        f'border:1px solid {GREY};white-space:nowrap">{spans}</span>'
    )
