"""The dials and steppers of the real lessons in JupyterLab: found, run, moved, timed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nbformat.v4 import new_code_cell
from notebook_page import Tab, opened, output_of, run, wait_until_done
from slicing import sliced

from tools.builder.execute import TIMEOUT
from tools.builder.lesson import ROOT, STEPPED, read_course, tags
from tools.builder.notebook import lesson_notebook

LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
# As test_lessons.py has them, enough to run each line; and a map of four fields in lesson 07.
SMALL = {"PER_CLASS": 10, "EPOCHS": 1, "SEEDS": 3, "POINTS": (20, 150), "RELATEDNESS": (0.5, 0.8)}
# Notes when the learner moved a control, and when each picture that followed was laid out. Only
# what comes after a drawing has begun counts: before that it is a picture of the setting before.
WATCH = """area => {
    const [status, picture] = [...area.querySelector(".widget-vbox").children].slice(-2);
    const turn = window.turn = {start: 0, times: [], begun: false, coming: false, ended: false};
    for (const kind of ["keydown", "input", "change"])
        area.addEventListener(kind, event => { turn.start = event.timeStamp; }, true);
    const laidOut = async () => {
        if (!turn.begun) return;
        const start = turn.start;
        turn.coming = true;
        await Promise.all([...picture.querySelectorAll("img")].map(img => img.decode()));
        requestAnimationFrame(() => turn.times.push(performance.now() - start));
    };
    new MutationObserver(laidOut).observe(picture, {childList: true, subtree: true});
    new MutationObserver(changes => {
        const added = changes.flatMap(change => [...change.addedNodes]);
        turn.begun ||= added.some(node => node.classList?.contains("tlm-busy"));
        turn.ended = turn.begun && status.querySelector(".tlm-busy") === null;
    }).observe(status, {childList: true, subtree: true});
}"""
RESET = "() => { Object.assign(turn, {times: [], begun: false, coming: false, ended: false}); }"
# A picture has come, or the drawing has ended without a new one; a live run goes on meanwhile.
ANSWERED = "() => turn.times.length > 0 || (turn.ended && !turn.coming)"
AT_REST = "area => area.querySelector('.tlm-busy') === null"
SHOWN = """area => {
    const picture = [...area.querySelector(".widget-vbox").children].at(-1);
    const images = [...picture.querySelectorAll("img")].map(image => image.src);
    return picture.innerText + images.join();
}"""
FAILED = re.compile(r"^\w*(Error|Exception|Exit|Interrupt)\b.*: ")


@dataclass
class Control:
    """What came of moving one control of a dial."""

    name: str
    milliseconds: list[float] = field(default_factory=list)  # to the first picture of each move
    pictures: set[str] = field(default_factory=set)  # that it showed, for all their settings


def is_dial(cell) -> bool:
    return "dial" in tags(cell)


def is_stepper(cell) -> bool:
    return "stepper" in tags(cell)


def is_live(cell) -> bool:
    """It trains while the learner watches: its function is a generator."""
    return "yield " in cell.source


def first_line(cell) -> str:
    """What a folded cell shows, such as "Dial: momentum"."""
    return cell.source.strip().splitlines()[0].removeprefix("# ")


def lab_cells(lesson: Path, parameters: dict, flowers: str, *, whole: bool = False) -> list:
    """The code cells of a lesson that its dials and steppers need, with parameters of our own.

    ``whole``: every cell up to the last of them, as a learner runs it.
    """
    cells = [c for c in lesson_notebook(lesson, read_course()).cells if c.cell_type == "code"]
    ends = [n for n, cell in enumerate(cells) if is_dial(cell) or is_stepper(cell)]
    cells = cells[: ends[-1] + 1] if ends else []
    for cell in cells:
        if "parameters" in tags(cell):
            names = [name for name in parameters if f"\n{name} =" in f"\n{cell.source}"]
            cell.source += "".join(f"\n{name} = {parameters[name]!r}" for name in names)
    if not whole:
        whole_cells = [n for n, c in enumerate(cells) if c.source.startswith(STEPPED)]  # with notes
        wanted = {*ends, *whole_cells, *(n for n, c in enumerate(cells) if "setup" in tags(c))}
        for cell, source in zip(cells, sliced([c.source for c in cells], wanted), strict=True):
            cell.source = source
    first = new_code_cell(f'os.environ["COURSE_FLOWERS"] = "{flowers}"')
    return [first, *(cell for cell in cells if cell.source)]


@contextmanager
def lab(tab: Tab, lesson: Path, parameters: dict, flowers: str, **options) -> Iterator:
    """The page with a lesson that has run, its dials and its steppers, as (cell, output) pairs.

    ``parameters``, ``flowers``, ``options``: as `lab_cells` takes them.

    Raises AssertionError: a cell failed; at the end, as `opened`.
    """
    cells = lab_cells(lesson, parameters, flowers, **options)
    with opened(tab, lesson.stem, cells) as page:
        page.set_default_timeout(TIMEOUT * 1000)
        run(page, wait=False)
        page.wait_for_timeout(500)
        wait_until_done(page)
        page.set_default_timeout(30_000)
        failed = page.locator('[data-mime-type$="stderr"], [data-mime-type$="error"]')
        assert not failed.count(), failed.first.inner_text()
        pairs = [(cell, output_of(page, n)) for n, cell in enumerate(cells, start=1)]
        yield page, [p for p in pairs if is_dial(p[0])], [p for p in pairs if is_stepper(p[0])]


def turn_dial(page, area, moves: int) -> list[Control]:
    """Move each control of a dial, up to ``moves`` times, waiting for the picture every time.

    Raises AssertionError: an exception stands in place of the picture.
    """
    area.scroll_into_view_if_needed()
    box = area.locator(".widget-vbox").first
    box.wait_for()
    area.evaluate(WATCH)
    controls = []
    for number in range(box.locator("> *").count() - 2):
        part = box.locator("> *").nth(number)
        label = part.locator(".widget-label").first
        control = Control(label.inner_text() if label.count() else f"control {number}")
        control.pictures.add(area.evaluate(SHOWN))
        for _ in _moves(page, part, moves):
            page.wait_for_function(ANSWERED)
            page.wait_for_timeout(100)
            control.milliseconds += page.evaluate("turn.times")[:1]
            shown = area.evaluate(SHOWN)
            assert not FAILED.match(shown), f"{control.name}: {shown[:500]}"
            control.pictures.add(shown)
        controls.append(control)
    page.wait_for_function(AT_REST, arg=area.element_handle())  # a live run has come to its end
    return controls


def _moves(page, part, moves: int) -> Iterator[None]:
    """Make one move after another; each is answered before the next is made."""
    handles, choices, fields = (part.locator(s) for s in (".noUi-handle", "select", "input"))
    if handles.count():
        yield from _slide(page, handles.first, moves)
    elif choices.count():
        chosen = choices.first.evaluate("select => select.selectedIndex")
        count = choices.first.locator("option").count()
        for step in range(1, min(count, moves + 1)):
            page.evaluate(RESET)
            choices.first.select_option(index=(chosen + step) % count)
            yield
    elif fields.first.get_attribute("type") == "checkbox":
        for _ in range(min(moves, 2)):
            page.evaluate(RESET)
            fields.first.click()
            yield
    else:
        yield from _type(page, fields.first, moves)


def _slide(page, handle, moves: int) -> Iterator[None]:
    key, back = "ArrowRight", "ArrowLeft"
    handle.focus()
    for _ in range(moves):
        page.evaluate(RESET)
        before = handle.get_attribute("aria-valuetext")
        handle.press(key)
        if handle.get_attribute("aria-valuetext") == before:  # it stood at the end
            key, back = back, key
            handle.press(key)
        yield


def _type(page, box, moves: int) -> Iterator[None]:
    """Other numbers; or less of the text, another letter, and the text again."""
    text = box.input_value()
    number = box.get_attribute("type") == "number"
    least = 0.01 if box.get_attribute("step") == "any" else 1
    others = [f"{float(text) + n:g}" for n in (least, 10, 100)] if number else [text[:1], "e"]
    for other in [*others, text][:moves]:
        page.evaluate(RESET)
        box.fill(other)
        box.press("Enter")
        yield


def step_through(area) -> list[str]:
    """Step a stepper to its end by its button; what its slider told of each step.

    Raises AssertionError: the code shows another line than the slider tells, or none.
    """
    area.scroll_into_view_if_needed()
    stepper = area.locator(".tlm-stepper")
    stepper.wait_for()
    forward = stepper.get_by_role("button", name="Next step")
    slider = stepper.get_by_role("slider", name="Step")
    told = [slider.get_attribute("aria-valuetext")]
    while forward.get_attribute("aria-disabled") != "true":
        forward.click()
        told.append(slider.get_attribute("aria-valuetext"))
        assert stepper.locator("[aria-current=step]").count() == 1, told[-1]
    return told


def show_step(area, place: int) -> None:
    """Bring a stepper to one of its steps, counted from 0."""
    slider = area.locator(".tlm-stepper").get_by_role("slider", name="Step")
    slider.focus()
    slider.press("Home")
    for _ in range(place):
        slider.press("ArrowRight")
