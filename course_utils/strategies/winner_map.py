"""A map of winners: one field for each pair of conditions, hatched where the winner is not sure.

Plain values in, matplotlib Axes out, as in ``plots``. Who won, and whether the lead is more than
luck, was decided before; nothing here computes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from course_utils.plots import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HATCH = "////"
BOX = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none"}


def winner_map(
    cells: Mapping[tuple, tuple[str, bool]],
    *,
    names: Sequence[str] | None = None,
    labels: Mapping[tuple, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
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
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch, Rectangle

    if not cells:
        raise ValueError("got no cells; expected {(column, row): (winner, sure)}")
    columns, rows = (sorted({pair[axis] for pair in cells}) for axis in (0, 1))
    missing = [(column, row) for column in columns for row in rows if (column, row) not in cells]
    if missing:
        raise ValueError(f"got no cell for {missing}; expected one for every column and row")
    labels = labels or {}
    if outside := [pair for pair in labels if pair not in cells]:
        raise ValueError(f"got {outside}, which the map does not have; expected pairs of its cells")
    winners = sorted({winner for winner, _ in cells.values()})
    order = winners if names is None else list(names)
    if not set(winners) <= set(order) or len(order) > len(PALETTE):
        raise ValueError(
            f"got the winners {winners} and {len(order)} names {order}; expected every winner "
            f"among the names, and at most {len(PALETTE)} names: there are no more colours that "
            "every eye can tell apart"
        )
    colours = dict(zip(order, PALETTE, strict=False))
    size = (2.6 + 0.8 * len(columns), 1.1 + 0.5 * len(rows))
    ax = ax or plt.subplots(figsize=size, layout="constrained")[1]
    # The hatch takes the edge's colour. White tells an unsure field from a sure one in grey
    # print too, and to eyes that see no colour.
    for pair, (winner, sure) in cells.items():
        x, y = columns.index(pair[0]), rows.index(pair[1])
        field = Rectangle((x, y), 1, 1, hatch=None if sure else HATCH)
        field.set(facecolor=colours[winner], edgecolor="white", linewidth=1.5)
        ax.add_patch(field)
        if pair in labels:
            text = ax.text(x + 0.5, y + 0.5, labels[pair], ha="center", va="center", bbox=BOX)
            text.set(fontsize=8, color="black")
    ax.set(xlim=(0, len(columns)), ylim=(0, len(rows)))
    ax.set_xticks([i + 0.5 for i in range(len(columns))], columns)
    ax.set_yticks([i + 0.5 for i in range(len(rows))], rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    # Winners in the order of their colours, and what the hatching means if there is any.
    legend = [Patch(facecolor=colours[name], label=name) for name in order if name in winners]
    if not all(sure for _, sure in cells.values()):
        legend.append(Patch(facecolor="0.6", edgecolor="white", hatch=HATCH, label="not sure"))
    ax.legend(handles=legend, loc="upper left", bbox_to_anchor=(1.0, 1.02))
    return ax
