"""A recording as a plain table: what GitHub, an HTML page or a notebook without a kernel shows.

Plain tags only, as in the static quiz: sanitisers drop style sheets and scripts.
"""

from __future__ import annotations

import html
import re

from courseware.boxes import LEFT
from courseware.stepper.record import Change, Recording, Step
from courseware.text import markdown_html

CLASS = "tlm-steps"  # stepper.css hides it once the live stepper is there
HEADINGS = ("Step", "Line", "Code", "Note", "What changed")


def static_html(recording: Recording) -> str:
    """One row a step: its line, the code, the note, and what changed; then how it ended."""
    head = "".join(f'<th scope="col"{LEFT}>{heading}</th>' for heading in HEADINGS)
    rows = "".join(_row(recording, n, step) for n, step in enumerate(recording.steps, start=1))
    return (
        f'<div class="{CLASS}"><p><b>Step through: {_safe(recording.source.title)}</b></p>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"<p>{_safe(recording.message)}</p>"
        "<p><i>Run the cell to step through it here.</i></p></div>"
    )


def _row(recording: Recording, number: int, step: Step) -> str:
    code = recording.source.code[step.line - 1]
    indent = "&nbsp;" * (len(code) - len(code.lstrip()))  # spaces would be merged
    note = recording.source.notes.get(step.line, "")
    # A line may break behind a bracket and before a dot, or a narrow window cuts the table off.
    line = re.sub(r"(?<=\()|(?=\.[a-zA-Z_])", "<wbr>", _safe(code.strip()))
    cells = (
        str(number),
        str(step.line),
        f"<code>{indent}{line}</code>",
        markdown_html(note, mathml=False) if note else "",
        "<br>".join(_happened(step)),
    )
    return "<tr>" + "".join(f"<td{LEFT}>{cell}</td>" for cell in cells) + "</tr>"


def _happened(step: Step) -> list[str]:
    parts = [f"<i>{_safe(step.where)}</i>"] if step.where else []
    parts += [_change(change) for change in step.changes]
    if step.printed:
        parts.append(f"prints <code>{_safe(step.printed.strip())}</code>")
    if step.raised:
        parts.append(f"<b>raises {_safe(step.raised)}</b>")
    if step.returned:
        parts.append(f"returns {_safe(step.returned)}")
    return parts


def _change(change: Change) -> str:
    if change.how == "gone":
        return f"<b>{_safe(change.name)}</b> is gone"
    words = "; ".join(change.told)
    if not words or change.told[0].startswith("was "):
        words = f"{change.text} ({words})" if words else change.text
    return f"<b>{_safe(change.name)}</b> {change.how}: {_safe(words)}"


def _safe(text: str) -> str:
    return html.escape(text)
