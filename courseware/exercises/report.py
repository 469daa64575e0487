"""What a learner sees: of a check what held and what did not, of an exercise hints and solution."""

from __future__ import annotations

import html
from dataclasses import dataclass, field

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from courseware import boxes
from courseware.exercises.attempt import LearnerError
from courseware.limits import Bounded
from courseware.text import markdown_html

MIME = "application/vnd.course.exercise+json"
_COLOURS = HtmlFormatter(nowrap=True, noclasses=True)  # in style attributes
STATUSES = ("solved", "not yet", "your turn", "error", "stopped")


class Shown:
    """Something to display: a headline and blocks, as text, as HTML and as data.

    A block is a pair of its kind and its text: "line" and "note" (plain), "text" (Markdown), "code"
    (Python), "output" (plain), or "folded output" (its first line stays in sight).
    """

    colour = boxes.BLUE
    data: dict | None = None

    def __init__(self, head: str, blocks: list[tuple[str, str]] = ()) -> None:
        self.head, self._blocks = head, list(blocks)

    def blocks(self) -> list[tuple[str, str]]:
        return self._blocks

    def __repr__(self) -> str:
        return "\n".join([self.head, *(_plain(kind, text) for kind, text in self.blocks())])

    def _repr_html_(self) -> str:
        body = "".join(_html(kind, text) for kind, text in self.blocks())
        return boxes.strip(f"<b>{html.escape(self.head)}</b>{body}", self.colour)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        bundle = {"text/plain": repr(self), "text/html": self._repr_html_()}
        return bundle | ({MIME: self.data} if self.data else {})


def _plain(kind: str, text: str) -> str:
    if kind == "text":
        return text.strip()
    indent = "    " if kind in ("code", "folded output", "output") else "  "
    return "\n".join(indent + line for line in text.rstrip().splitlines())


def _html(kind: str, text: str) -> str:
    if kind == "line":
        return boxes.hanging(text)
    if kind == "note":
        return boxes.note(html.escape(text))
    if kind == "text":
        return boxes.note(markdown_html(text, mathml=False))
    if kind == "code":
        return boxes.code(highlight(text, PythonLexer(), _COLOURS))
    if kind == "folded output":
        summary, _, text = text.partition("\n")
        return boxes.folded(html.escape(summary), boxes.output(text))
    return boxes.output(text)


@dataclass(frozen=True)
class Row:
    """One family: a mark for each aspect, "✔" held, "✘" did not, "–" not reached."""

    family: str
    marks: tuple[str, ...]


def lines(rows: list[Row], aspects: tuple[str, ...]) -> list[str]:
    """One line for what held, one for what did not, one for what was not reached.

    Families that fared alike share their lines.
    """
    alike: dict[tuple, list[str]] = {}
    for row in rows:
        alike.setdefault(row.marks, []).append(row.family)
    found = []
    for marks, families in alike.items():
        for mark in dict.fromkeys(marks):
            what = [text for text, own in zip(aspects, marks, strict=True) if own == mark]
            found.append(f"{mark} {', '.join(families)}: {'; '.join(what)}")
    return found


@dataclass
class Report(Shown):
    """The outcome of a check.

    ``status`` is one of STATUSES; ``mistake`` the id of a recognised one, ``advice`` its text, and
    ``seen`` what was seen of it, on which family; ``said`` a sentence for what is none of these.
    """

    name: str
    status: str
    aspects: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    mistake: str | None = None
    advice: str = ""
    seen: str = ""
    said: str = ""
    error: LearnerError | None = None
    printed: Bounded = field(default_factory=Bounded)
    calls: int = 0
    warning: str | None = None

    @property
    def head(self) -> str:
        return {
            "solved": f"✔ {self.name}: solved. All of it holds, on every network.",
            "not yet": f"✘ {self.name}: not yet.",
            "your turn": f"Your turn: fill in {self.name}, then run this cell again.",
            "error": f"✘ {self.name}: not yet. {self.said or 'Your code raised an exception.'}",
            "stopped": f"✘ {self.name}: stopped. {self.said}",
        }[self.status]

    @property
    def colour(self) -> str:
        return {"solved": boxes.GREEN, "your turn": boxes.GREY}.get(self.status, boxes.RED)

    @property
    def data(self) -> dict:
        return {"name": self.name, "status": self.status, "mistake": self.mistake}

    def blocks(self) -> list[tuple[str, str]]:
        found = [("line", line) for line in lines(self.rows, self.aspects)]
        if self.error:
            found.append(("output", _told(self.error)))
        if self.seen:
            found.append(("note", self.seen))
        if self.advice:
            found.append(("text", f"**Hint:** {self.advice}"))
        if self.printed.length:
            found.append(("folded output", _output(self.printed, self.calls)))
        if self.status in ("not yet", "error", "stopped"):
            more = f'`hint("{self.name}")` says more, `solution("{self.name}")` all of it.'
            found.append(("text", more))
        if self.warning:
            found.append(("note", f"▲ {self.warning}"))
        return found

    __repr__ = Shown.__repr__


def _told(error: LearnerError) -> str:
    """The exception as Python would end its traceback, and the line of the learner's cell."""
    told = f"{error.kind}: {error.message}" if error.message else error.kind
    return f"line {error.line} of your cell:  {error.text}\n{told}" if error.line else told


def _output(printed: Bounded, calls: int) -> str:
    """A line that says what it is, and the beginning of what was printed."""
    left = printed.length - len(printed.kept)
    more = f"\n… and {left:,} characters more" if left else ""
    times = "once" if calls == 1 else f"{calls} times"
    return f"What it printed when it was called {times}\n{printed.kept}{more}"


def show(thing: Shown) -> None:
    """Display it in a notebook, print it elsewhere."""
    from IPython.display import display

    display(thing)
