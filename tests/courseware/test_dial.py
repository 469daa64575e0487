"""A control that moves draws again, only what was asked last, and never loses an error."""

import matplotlib

matplotlib.use("agg")

import asyncio
import base64
import gc
import io
import re
import threading
import time
import weakref

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from courseware.dials import as_html, dial, explore
from courseware.dials.dial import PATIENCE, WIDGET, Dial
from courseware.dials.picture import as_bundle

SOON = 0.2  # seconds in which a small picture is surely drawn


@pytest.fixture(autouse=True)
def no_loop_of_others():
    """In the process of the browser tests Playwright's loop counts as running; not for these."""
    theirs = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(theirs)


def picture(dial) -> str:
    return dial.box.children[-1].value


def words(dial) -> str:
    before, between, after = re.split("</?pre>", picture(dial))
    return between


def busy(dial) -> bool:
    return "at work" in dial.box.children[-2].value


async def at_rest(dial) -> None:
    """Until the newest setting is drawn, on a busy machine as well; ten seconds at most."""
    await asyncio.sleep(SOON)
    for _ in range(1000):
        if not busy(dial):
            return
        await asyncio.sleep(0.01)


def in_a_kernel(scene):
    """Play a scene where a loop runs, as it does in a kernel."""
    asyncio.run(scene())


# --- plain Python: no loop ---


def test_the_picture_follows_the_controls():
    slider, choice = widgets.IntSlider(2), widgets.Dropdown(options=["a", "b"])
    dial = Dial(lambda n, letter: letter * n, "", {"n": slider, "letter": choice})
    assert dial.box.children[:2] == (slider, choice)
    assert words(dial) == "aa"
    slider.value, choice.value = 3, "b"
    assert words(dial) == "bbb"


def test_an_error_is_shown_and_the_next_value_works():
    slider = widgets.IntSlider(1)

    def draw(n):
        plt.subplots()
        return 6 // n

    dial = Dial(draw, "", {"n": slider})
    plt.close("all")
    slider.value = 0
    assert "ZeroDivisionError" in words(dial)
    assert not plt.get_fignums()  # the half-drawn one does not come out below another cell
    slider.value = 3
    assert words(dial) == "2"
    plt.close("all")


def test_a_generator_runs_to_its_end():
    slider = widgets.IntSlider(3)

    def count(n):
        yield from range(n)

    dial = Dial(count, "", {"n": slider})
    assert words(dial) == "2" and dial.static["text/plain"] == "2"
    slider.value = 5
    assert words(dial) == "4"


# --- in a kernel ---


def test_only_the_newest_setting_is_drawn():
    drawn = []

    async def scene():
        slider = widgets.IntSlider(0)
        Dial(lambda n: drawn.append(n), "", {"n": slider})
        for slider.value in range(1, 9):  # faster than QUIET
            pass
        await asyncio.sleep(SOON)

    in_a_kernel(scene)
    assert drawn == [0, 8]


def test_a_slider_that_is_dragged_on_and_on_takes_its_picture_along():
    drawn = []

    async def scene():
        slider = widgets.IntSlider(0, max=1000)
        Dial(lambda n: drawn.append(n), "", {"n": slider})
        end = time.monotonic() + 4 * PATIENCE
        while time.monotonic() < end:
            slider.value += 1
            await asyncio.sleep(0.01)
        assert 2 <= len(drawn) <= 6  # the first, and one each PATIENCE

    in_a_kernel(scene)


def test_a_newer_setting_abandons_a_run_and_closes_it():
    story = []

    def train(rate):
        try:
            for step in range(1000):
                story.append((rate, step))
                if rate == "first":
                    return
                yield f"{rate} {step}"
        finally:
            story.append(f"closed {rate}")

    async def scene():
        choice = widgets.Dropdown(options=["first", "slow", "new"])
        dial = Dial(train, "", {"rate": choice})
        choice.value = "slow"
        await asyncio.sleep(SOON)
        assert busy(dial) and words(dial).startswith("slow")
        choice.value = "new"
        await asyncio.sleep(SOON)
        assert words(dial).startswith("new") and busy(dial)
        closed = story.index("closed slow")
        assert not [entry for entry in story[closed:] if entry[0] == "slow"]
        assert 1 < len([entry for entry in story if entry[0] == "slow"]) < 900
        choice.value = "first"
        await asyncio.sleep(SOON)
        assert "closed new" in story and not busy(dial)

    in_a_kernel(scene)


def test_a_run_may_pause_for_a_change_with_nothing_new_to_show():
    steps = []

    def train(rate):
        yield f"began with {rate}"
        for step in range(2000 if rate == 1 else 3):
            steps.append((rate, step))
            time.sleep(0.001)
            yield None
        if rate == 2:
            yield f"ended with {rate}"

    async def scene():
        slider = widgets.IntSlider(0)
        dial = Dial(train, "", {"rate": slider})
        assert words(dial) == dial.static["text/plain"] == "began with 0"
        slider.value = 1
        await asyncio.sleep(SOON)
        assert words(dial) == "began with 1" and busy(dial)
        slider.value = 2
        await at_rest(dial)
        assert words(dial) == "ended with 2" and not busy(dial)

    in_a_kernel(scene)
    assert (1, 2) in steps and (1, 1999) not in steps


def test_a_function_that_returns_nothing_says_so():
    assert words(Dial(lambda n: None, "", {"n": widgets.IntSlider(0)})) == "None"


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_an_abandoned_run_that_fails_while_it_is_closed_harms_nobody():
    def stubborn(n):
        while True:
            try:
                yield str(n)
            except GeneratorExit:
                raise ValueError("closed while at work") from None

    async def scene():
        slider = widgets.IntSlider(1)
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        dial = Dial(lambda n: n if n == 1 else stubborn(n), "", {"n": slider})
        for slider.value in (2, 1):
            await asyncio.sleep(SOON)
        assert words(dial) == "1" and not complaints and not busy(dial)

    in_a_kernel(scene)


def test_an_error_in_the_middle_of_a_run_is_shown():
    def fails(n):
        yield "fine"
        if n:
            raise ValueError("the loss is not a number")

    async def scene():
        slider = widgets.IntSlider(0)
        dial = Dial(fails, "", {"n": slider})
        slider.value = 1
        await asyncio.sleep(SOON)
        assert words(dial) == "ValueError: the loss is not a number" and not busy(dial)

    in_a_kernel(scene)


def test_at_work_is_told_before_the_drawing_starts():
    seen = []

    async def scene():
        slider = widgets.IntSlider(0)
        dial = Dial(lambda n: seen.append(busy(dial)) if n else "", "", {"n": slider})
        slider.value = 1
        await asyncio.sleep(SOON)
        assert seen == [True] and not busy(dial)

    in_a_kernel(scene)


def test_a_change_from_another_thread_is_drawn_in_the_first():
    threads = []

    async def scene():
        slider = widgets.IntSlider(0)
        Dial(lambda n: threads.append(threading.current_thread()), "", {"n": slider})
        other = threading.Thread(target=slider.set_trait, args=("value", 1))
        other.start()
        other.join()
        await asyncio.sleep(SOON)

    in_a_kernel(scene)
    assert threads == [threading.main_thread()] * 2


# --- what is displayed ---


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr(dial, "display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def test_a_figure_stands_beside_the_widget_for_a_notebook_without_a_kernel(shown):
    def draw(n):
        return plt.figure()

    explore(draw, alt="An empty figure", n=widgets.IntSlider(2))
    (bundle,) = shown
    assert bundle.keys() == {WIDGET, "image/png", "text/plain"}
    assert bundle["text/plain"] == "An empty figure (n 2)"
    assert bundle[WIDGET]["model_id"]


def test_a_table_stands_there_as_html(shown):
    explore(lambda n: pd.DataFrame({"x": [n]}), n=widgets.IntSlider(2))
    assert shown[0].keys() == {WIDGET, "text/html", "text/plain"}


def test_ipython_does_not_notice_a_figure_before_it_is_drawn():
    """Else it shows and closes what it finds, from the thread in which messages come in."""
    slider, seen = widgets.IntSlider(2), []

    def live(n):
        for _ in range(n):
            plt.subplots()
            seen.append(matplotlib.is_interactive())
            yield plt.gcf()
        raise ValueError("at last")

    with plt.ion():
        dial = Dial(live, "", {"n": slider})
        assert seen == [False, False] and "at last" in words(dial)
        assert matplotlib.is_interactive() and not plt.get_fignums()


@pytest.mark.parametrize("collects", [True, False])
def test_the_garbage_collector_waits_for_the_picture_and_then_is_as_it_was(collects):
    asked = []

    def draw(n):
        asked.append(gc.isenabled())
        if n == 7:
            raise ValueError("at seven")
        return "a picture"

    async def scene():
        slider = widgets.IntSlider(0)
        dial = Dial(draw, "", {"n": slider})
        for slider.value in (7, 8):
            await at_rest(dial)
            assert gc.isenabled() is collects

    try:
        gc.enable() if collects else gc.disable()
        in_a_kernel(scene)
        assert asked[1:] == [False, False]
    finally:
        gc.enable()


def test_an_interrupt_leaves_the_garbage_collector_on(monkeypatch):
    def interrupted(generation):
        raise KeyboardInterrupt

    monkeypatch.setattr(gc, "collect", interrupted)  # where it takes longest
    with pytest.raises(KeyboardInterrupt), dial._garbage_later():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_figures_that_were_shown_do_not_stay_in_memory():
    made = weakref.WeakSet()

    def draw(n):
        for _ in range(3):
            figure = plt.figure(layout="constrained")
            made.add(figure)
            yield figure

    async def scene():
        slider = widgets.IntSlider(0)
        dial = Dial(draw, "", {"n": slider})
        gc.collect()
        gc.disable()  # so nobody but the dial sees to it
        for slider.value in (1, 2):
            await at_rest(dial)
        assert not made

    try:
        in_a_kernel(scene)
    finally:
        gc.enable()


def test_a_figure_may_come_twice_and_need_not_be_of_pyplot():
    figure, again = plt.figure(layout="constrained"), Figure(layout="constrained")
    assert as_bundle(figure) == as_bundle(figure) == as_bundle(again)


def test_alt_text_tells_the_settings():
    slider = widgets.IntSlider(2)
    dial = Dial(lambda rate: plt.figure(), 'A "loss" & more', {"rate": slider})
    slider.value = 7
    assert 'alt="A &quot;loss&quot; &amp; more (rate 7)"' in picture(dial)


def test_a_control_without_a_description_gets_its_name():
    own = widgets.IntSlider(description="mine", style={"description_width": "9em"})
    controls = {"batch_size": widgets.IntSlider(), "b": own}
    Dial(lambda **_: "", "", controls)
    assert [c.description for c in controls.values()] == ["batch size", "mine"]
    assert [c.style.description_width for c in controls.values()] == ["11ch", "9em"]


def test_a_control_without_a_value_is_refused(shown):
    with pytest.raises(TypeError, match="layer is .*expected a widget"):
        explore(lambda layer: layer, layer=widgets.HBox())


# --- pictures ---


@pytest.mark.parametrize("layout", ["constrained", None])
def test_figures_become_pictures_and_are_closed(layout):
    figure, ax = plt.subplots(figsize=(3, 2), dpi=100, layout=layout)
    ax.plot([0, 1])
    bundle = as_bundle(figure, "a line")
    assert not plt.fignum_exists(figure.number)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).convert("L"))
    assert pixels[0].min() == 255 and pixels.min() < 100  # on white, in light and dark
    assert layout is None or pixels.shape == (200, 300)


def test_pictures_tables_and_text_as_html():
    assert as_html(plt.figure(), "empty").startswith('<img alt="empty"')
    table = pd.DataFrame({"x": [1]})
    assert table._repr_html_() in as_html(table)
    assert "<pre>&lt;script&gt;</pre>" in as_html("<script>")
