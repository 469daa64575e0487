"""Loss curves drawn while the training runs, over faint ones of the runs before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from course_utils.plots import PALETTE, panels

LEVELS = (0.001, 0.01, 0.1, 1, 10, 100)  # of the loss axis; what lies below is drawn on its edge
FAINT = 0.5
KEPT = len(PALETTE) - 1  # finished runs in the picture: no eye tells more colours apart


class _Run(NamedTuple):
    name: str
    colour: str
    losses: tuple[float, ...]
    accuracy: float | None  # None while it runs


class LiveRuns:
    """Training runs to compare by eye: the newest in full colour, up to five before it faint.

    A generator that trains calls `draw` every few steps and yields the figure, and `finish` at the
    end. A run that was abandoned on the way leaves no curve.

    Parameters
    ----------
    steps : how many steps a run has; the width of the picture from the first step on
    guessing : the loss of a network that knows nothing, ln(classes), in nats: a dotted line

    Raises
    ------
    ValueError : no steps, or a loss of 0 or below
    """

    def __init__(self, steps: int, guessing: float) -> None:
        if steps < 1 or guessing <= 0:
            raise ValueError(
                f"got {steps=}, {guessing=}; expected at least one step and a positive loss"
            )
        self.steps, self.guessing = steps, guessing
        self._finished: list[_Run] = []

    def draw(self, name: str, losses: Sequence[float]) -> Figure:
        """The picture so far: a run called ``name`` with its ``losses`` in nats, one a step."""
        return self._picture(self._run(name, losses, None))

    def finish(self, name: str, losses: Sequence[float], accuracy: float) -> Figure:
        """The last picture of a run, with its validation accuracy (0…1); the run is kept.

        An earlier run of that name gives way to it.
        """
        run = self._run(name, losses, accuracy)
        picture = self._picture(run)
        self._finished = [*self._others(name), run]
        return picture

    def _run(self, name: str, losses: Sequence[float], accuracy: float | None) -> _Run:
        others = self._others(name)
        # A run keeps its colour as long as it is shown, so a new one takes a colour that is free.
        free = [colour for colour in PALETTE if colour not in {run.colour for run in others}]
        return _Run(name, free[0], tuple(losses), accuracy)

    def _others(self, name: str) -> list[_Run]:
        others = [run for run in self._finished if run.name != name]
        return others[-KEPT:]

    def _picture(self, newest: _Run) -> Figure:
        (left,) = panels(figsize=(7.6, 2.9))
        left.set_position((0.07, 0.17, 0.55, 0.72))  # a table stands beside it
        others = self._others(newest.name)
        for run in [*others, newest]:
            faint = {"alpha": FAINT, "linewidth": 1} if run is not newest else {"linewidth": 2}
            shown = [max(loss, LEVELS[0]) for loss in run.losses]
            left.plot(range(1, len(shown) + 1), shown, color=run.colour, **faint)
        left.axhline(self.guessing, color="0.4", linestyle=":")
        left.set(yscale="log", ylim=(LEVELS[0] * 0.8, 200))
        left.set(xlim=(0, self.steps + 1), xlabel="step")
        left.set_yticks(LEVELS, [f"{level:g}" for level in LEVELS])  # 10² in mathematics is slow
        left.yaxis.set_minor_locator(NullLocator())
        left.set_title("training loss (dotted: guessing)")
        _table(left.figure, [newest, *others[::-1]])
        return left.figure


def _table(figure: Figure, runs: list[_Run]) -> None:
    """Name and validation accuracy of each run in its colour, the newest on top."""
    figure.text(0.67, 0.93, "validation accuracy", va="center")
    for place, run in enumerate(runs):
        end = "…" if run.accuracy is None else f"{run.accuracy:.2f}"
        high, strength = 0.82 - 0.13 * place, FAINT if place else 1
        figure.add_artist(
            plt.Line2D((0.65, 0.663), (high, high), color=run.colour, linewidth=2, alpha=strength)
        )
        figure.text(
            0.67,
            high,
            f"{end}  {run.name}",
            va="center",
            fontsize=9,
            color="black" if place == 0 else "0.35",
        )
