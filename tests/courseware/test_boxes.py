"""One look for all boxes: their colours stand out, their styles survive, what they hold is safe."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from course_utils.store.messages import Notice
from courseware import boxes
from courseware.boxes import BAD, GOOD, UNKNOWN, WARNING
from courseware.claims import Claim
from courseware.doctor import Check, Panel
from courseware.exercises.report import Shown

HERE = Path(boxes.__file__).parent
COLOURS = {boxes.GREEN, boxes.RED, boxes.GREY, boxes.BLUE, boxes.AMBER}
BOXES = [
    boxes.frame(boxes.checks([(GOOD, "ok", "<name>", "value"), (BAD, "bad", "Poor", "<i>x</i>")])),
    boxes.marked(WARNING, "body") + boxes.hanging("✔ <all>"),
    boxes.folded("more", boxes.items(["one", "two"]) + boxes.output("<out>")),
    boxes.note(boxes.code("<b>code</b>")) + boxes.image("data:,", 'a "picture" <here>'),
    boxes.table([("what", 1), ("both", 2)], [["name", "1", boxes.bar([(0.5, 1), (0.25, 0.3)])]]),
    Notice("<notice>")._repr_html_(),
    Claim("<claim>", "holds", "<figure>")._repr_mimebundle_()["text/html"],
    Panel([Check("<row>", "warn", "value", "mend")])._repr_html_(),
    Shown("<head>", [("note", "<n>"), ("code", "x < 1"), ("line", "✔ <l>")])._repr_html_(),
]


def luminance(colour):
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_measured_as_wcag_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("background", ["#ffffff", "#111111"])
@pytest.mark.parametrize("colour", sorted(COLOURS))
def test_colours_stand_out_in_both_themes(colour, background):
    """WCAG 2.1, 1.4.11: a graphical sign needs a contrast of 3:1."""
    assert contrast(colour, background) >= 3


def test_each_sign_has_a_mark_and_a_colour_of_its_own():
    signs = [GOOD, BAD, WARNING, UNKNOWN]
    assert len({s.mark for s in signs}) == len({s.colour for s in signs}) == len(signs)
    assert {sign.colour for sign in signs} <= COLOURS


@pytest.mark.parametrize("page", BOXES)
def test_a_box_closes_what_it_opens_and_lets_no_text_in_as_tags(page):
    known = set("div b details summary ul li pre table thead tbody tr th td span i".split())
    opened = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tag != "img" and opened.append(tag)
    parser.handle_endtag = lambda tag: opened.pop() == tag or pytest.fail(f"stray {tag}")
    parser.feed(page)
    parser.close()
    assert opened == []
    assert set(re.findall(r"<(\w+)", page)) <= known | {"img"}


@pytest.mark.parametrize("page", BOXES)
def test_styles_survive_a_sanitiser(page):
    """JupyterLab strips a whole style that has a variable; GitHub has no style sheets of ours."""
    assert "var(" not in page and "class=" not in page and "<style" not in page


def test_text_has_a_colour_of_its_own_only_on_a_ground_of_its_own():
    for style in re.findall(r'style="([^"]*)"', "".join(BOXES[:-1])):
        for colour in re.findall(r"(?<![\w-])color:(#\w+)", style):
            assert colour in COLOURS or "background-color" in style


def test_the_parts_of_a_bar_are_its_shares():
    widths = re.findall(r"border-left:([\d.]+)em", boxes.bar([(0.5, 1), (0, 1), (0.25, 0.3)], 6))
    assert widths == ["3.00", "1.50"]


def test_no_other_module_has_a_style_or_a_colour_of_its_own():
    # dial: words that lie over a picture; dom.mjs and the style sheets are the browser's.
    own = {
        file.relative_to(HERE).as_posix()
        for file in HERE.rglob("*.py")
        if re.search(r"\bstyle=\\?[\"']|[\"':]#[0-9a-f]{3,8}\b", file.read_text(encoding="utf-8"))
    }
    assert own == {"boxes.py", "dials/dial.py"}
