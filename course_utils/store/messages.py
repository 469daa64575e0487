"""What the learner reads while a cell runs: progress bars and notices."""

from __future__ import annotations

import difflib
import html
import os
from collections.abc import Callable, Iterable

from tqdm.auto import tqdm

AMBER = "#b45309"  # a warning: at least 3:1 on JupyterLab's white and on its #111


def progress(
    iterable: Iterable | None, what: str, *, total: int | None = None, unit: str = "it"
) -> tqdm:
    """A progress bar with the time left, shown only when the work takes over two seconds.

    Wrap an iterable; or pass None, call ``bar.update(n)`` and ``bar.close()``. ``unit="B"``
    counts bytes, with prefixes. ``TQDM_DISABLE=1`` hides every bar.
    """
    return tqdm(
        iterable,
        desc=what,
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        delay=2,
        leave=False,
        # tqdm's own look at the variable is lost on notebook bars, which set `disable` themselves.
        disable=os.environ.get("TQDM_DISABLE") == "1",
    )


def nearest(name: object, known: Iterable[str], shown: Callable[[str], str] = str) -> str:
    """``Did you mean a, b?`` with those of the known names that are like this one, at most four; an
    empty text where none is. ``shown`` gives the words for a name."""
    near = difflib.get_close_matches(str(name), known, 4, 0.5)
    return f"Did you mean {', '.join(dict.fromkeys(map(shown, near)))}?" if near else ""


def strip(body: str, colour: str) -> str:
    """HTML set apart by a coloured line at its left; the text keeps the theme's own colour.

    No CSS variable: JupyterLab strips a style with one from a notebook it does not trust yet.
    """
    style = f"max-width:60em;margin:4px 0;padding:.3em .8em;border-left:4px solid {colour}"
    return f'<div style="{style}">{body}</div>'


class Notice:
    """One sentence set apart from other output, readable in light and dark themes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return strip(html.escape(self.text), AMBER)


def show_notice(text: str) -> None:
    """Display ``text`` as a banner in a notebook, as a plain line in a terminal."""
    from IPython.display import display

    display(Notice(text))
