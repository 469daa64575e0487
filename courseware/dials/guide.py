"""A dial over the grid of lesson 8."""

from __future__ import annotations

import ipywidgets as widgets

from course_utils.strategies.grid import Grid
from course_utils.strategies.protocol import Recommendation, recommend
from courseware.dials.dial import explore

ELSE = "something else"


def guide(grid: Grid) -> None:
    """A form that asks for photos, domain and time, and shows `recommend`'s answer."""
    style, layout = {"description_width": "9em"}, widgets.Layout(width="min(95%, 30em)")
    shared = {"style": style, "layout": layout}

    def answer(photos: int, domain: str, minutes: float) -> Recommendation:
        return recommend(grid, photos, domain, minutes or None)

    explore(
        answer,
        alt="The strategy that the grid recommends, its figures and their borders",
        photos=widgets.BoundedIntText(
            value=grid.photos[1], min=1, max=1_000_000, description="photos a class", **shared
        ),
        domain=widgets.Dropdown(options=[*grid.domains, ELSE], description="most like", **shared),
        minutes=widgets.BoundedFloatText(
            value=0, min=0, max=1e6, description="minutes (0: any)", **shared
        ),
    )
