"""The map of winners: each field where it belongs, in its colour, hatched when it is not sure."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from course_utils.plots import BLUE, GREEN, VERMILION
from course_utils.strategies.winner_map import winner_map

NAMES = ["probe", "full", "scratch"]
CELLS = {
    (1500, 0.0): ("scratch", True),
    (20, 0.0): ("scratch", False),
    (20, 1.0): ("probe", True),
    (1500, 1.0): ("full", False),
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def fields(ax) -> dict:
    """Corner of each filled field → its colour and whether it is hatched."""
    filled = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_fill()]
    return {p.get_xy(): (to_hex(p.get_facecolor()).upper(), bool(p.get_hatch())) for p in filled}


def test_each_field_stands_in_its_place_with_colour_and_hatching():
    ax = winner_map(CELLS, names=NAMES)
    assert fields(ax) == {
        (0, 0): (GREEN, True),
        (1, 0): (GREEN, False),
        (0, 1): (BLUE, False),
        (1, 1): (VERMILION, True),
    }
    assert [t.get_text() for t in ax.get_xticklabels()] == ["20", "1500"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0.0", "1.0"]
    assert ax.get_xlim() == (0, 2) and ax.get_ylim() == (0, 2)


def test_the_legend_names_the_winners_and_the_hatching():
    def entries(cells, **more):
        return [t.get_text() for t in winner_map(cells, **more).get_legend().get_texts()]

    assert entries(CELLS, names=["nobody", *NAMES]) == [*NAMES, "not sure"]
    sure = {pair: (winner, True) for pair, (winner, _) in CELLS.items()}
    assert entries(sure) == sorted(NAMES)


def test_a_name_keeps_its_colour_when_others_win():
    one = {(20, 1.0): ("full", True)}
    assert fields(winner_map(one, names=NAMES))[0, 0] == (VERMILION, False)


def test_labels_stand_in_their_fields_on_the_given_axes():
    ax = plt.subplots()[1]
    same = winner_map(CELLS, labels={(1500, 1.0): "+2.1"}, ax=ax)
    assert same is ax
    assert [(t.get_text(), t.get_position()) for t in ax.texts] == [("+2.1", (1.5, 1.5))]


@pytest.mark.parametrize(
    ("cells", "more", "says"),
    [
        ({}, {}, "no cells"),
        ({(1, 1): ("a", True), (2, 2): ("a", True)}, {}, r"no cell for \[\(1, 2\), \(2, 1\)\]"),
        (CELLS, {"names": ["probe", "full"]}, "every winner among the names"),
        (CELLS, {"names": [*NAMES, *"abcd"]}, "at most 6 names"),
        (CELLS, {"labels": {(7, 0.0): "x"}}, r"\(7, 0.0\)"),
    ],
)
def test_bad_input_is_told(cells, more, says):
    with pytest.raises(ValueError, match=says):
        winner_map(cells, **more)
