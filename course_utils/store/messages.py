"""What the learner reads while a cell runs: progress bars and notices."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable

from tqdm.auto import tqdm


def progress(
    iterable: Iterable | None, what: str, *, total: int | None = None, unit: str = "it"
) -> tqdm:
    """A progress bar with the time left, shown only when the work takes over two seconds.

    Wrap an iterable; or pass None, call ``bar.update(n)`` and ``bar.close()`` (``unit="B"``
    counts bytes, with prefixes; pooch's downloader takes such a bar and sets its total).
    ``TQDM_DISABLE=1`` hides every bar.
    """
    if iterable is None and total is None:
        total = 1  # pooch asks bool(bar) before it knows the total, and tqdm raises without one
    # tqdm's own look at the variable is lost on its notebook bars, which set `disable` themselves.
    hidden = os.environ.get("TQDM_DISABLE") == "1"
    return tqdm(
        iterable, desc=what, total=total, unit=unit, unit_scale=unit == "B", delay=2, leave=False,
        disable=hidden,
    )  # fmt: skip


class Notice:
    """One sentence set apart from other output, readable in light and dark themes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        # No colour of its own but the border's, and no CSS variable: JupyterLab strips a style that
        # has one from a notebook it does not trust yet.
        style = "margin:4px 0;padding:.3em .8em;border-left:4px solid #b26a00"
        return f'<div style="{style}">{html.escape(self.text)}</div>'


def show_notice(text: str) -> None:
    """Display ``text`` as a banner in a notebook, as a plain line in a terminal."""
    from IPython.display import display

    display(Notice(text))
