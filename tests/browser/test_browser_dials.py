"""The guide asked by its form, and a dial of two sliders turned: in JupyterLab, with a kernel."""

import pytest
from notebook_page import opened, run

GUIDE = """
from course_utils.grid import read_grid
from course_utils.guide import guide

guide(read_grid())
"""
DIAL = """
from ipywidgets import SelectionSlider

from course_utils.explorers import explore

explore(lambda a, b: f"drawn for {a} and {b}", a=SelectionSlider(options=[1, 2, 3]),
        b=SelectionSlider(options=["x", "y"], value="x"))
"""


@pytest.fixture(scope="module")
def page(tab):
    with opened(tab, "dials", [GUIDE, DIAL]) as page:
        run(page)
        yield page


def cell(page, number: int):
    return page.locator(".jp-Notebook-cell").nth(number).locator(".jp-Cell-outputArea")


def enter(field, value) -> None:
    field.fill(str(value))
    field.press("Enter")


def test_the_guide_answers_what_is_asked(page):
    form = cell(page, 1)
    photos, minutes = (form.locator("input").nth(n) for n in (0, 1))
    form.get_by_text("Recommended:").wait_for()
    assert not form.get_by_text("Outside of what was measured").count()

    enter(photos, 2000)
    form.get_by_text("2000 photos a class is far from the nearest measured number").wait_for()
    enter(photos, 100)
    form.locator("select").select_option("something else")
    form.get_by_text("something else was not measured").wait_for()
    form.locator("select").select_option("drawn flowers")
    form.get_by_text("Measured with 100 photos a class of drawn flowers").wait_for()
    enter(minutes, 0.01)
    form.get_by_text("Left out by the time you gave").wait_for()


def test_a_dial_draws_again_at_every_step(page):
    dial = cell(page, 2)
    dial.get_by_text("drawn for 1 and x").wait_for()
    first, second = (dial.locator(".noUi-handle").nth(n) for n in (0, 1))
    first.focus()
    first.press("ArrowRight")
    dial.get_by_text("drawn for 2 and x").wait_for()
    first.press("ArrowRight")
    second.focus()
    second.press("ArrowRight")
    dial.get_by_text("drawn for 3 and y").wait_for()
