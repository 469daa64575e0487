"""The guide asked by its form, and dials turned: in JupyterLab, with a kernel."""

import re

import pytest
from notebook_page import opened, run

GUIDE = """
from course_utils.strategies.grid import read_grid
from courseware.dials.guide import guide

guide(read_grid())
"""
DIAL = """
from ipywidgets import IntSlider, SelectionSlider

from courseware.dials import explore

explore(lambda a, b: f"drawn for {a} and {b}", a=SelectionSlider(options=[1, 2, 3]),
        b=SelectionSlider(options=["x", "y"], value="x"))
"""
# The drawing of 1 lasts until a file is there: it is overtaken however slow the machine is.
SLOW = """
drawn = []

def slow(n):
    drawn.append(n)
    while n == 1 and not os.path.exists("overtaken"):
        time.sleep(0.01)
    return f"drawn {drawn}"

explore(slow, n=IntSlider(0))
"""
LIVE = """
abandoned = []

def train(rate):
    try:
        for step in range(300 if rate else 1):
            time.sleep(0.02)
            yield f"rate {rate} step {step} abandoned {abandoned}"
    except GeneratorExit:
        abandoned.append(rate)

explore(train, rate=IntSlider(0, max=3))
"""
PICTURE = """
import matplotlib.pyplot as plt

def show(n):
    figure, ax = plt.subplots(layout="constrained")
    ax.plot([0, n])
    return figure

explore(show, alt="A line", n=IntSlider(1))
"""
SLOW_PICTURE = """
def show_slowly(n):
    for step in range(4):
        figure, ax = plt.subplots(layout="constrained")
        time.sleep(0.1 if n else 0)
        yield figure

explore(show_slowly, alt="A frame", n=IntSlider(0))
"""
# What stands on the page over the words: nothing may hide them.
SEEN = """label => {
    const box = label.getBoundingClientRect();
    return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === label;
}"""


@pytest.fixture(scope="module")
def page(tab):
    with opened(tab, "dials", [GUIDE, DIAL, SLOW, LIVE, PICTURE, SLOW_PICTURE]) as page:
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


def test_a_slow_dial_says_that_it_is_at_work_and_skips_what_was_overtaken(page, tab):
    dial = cell(page, 3)
    dial.get_by_text("drawn [0]").wait_for()
    told = dial.get_by_role("status").get_by_text("at work")
    handle = dial.locator(".noUi-handle")
    handle.focus()
    before = dial.bounding_box()
    handle.press("ArrowRight")
    told.wait_for(state="visible")
    assert told.evaluate(SEEN) and dial.bounding_box() == before  # nothing moves
    for _ in range(5):  # while 1 is still being drawn
        handle.press("ArrowRight")
    (tab.folder / "overtaken").touch()
    # Before the newest value the page may send one more, as it sends none while one is on its way.
    dial.get_by_text(re.compile(r"drawn \[0, 1, (\d, )?6\]")).wait_for()
    told.wait_for(state="hidden")


def test_a_quick_dial_does_not_say_it(page):
    dial = cell(page, 2)
    handle = dial.locator(".noUi-handle").first
    handle.focus()
    told = []
    for turn in range(4):  # on a busy machine one answer may be late, but not all
        page.evaluate("""() => { window.told = 0; window.watch = setInterval(() => {
            const words = [...document.querySelectorAll(".tlm-busy span")];
            window.told += words.some(word => getComputedStyle(word).visibility === "visible");
        }, 10); }""")
        handle.press("ArrowRight" if turn % 2 else "ArrowLeft")
        dial.get_by_text(f"drawn for {3 if turn % 2 else 2} and y").wait_for()
        told.append(page.evaluate("() => { clearInterval(window.watch); return window.told; }"))
    assert 0 in told, told


def test_a_newer_setting_takes_the_place_of_a_live_run(page):
    dial = cell(page, 4)
    dial.get_by_text("rate 0 step 0").wait_for()
    handle = dial.locator(".noUi-handle")
    handle.focus()
    handle.press("ArrowRight")
    dial.get_by_text(re.compile(r"rate 1 step \d\d")).wait_for()
    assert dial.get_by_text("at work").is_visible()
    handle.press("ArrowRight")
    dial.get_by_text(re.compile(r"rate 2 step \d\d+ abandoned \[1\]")).wait_for()
    handle.press("ArrowLeft")
    handle.press("ArrowLeft")
    dial.get_by_text("rate 0 step 0").wait_for()


def test_a_picture_has_alt_text_and_no_second_picture_beside_it(page):
    picture = cell(page, 5).locator("img")
    assert picture.count() == 1
    assert picture.get_attribute("alt") == "A line (n 1)"
    handle = cell(page, 5).locator(".noUi-handle")
    handle.focus()
    handle.press("ArrowRight")
    cell(page, 5).get_by_alt_text("A line (n 2)").wait_for()


def test_keys_while_a_figure_is_made_do_not_disturb_it(page):
    """Each key is a message, after which IPython shows and closes the figures that it finds."""
    dial = cell(page, 6)
    handle = dial.locator(".noUi-handle")
    handle.focus()
    for _ in range(15):
        handle.press("ArrowRight", delay=40)
        page.wait_for_timeout(60)
        assert not dial.get_by_text("Error").count(), dial.inner_text()
    dial.get_by_alt_text("A frame (n 15)").wait_for()
    assert page.locator(".jp-Notebook img").count() == 2  # its picture, and that of the cell above
