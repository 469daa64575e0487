"""The learner's progress on show: in a terminal, in a notebook, and carried from one to another."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from courseware import boxes
from courseware.progress.overview import Again, Overview, Row, overview
from courseware.progress.store import Progress, my_progress, shown

CELLS = 12  # of a bar of characters
TAKE_ALONG = (
    "Binder and Colab forget it when a session ends: export_progress() writes it to a file that "
    "you can download, import_progress() takes that in again."
)


class Panel:
    """An `Overview`, readable in a terminal and in a notebook, light or dark.

    Parameters
    ----------
    kept : a sentence that says where it is kept
    warning : what is amiss with that file, if anything is
    """

    def __init__(self, shown: Overview, kept: str, warning: str = "") -> None:
        self.shown, self.kept, self.warning = shown, kept, warning

    def headline(self) -> str:
        """One sentence that says it all, or that invites to begin."""
        total, shown = self.shown.total, self.shown
        if not shown.begun:
            return (
                f"{_number(total('total'), 'question')} and "
                f"{_number(total('exercises'), 'exercise')} wait for you. A wrong answer costs "
                "nothing: it says why it is wrong, and this panel keeps the place to go back to."
            )
        return (
            f"{total('right')} of {total('total')} questions right, {total('solved')} of "
            f"{total('exercises')} exercises solved, {_number(total('hints'), 'hint')} used."
        )

    def notes(self) -> list[str]:
        """The lines below the tables."""
        notes = [self.kept]
        if self.shown.final:
            notes.insert(0, "Last final quiz, {}: {} of {} right.".format(*self.shown.final))
        return notes + ([f"▲ {self.warning}"] if self.warning else [])

    def __str__(self) -> str:
        shown = self.shown
        lines = ["Your progress", self.headline(), "", *_text_rows(shown.lessons), ""]
        if shown.begun:
            lines += ["By concept", *_text_rows(shown.concepts), ""]
        if shown.again:
            lines.append("Go over again")
            lines += [f"  {_place(again)}: {', '.join(again.what)}" for again in shown.again]
            lines.append("")
        return "\n".join(lines + self.notes())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        shown = self.shown
        parts = [f"<div><b>Your progress.</b> {html.escape(self.headline())}</div>"]
        parts.append(_table("lesson", shown.lessons))
        if shown.again:
            places = boxes.items(map(_place_html, shown.again))
            parts.append(f"<div><b>Go over again</b>{places}</div>")
        parts.append(boxes.folded("By concept", _table("concept", shown.concepts)))
        parts += [f"<div>{html.escape(note)}</div>" for note in self.notes()]
        return boxes.frame("".join(parts))


def _text_rows(rows: Sequence[Row]) -> list[str]:
    width = max((len(row.title) for row in rows), default=0)
    lines = []
    for row in rows:
        full, tried = (CELLS * n // max(row.total, 1) for n in (row.right, row.answered))
        bar = "█" * full + "▒" * (tried - full) + "·" * (CELLS - tried) if row.total else ""
        told = [_told_questions(row)] if row.total else []
        told += [f"{row.solved} of {row.exercises} solved"] if row.exercises else []
        told += [_number(row.hints, "hint")] if row.hints else []
        lines.append(f"  {row.title:{width}}  {bar:{CELLS}}  {'; '.join(told)}")
    return lines


def _told_questions(row: Row) -> str:
    unsettled = row.answered - row.right
    return f"{row.right} of {row.total} right" + (f", {unsettled} not yet" if unsettled else "")


def _place(again: Again) -> str:
    title, section = again.lesson.title, _plain(again.section)
    return f"{title}, “{section}”" if section else title


def _place_html(again: Again) -> str:
    # JupyterLab's name of a heading: its text, with a hyphen for each space, and without any %….
    section = _plain(again.section).replace(" ", "-")
    address = f"{again.lesson.key}.ipynb" + (f"#{html.escape(section)}" if section else "")
    place, what = html.escape(_place(again)), html.escape(", ".join(again.what))
    return f'<a href="{address}">{place}</a>: {what}'


def _plain(markdown: str) -> str:
    return markdown.replace("`", "").replace("*", "")


def _table(kind: str, rows: Sequence[Row]) -> str:
    tasks = any(row.exercises for row in rows)
    heads = [(kind, 1), ("questions", 2), *[("exercises solved", 1)] * tasks, ("hints", 1)]
    body = []
    for row in rows:
        name = html.escape(row.title)
        if kind == "lesson":
            name = f'<a href="{row.key}.ipynb">{name}</a>'
        cells = [_bar(row), _told_questions(row)] if row.total else ["", "–"]
        cells += [f"{row.solved} of {row.exercises}" if row.exercises else "–"] * tasks
        body.append([name, *cells, str(row.hints)])
    return boxes.table(heads, body)


def _bar(row: Row) -> str:
    right, tried = row.right / row.total, (row.answered - row.right) / row.total
    return boxes.bar([(right, 1), (tried, 0.35)])


def panel_of(store: Progress, kept: str) -> Panel:
    """The panel of what a store knows, against the questions and exercises of the course."""
    from courseware.bank.exercises import load_exercises
    from courseware.bank.questions import load_banks

    counted = overview(load_banks(), load_exercises(), store.read())
    return Panel(counted, kept, store.warning)


def progress(store: Progress | None = None) -> Panel:
    """The learner's progress over all lessons, to end a cell with."""
    store = store or my_progress()
    # Not the folder: a notebook's output may be shown to others.
    return panel_of(store, f"Kept in {shown(store.path.name)} on this machine. {TAKE_ALONG}")


def export_progress(path: Path | str = "my-progress.json") -> None:
    """Write the learner's progress to a file, and say so.

    Raises
    ------
    ProgressError : the file cannot be written, or holds something that would be lost
    """
    print(exported(my_progress(), path))


def import_progress(path: Path | str = "my-progress.json") -> None:
    """Take in what `export_progress` wrote, in another session or on another machine.

    Nothing is lost and nothing counted twice, however often it is called.

    Raises
    ------
    ProgressError : there is no such file, or it holds no progress
    """
    print(imported(my_progress(), path))


def exported(store: Progress, path: Path | str) -> str:
    """Export, and the sentence that says what was written."""
    return _told(store, "Saved {} in {}.", store.export_to(path), path)


def imported(store: Progress, path: Path | str) -> str:
    """Import, and the sentence that says what was taken in."""
    return _told(store, "Took in {} from {}.", store.import_from(path), path)


def _told(store: Progress, sentence: str, document: dict, path: Path | str) -> str:
    counts = {name: len(document[f"{name}s"]) for name in ("question", "exercise")}
    if document["finals"]:
        counts["final quiz"] = len(document["finals"])
    *amounts, last = [_number(n, one) for one, n in counts.items()]
    told = sentence.format(f"{', '.join(amounts)} and {last}", shown(path))
    return f"{told}\n▲ {store.warning}" if store.warning else told


def _number(n: int, one: str) -> str:
    return f"{n} {one if n == 1 else one + ('zes' if one.endswith('z') else 's')}"
