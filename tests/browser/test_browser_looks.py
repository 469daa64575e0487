"""How the quiz looks in every state: nothing sticks out, all can be read, nothing moves."""

import json

import pytest
from axe import RUN, VERSION, axe_source
from notebook_page import THEMES, set_theme, show_at_once, sticks_out
from states import NAMES, all_states, bring_about

# axe does not look at these.
PLACEHOLDERS = """() => [...document.querySelectorAll(".tlm-quiz [placeholder]")].map(field => {
    const {color, opacity} = getComputedStyle(field, "::placeholder");
    return [color === getComputedStyle(field).color, Number(opacity)];
})"""
MOVES = """() => [...document.querySelectorAll(".tlm-quiz *")].filter(part => {
    const style = getComputedStyle(part);
    return style.animationName !== "none" || style.transitionDuration !== "0s";
}).length"""

NO_TEXT = ("only non-text characters", "too short to determine if it is actual text content")


@pytest.fixture(scope="module")
def page(tab):
    with all_states(tab, "looks") as page:
        bring_about(page)
        yield page


@pytest.fixture(scope="module")
def axe(page):
    source = axe_source()
    if source is None:
        pytest.skip(
            f"axe-core is not here: install npm, or let COURSE_AXE name axe.min.js ({VERSION})"
        )
    page.evaluate(source)


@pytest.fixture(params=[(theme, width) for theme in THEMES for width in (1300, 700)], ids=str)
def view(page, request):
    theme, width = request.param
    # As high as everything: axe leaves out what is scrolled away.
    show_at_once(page, ".tlm-quiz", width, 20_000)
    if page.get_attribute("body", "data-jp-theme-name") != THEMES[theme]:
        set_theme(page, theme)
    return page


def test_nothing_sticks_out(view):
    assert view.locator(".tlm-quiz").count() == len(NAMES)
    assert view.evaluate(sticks_out(".tlm-quiz")) == []


def test_axe_finds_nothing_serious(view, axe):
    found = view.evaluate(RUN)
    serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(serious, indent=2, ensure_ascii=False)
    # A contrast that it could not judge is no pass. Single letters and arrows are no text to it.
    contrasts = [v["nodes"] for v in found["incomplete"] if v["id"] == "color-contrast"]
    undecided = [node for nodes in contrasts for node in nodes if not node.endswith(NO_TEXT)]
    assert not undecided, "\n".join(undecided)
    assert found["passes"]["color-contrast"] > 300  # it saw all of the states


def test_the_words_in_an_empty_field_can_be_read(view):
    fields = view.evaluate(PLACEHOLDERS)
    assert len(fields) > 5
    # 0.7 of the text's own colour is 8.5:1 on white and 9.5:1 on JupyterLab's dark ground.
    assert all(same and opacity >= 0.7 for same, opacity in fields), fields


def test_nothing_moves_for_who_wants_no_motion(page):
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(MOVES) > 0  # else this finds nothing
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(MOVES) == 0
