"""The stepper: by buttons, keyboard, slider and click; alone, readable, and without a kernel."""

import json

import pytest
from axe import RUN, VERSION, axe_source
from learner import tab_to
from nbformat.v4 import new_code_cell, new_output
from notebook_page import (
    THEMES,
    cells_of,
    opened,
    output_of,
    run,
    set_theme,
    show_at_once,
    sticks_out,
)

from courseware.stepper.record import record
from courseware.stepper.static import static_html

SNIPPET = """
# Lines to step through: a loop and an error
def work(layer, x):  # a **layer** and `x`
    for step in range(3):  # three passes
        y = layer(
            x,  # forward
        )
        print("pass", step, y.shape)
    layer.requires_grad_(False)
    del y
    raise ValueError("the <end>")  # on purpose
"""
CALL = """
import torch
from torch import nn
from courseware.stepper import step_through

step_through(work, nn.BatchNorm1d(20), torch.ones(4, 20))
"""
ENDLESS = """
# Lines to step through: what never ends
def endless():
    n = 0
    while True:
        n += 1


step_through(endless, max_steps=40)
"""
LINES = [1, 2, 3, 6, 2, 3, 6, 2, 3, 6, 2, 7, 8, 9]  # of the code as shown
LAST = len(LINES) - 1


def published():
    """A cell with the output that the build stores."""

    def work(x):
        y = x + 1  # <one> more
        return y

    cell = new_code_cell(SNIPPET + CALL)
    cell.outputs = [new_output("display_data", data={"text/html": static_html(record(work, 1))})]
    return cell


@pytest.fixture(scope="module")
def page(tab):
    with opened(tab, "stepper", [SNIPPET + CALL, ENDLESS, published()]) as page:
        run(page, 0, 1, 2)
        page.wait_for_function("document.querySelectorAll('.tlm-stepper').length === 2")
        page.evaluate("""() => {
            window.ran = [];
            window.jupyterapp.commands.commandExecuted.connect((_, told) => ran.push(told.id));
        }""")
        yield page


@pytest.fixture
def stepper(page):
    stepper = output_of(page, 1).locator(".tlm-stepper")
    stepper.get_by_role("slider").fill("0")
    return stepper


def at(stepper) -> tuple[int, int]:
    """The step, counted from 0, and the line that is marked; the parts agree on both."""
    step = int(stepper.locator(".count").inner_text().split(" of ")[0]) - 1
    current = stepper.locator("[aria-current=step]")
    line = int(current.locator(".number").inner_text())
    assert current.locator(".mark").inner_text() == "▶"
    assert stepper.get_by_role("slider").input_value() == str(step)
    assert f"Line {line}" in stepper.locator(".note .meta").inner_text()
    assert stepper.locator(".said").text_content().startswith(f"Line {line}.")
    return step, line


def row(stepper, name: str):
    return stepper.locator("tbody tr").filter(
        has=stepper.page.locator(f"th code:text-is('{name}')")
    )


def test_the_first_step_shows_what_goes_in(stepper):
    assert at(stepper) == (0, 1)
    assert stepper.locator(".words").inner_text() == "a layer and x"
    assert stepper.locator(".words strong, .words code").count() == 2  # notes are Markdown
    assert "✚ new" in row(stepper, "layer").inner_text()
    assert "tensor [4, 20] float32 on cpu" in row(stepper, "x").inner_text()
    code = stepper.locator(".code").inner_text()
    assert "#" not in code and "range(3)" in code


def test_the_buttons_go_through_all_steps_and_back(stepper):
    forward, back = (stepper.get_by_role("button", name=f"{n} step") for n in ("Next", "Previous"))
    assert back.get_attribute("aria-disabled") == "true"
    for number, line in enumerate(LINES):
        assert at(stepper) == (number, line)
        forward.click(force=number == LAST)  # there it says that it is disabled
    assert at(stepper) == (LAST, LINES[-1])  # no further
    assert forward.get_attribute("aria-disabled") == "true"
    for number in reversed(range(LAST)):
        back.click()
        assert at(stepper) == (number, LINES[number])


def test_a_step_shows_what_it_did(stepper):
    slider = stepper.get_by_role("slider")
    slider.fill("5")
    assert "pass 2 of 3 of the loop in line 2" in stepper.locator(".note .meta").inner_text()
    assert "● changed" in row(stepper, "layer").inner_text()
    assert "running_mean, running_var" in row(stepper, "layer").inner_text()
    assert stepper.locator(".line.current").count() == 3  # a statement of three lines
    assert stepper.locator("pre").inner_text() == "pass 0 torch.Size([4, 20])\n"
    slider.fill("6")
    assert stepper.locator("pre b").inner_text() == "pass 1 torch.Size([4, 20])\n"
    assert "●" not in row(stepper, "layer").inner_text()  # that was the step before
    slider.fill("12")
    assert "✖ gone" in row(stepper, "y").inner_text()
    slider.fill("13")
    assert not row(stepper, "y").count()
    assert "It raises ValueError: the <end>" in stepper.locator(".note").inner_text()


def test_a_click_on_a_line_goes_to_where_it_runs_next(stepper):
    line = stepper.locator("button.line").filter(has_text="print")
    for expected in (3, 6, 9, 3):
        line.click()
        assert at(stepper) == (expected, 6)
    assert stepper.locator("div.line").count() == 2  # the rest of a statement is no button


def test_it_plays_to_the_end_and_stops(page, stepper):
    stepper.get_by_role("slider").fill(str(LAST - 2))
    said = stepper.locator(".said")
    stepper.get_by_role("button", name="Play").click()
    pause = stepper.get_by_role("button", name="Pause")
    pause.wait_for()
    assert said.get_attribute("aria-live") == "off"
    stepper.get_by_role("button", name="Play").wait_for(timeout=10_000)
    assert at(stepper)[0] == LAST and said.get_attribute("aria-live") == "polite"
    stepper.get_by_role("button", name="Play").click()  # from the start again
    assert at(stepper)[0] in (0, 1)
    pause.click()
    before = at(stepper)
    page.wait_for_timeout(2000)
    assert at(stepper) == before


FOCUS = {"slider": "input", "line": "[aria-current=step]", "next": "button[aria-label='Next step']"}


@pytest.mark.parametrize("focus", FOCUS)
def test_by_keyboard_alone(page, stepper, focus):
    tab_to(stepper.locator(FOCUS[focus]))
    press = page.keyboard.press
    for key, expected in (
        *(("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", LAST), ("Home", 0)),
        *(() if focus == "slider" else (("ArrowDown", 1), ("ArrowUp", 0))),
    ):
        press(key)
        assert at(stepper) == (expected, LINES[expected]), key
    press("ArrowRight")
    if focus == "next":
        press("Space")  # presses the button
        assert at(stepper)[0] == 2
        return
    press("Space")
    stepper.get_by_role("button", name="Pause").wait_for()
    press("Space")
    stepper.get_by_role("button", name="Play").wait_for()
    if focus == "line":  # the focus goes with the current line, and Enter jumps
        press("Home")
        press("ArrowRight")
        press("Enter")
        assert at(stepper) == (4, 2)


@pytest.mark.parametrize("focus", [*FOCUS, "printed"])
def test_no_shortcut_of_the_notebook_fires(page, stepper, focus):
    focused = stepper.locator(FOCUS.get(focus, "pre"))
    before = cells_of(page)
    page.evaluate("ran.length = 0")
    for key in [
        *"abcdmrvxyz",
        "d",
        "d",
        "0",
        "0",
        "ArrowDown",
        "ArrowUp",
        "Escape",
        "Space",
        "Shift+Enter",
        "Control+Enter",
        "Control+Shift+m",
    ]:
        focused.focus()
        page.keyboard.press(key)
    page.wait_for_timeout(100)  # a chord may fire late
    assert page.evaluate("ran") == []
    assert cells_of(page) == before
    focused.focus()
    page.keyboard.press("Control+s")
    page.wait_for_function("ran.includes('docmanager:save')", timeout=2000)


def test_what_never_ends_says_so(page):
    stepper = output_of(page, 2).locator(".tlm-stepper")
    stepper.get_by_role("slider").fill("39")
    note = stepper.locator(".note").inner_text()
    assert "Stopped after 40 steps: it did not come to an end." in note
    assert "pass 37 of the loop" in note or "pass 19 of the loop" in note  # by Python's version


@pytest.mark.parametrize("width", [1300, 700])
@pytest.mark.parametrize("theme", THEMES)
def test_it_can_be_read(page, stepper, theme, width):
    source = axe_source()
    if source is None:
        pytest.skip(
            f"axe-core is not here: install npm, or name axe.min.js in COURSE_AXE ({VERSION})"
        )
    page.evaluate(source)
    show_at_once(page, ".tlm-stepper", width, 8000)
    if page.get_attribute("body", "data-jp-theme-name") != THEMES[theme]:
        set_theme(page, theme)
    for step in (0, 5, 12, 13):
        stepper.get_by_role("slider").fill(str(step))
        page.wait_for_timeout(200)  # colours fade in
        assert page.evaluate(sticks_out(".tlm-stepper", ".said")) == []
        found = page.evaluate(RUN, ".tlm-stepper")
        serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps(serious, indent=2, ensure_ascii=False)
        contrasts = [v["nodes"] for v in found["incomplete"] if v["id"] == "color-contrast"]
        undecided = [
            n
            for nodes in contrasts
            for n in nodes
            if "only non-text" not in n and "too short" not in n
        ]
        assert not undecided, "\n".join(undecided)
        assert found["passes"]["color-contrast"] > 20
    page.set_viewport_size({"width": 1300, "height": 1000})


def test_a_cell_that_did_not_run_has_the_table(page):
    output = output_of(page, 3)
    assert not output.locator(".tlm-stepper, .jp-mod-error").count()
    for text in ("What changed", "y = x + 1", "<one> more", "y new: 2", "It returned 2."):
        assert text in output.locator(".tlm-steps").inner_text()
    run(page, 3)
    output.locator(".tlm-stepper").wait_for()
    assert output.locator(".tlm-steps").is_hidden()


def test_it_needs_no_kernel(page, stepper):
    page.evaluate("window.jupyterapp.serviceManager.sessions.shutdownAll()")
    stepper.get_by_role("button", name="Next step").click()
    assert at(stepper) == (1, 2)
    page.keyboard.press("End")
    assert at(stepper)[0] == LAST
