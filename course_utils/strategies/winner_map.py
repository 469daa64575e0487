"""A map of winners: one field for each pair of conditions, hatched where the winner is not sure.

Plain values in, matplotlib Axes out, as in ``plots``. Who won, and whether the lead is more than
luck, was decided before; nothing here computes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.patches import Patch, Rectangle

from course_utils.plots import PALETTE

HATCH = "////"


def winner_map(
    cells: Mapping[tuple, tuple],
    *,
    names: Sequence[str] | None = None,
    labels: Mapping[tuple, str] | None = None,
    ax=None,
):
    """A field for each pair (column, row): the winner's colour, hatched where it is not sure.

    Columns stand from left to right and rows from bottom to top, both in rising order, one step
    each: 20, 50 and 1500 points stand side by side.

    Parameters
    ----------
    cells : {(column, row): (winner, sure)}, a name and a truth value, for every pair of a grid
    names : the contestants in the order of their colours, at most six. It keeps the colours of two
        maps alike; without it those who won, in alphabetical order. Only winners are in the legend
    labels : {(column, row): text} to write into fields

    Raises
    ------
    ValueError : no cells, a pair of the grid without a cell, a winner that ``names`` does not hold,
        more than six names, or a label outside the grid
    """
    columns, rows = _grid(cells)
    colours = _colours(cells, names)
    outside = [pair for pair in labels or {} if pair not in cells]
    if outside:
        raise ValueError(f"got {outside}, which the map does not have; expected pairs of its cells")
    size = (2.6 + 0.8 * len(columns), 1.1 + 0.5 * len(rows))
    ax = ax or plt.subplots(figsize=size, layout="constrained")[1]
    for pair, (winner, sure) in cells.items():
        corner = (columns.index(pair[0]), rows.index(pair[1]))
        ax.add_patch(_field(corner, colours[winner], sure))
        if labels and pair in labels:
            _write(ax, corner, labels[pair])
    ax.set(xlim=(0, len(columns)), ylim=(0, len(rows)))
    ax.set_xticks([i + 0.5 for i in range(len(columns))], columns)
    ax.set_yticks([i + 0.5 for i in range(len(rows))], rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.legend(handles=_legend(cells, colours), loc="upper left", bbox_to_anchor=(1.0, 1.02))
    return ax


def _grid(cells: Mapping[tuple, tuple]) -> tuple[list, list]:
    """The columns and rows in rising order, once it is sure that no field is missing."""
    if not cells:
        raise ValueError("got no cells; expected {(column, row): (winner, sure)}")
    columns, rows = (sorted({pair[axis] for pair in cells}) for axis in (0, 1))
    missing = [(column, row) for column in columns for row in rows if (column, row) not in cells]
    if missing:
        raise ValueError(f"got no cell for {missing}; expected one for every column and row")
    return columns, rows


def _colours(cells: Mapping[tuple, tuple], names: Sequence[str] | None) -> dict[str, str]:
    """A colour for each name, in the order of the names."""
    winners = sorted({winner for winner, _ in cells.values()})
    order = winners if names is None else list(names)
    unknown = [winner for winner in winners if winner not in order]
    if unknown or len(order) > len(PALETTE):
        raise ValueError(
            f"got the winners {winners} and {len(order)} names {order}; expected every winner "
            f"among the names, and at most {len(PALETTE)} names: there are no more colours that "
            "every eye can tell apart"
        )
    return dict(zip(order, PALETTE, strict=False))


def _field(corner: tuple[int, int], colour: str, sure: bool) -> Rectangle:
    # The hatch takes the edge's colour. White tells an unsure field from a sure one in grey
    # print too, and to eyes that see no colour.
    return Rectangle(
        corner,
        1,
        1,
        facecolor=colour,
        edgecolor="white",
        linewidth=1.5,
        hatch=None if sure else HATCH,
    )


def _write(ax, corner: tuple[int, int], text: str) -> None:
    ax.text(
        corner[0] + 0.5,
        corner[1] + 0.5,
        text,
        ha="center",
        va="center",
        fontsize=8,
        color="black",
        bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none"},
        zorder=3,
    )


def _legend(cells: Mapping[tuple, tuple], colours: Mapping[str, str]) -> list[Patch]:
    """The winners, in the order of their colours, and what the hatching means if there is any."""
    won = {winner for winner, _ in cells.values()}
    handles = [Patch(facecolor=c, label=name) for name, c in colours.items() if name in won]
    if not all(sure for _, sure in cells.values()):
        handles.append(Patch(facecolor="0.6", edgecolor="white", hatch=HATCH, label="not sure"))
    return handles
