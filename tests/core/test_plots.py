"""Plots: what is drawn is what was given, on the Axes that was given."""

from itertools import pairwise

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from course_utils import plots
from course_utils.stats import Interval, mean_interval
from course_utils.training import History


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_history_draws_both_splits_and_marks_the_best_epoch():
    record = History([1.0, 0.5], [0.4, 0.9], [1.1, 0.9], [0.3, 0.6], [1, 1], best_epoch=1)
    loss, accuracy = plots.history(record)
    assert [line.get_ydata().tolist() for line in loss.lines] == [[1.0, 0.5], [1.1, 0.9]]
    assert accuracy.lines[0].get_ydata().tolist() == [0.4, 0.9]
    assert accuracy.lines[2].get_xdata() == [2, 2], "epochs are counted from 1 for people"


def test_history_without_validation_draws_training_alone():
    for ax in plots.history(History([1.0, 0.5], [0.4, 0.9], [], [], [1, 1])):
        assert [line.get_label() for line in ax.lines] == ["train"]


@pytest.mark.filterwarnings("error")  # no layout is looked for, and none is missed
@pytest.mark.parametrize("count, left", [(1, 0.5), (2, 0.5), (3, 1.0)])
def test_panels_have_room_for_what_stands_around_them(count, left):
    axes = plots.panels(count, figsize=(9, 2.8), left=left)
    for ax in axes:
        ax.set(xlabel="photos seen", title="accuracy (%)", ylim=(0, 1), xlim=(0, 1))
        if left > 0.5:
            ax.set_yticks([0, 1], ["sunflowers", "dandelion"])
    figure = axes[0].figure
    figure.canvas.draw()
    boxes = [ax.get_tightbbox() for ax in axes]
    assert boxes[0].x0 >= 0 and boxes[-1].x1 <= figure.bbox.width
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)
    assert all(one.x1 <= next_one.x0 for one, next_one in pairwise(boxes))


def test_bars_keep_order_values_and_whiskers():
    ax = plots.bars({"a": 2.0, "b": 1.0}, errors={"a": (1.5, 3.0), "b": (0.9, 1.2)}, unit=" s")
    assert [bar.get_width() for bar in ax.patches] == [2.0, 1.0]
    assert [t.get_text() for t in ax.texts] == ["2 s", "1 s"]
    segments = ax.collections[0].get_segments()
    assert np.allclose([s[:, 0] for s in segments], [[1.5, 3.0], [0.9, 1.2]])


def test_bars_write_thousands_without_an_exponent():
    ax = plots.bars({"a": 1054.3, "b": 999.4, "c": 999.6, "d": 0.02864}, unit=" ms")
    assert [t.get_text() for t in ax.texts] == ["1,054 ms", "999 ms", "1,000 ms", "0.0286 ms"]


def test_curve_draws_means_and_band_on_the_given_axes():
    ax = plt.subplots()[1]
    intervals = [mean_interval([0.1, 0.3]), Interval(0.5, 0.4, 0.6, 3)]
    assert plots.curve([1, 2], intervals, ax=ax, label="x") is ax
    assert np.allclose(ax.lines[0].get_ydata(), [0.2, 0.5])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert [band.min(), band.max()] == pytest.approx([intervals[0].low, intervals[0].high])
    at_two = ax.collections[0].get_paths()[0].vertices
    assert sorted(set(at_two[at_two[:, 0] == 2, 1])) == pytest.approx([0.4, 0.6])


def test_image_grid_puts_each_picture_with_its_title_into_its_cell():
    """Five pictures of 4 × 8 pixels, three in a row: where each lies, and what it shows."""
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 4, 8)
    ax = plots.image_grid(images, list("abcde"), columns=3, cell=2.0)
    assert [picture.get_array().max() for picture in ax.images] == [0, 1, 2, 3, 4]
    middles = [np.mean(p.get_extent()[:2]) for p in ax.images]
    assert middles == pytest.approx([0.5, 1.5, 2.5, 0.5, 1.5])
    upper, lower = ax.images[0].get_extent(), ax.images[3].get_extent()
    assert upper[2] - upper[3] == pytest.approx(0.5 * (upper[1] - upper[0]), abs=0.04)
    assert lower[3] > upper[2]  # below, as y grows downwards
    assert [text.get_text() for text in ax.texts] == list("abcde")
    assert ax.texts[4].get_position()[1] <= ax.images[4].get_extent()[3]
    width, height = ax.figure.get_size_inches()
    assert (width, height) == pytest.approx((6, 2 * (2 * 0.5 + 0.14)))


def test_image_grid_colours_each_grey_map_by_its_own_range():
    maps = torch.stack([torch.linspace(0, 1, 16).view(4, 4), torch.linspace(5, 9, 16).view(4, 4)])
    ax = plots.image_grid(maps)
    assert [picture.get_clim() for picture in ax.images] == [(0, 1), (5, 9)]


@pytest.mark.parametrize("titles", [["one"], []])
def test_image_grid_wants_a_title_an_image(titles):
    with pytest.raises(ValueError, match="one title an image"):
        plots.image_grid(torch.zeros(2, 3, 4, 4), titles)


def test_confusion_writes_every_count():
    ax = plots.confusion([[5, 1], [0, 4]], ["x", "y"])
    assert [t.get_text() for t in ax.texts] == ["5", "1", "0", "4"]
    with pytest.raises(ValueError, match="2 classes"):
        plots.confusion(np.eye(3), ["x", "y"])


def test_style_is_set_only_when_asked_for():
    before = plt.rcParams["axes.spines.top"]
    plots.use_style()
    assert before and not plt.rcParams["axes.spines.top"]
    plt.rcdefaults()


NAMES = ["$5_$10", "a_b^c\\d", "猫"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.confusion(np.eye(3), NAMES),
        lambda: plots.bars(dict.fromkeys(NAMES, 1.0)),
        lambda: plots.image_grid(torch.zeros(3, 3, 4, 4), NAMES),
    ],
)
def test_a_learners_names_are_text_not_formulas(draw, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(plt.rcParams, "font.family", ["DejaVu Sans"])  # which has no 猫
    ax = draw()
    ax.figure.savefig(tmp_path / "figure.png")  # a warning for a letter would be an error here
    written = [text.get_text() for text in [*ax.get_yticklabels(), *ax.texts]]
    assert {"$5_$10", "a_b^c\\d", "□"} <= set(written)
    assert "猫" in capsys.readouterr().out
