"""Curves of a training that runs, over those of the runs before it."""

import math

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_hex

from courseware.dials import LiveRuns


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def runs():
    return LiveRuns(steps=4, guessing=math.log(5))


def curves(figure) -> list:
    """The loss curves, from the one drawn first to the newest; the line of guessing left out."""
    return [line for line in figure.axes[0].lines if line.get_linestyle() == "-"]


def words(figure) -> str:
    return " | ".join(text.get_text() for text in figure.texts)


def test_a_run_grows_inside_axes_that_stand_still(runs):
    first, second = runs.draw("a", [1.5]), runs.draw("a", [1.5, 0.7])
    assert [list(curve.get_ydata()) for curve in curves(second)] == [[1.5, 0.7]]
    for axis in ("get_xlim", "get_ylim"):
        assert getattr(first.axes[0], axis)() == getattr(second.axes[0], axis)()
    assert first.axes[0].get_xlim()[1] > 4
    assert "…  a" in words(second)


def test_finished_runs_stay_faint_with_their_colour_and_accuracy(runs):
    own = curves(runs.finish("a", [1, 0.5], accuracy=0.625))[-1].get_color()
    figure = runs.draw("b", [2])
    old, new = curves(figure)
    assert (old.get_color(), list(old.get_ydata())) == (own, [1, 0.5])
    assert to_hex(new.get_color()) != to_hex(own)
    assert old.get_alpha() < 1 and new.get_alpha() is None
    assert "0.62  a" in words(figure)


def test_an_abandoned_run_leaves_no_curve(runs):
    runs.draw("a", [1, 2])
    assert len(curves(runs.draw("b", [1]))) == 1


def test_the_last_five_stay_each_in_another_colour(runs):
    for name in "abcdefgh":
        runs.finish(name, [1], accuracy=0.5)
    figure = runs.draw("i", [1])
    assert [f"  {name}" in words(figure) for name in "bcdefgh"] == [False, False] + [True] * 5
    assert len({to_hex(curve.get_color()) for curve in curves(figure)}) == 6


def test_the_same_setting_again_replaces_its_run(runs):
    runs.finish("a", [1], accuracy=0.5)
    figure = runs.finish("a", [1], accuracy=0.75)
    assert len(curves(figure)) == 1
    assert "0.50" not in words(figure) and "0.75  a" in words(figure)


def test_a_loss_below_the_axis_is_drawn_on_its_edge(runs):
    (curve,) = curves(runs.draw("a", [0.0]))
    assert curve.get_ydata()[0] >= runs.draw("a", [0.0]).axes[0].get_ylim()[0]


@pytest.mark.parametrize("given", [{"steps": 0}, {"guessing": 0}])
def test_what_cannot_be_drawn_is_refused(given):
    with pytest.raises(ValueError, match="expected"):
        LiveRuns(**{"steps": 4, "guessing": 1.6} | given)
