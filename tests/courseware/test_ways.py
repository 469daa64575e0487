"""The ten ways: every place that serves one is listed, counted here from the plain text."""

import importlib.metadata
import json
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
import yaml

from courseware import ways as module
from courseware.ways import WAYS, Place, ways, ways_of
from tools.builder import build, places, quiz_cells
from tools.builder.lesson import ROOT, Course
from tools.builder.notebook import lesson_notebook

LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
QUESTIONS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))["questions"]
    for path in (ROOT / "data/quizzes").glob("*.yaml")
}
BY_ID = {question["id"]: question for bank in QUESTIONS.values() for question in bank}
SPECIAL = {"bootstrap", "parameters", "setup", "place", "exercise", "self-check"}
SPECIAL |= {"quiz", "dial", "stepper"}


def blocks(lesson):
    """(section, first line, text) of every cell, by the text alone; a prose cell is cut up by its
    headings."""
    section = ""
    for cell in re.split(r"(?m)^(?=# %%)", lesson.read_text(encoding="utf-8"))[1:]:
        first, _, text = cell.partition("\n")
        for part in re.split(r"(?m)^(?=# ## )", text) if "[markdown]" in first else [text]:
            heading = re.match(r"# ## (.+)", part)
            section = heading[1].strip() if heading else section
            yield section, set(re.findall(r'"([a-z-]+)"', first.partition("alt=")[0])), first, part


def asked(text):
    """The questions that a quiz cell shows, and whether it is a lesson's closing quiz."""
    name = re.search(r'^quiz\("([\w-]+)"\)', text, re.MULTILINE)
    if not name:
        return [], False
    if name[1] in QUESTIONS:
        return [q for q in QUESTIONS[name[1]] if not q.get("inline")], True
    return [BY_ID[name[1]]], False


def recap_cards(text):
    name = re.search(r'^recap\("(\w+)"\)', text, re.MULTILINE)
    return sum(not q.get("inline") for q in QUESTIONS[name[1]]) if name else 0


def exercises(text):
    """Functions in a self-check cell whose file has hints."""
    names = re.findall(r'check\("(\w+)"', text)
    return sum("\nhints:\n" in (ROOT / f"data/exercises/{n}.yaml").read_text() for n in names)


COUNT = {
    "read": lambda tags, first, text: "[markdown]" not in first and not tags & SPECIAL,
    "step": lambda tags, first, text: "stepper" in tags,
    "dial": lambda tags, first, text: "dial" in tags,
    "predict": lambda tags, first, text: (
        len(re.findall(r"(?m)^# \*\*Predict:\*\*", text))
        if "[markdown]" in first
        else sum(q["type"] == "predict" for q in asked(text)[0])
    ),
    "check": lambda tags, first, text: 0 if asked(text)[1] else len(asked(text)[0]),
    "practise": lambda tags, first, text: (
        sum(q["type"] in ("numeric", "order") for q in asked(text)[0])
        + ("self-check" in tags and exercises(text))
    ),
    "bug": lambda tags, first, text: (
        ("bug" in tags) + sum(q["type"] == "bug" for q in asked(text)[0])
    ),
    "write": lambda tags, first, text: "exercise" in tags,
    "test": lambda tags, first, text: (
        10 * bool(re.search(r"(?m)^final_quiz\(", text))
        + (len(asked(text)[0]) if asked(text)[1] else 0)
    ),
    "recap": lambda tags, first, text: recap_cards(text),
}


@pytest.fixture(scope="module")
def index():
    return places.learning_places(LESSONS)


def test_there_are_ten_ways():
    assert [way.key for way in WAYS] == [
        *("read", "step", "predict", "dial", "check"),
        *("practise", "bug", "write", "test", "recap"),
    ]
    assert set(COUNT) == {way.key for way in WAYS}


@pytest.mark.parametrize("way", [way.key for way in WAYS])
def test_a_way_has_exactly_the_places_that_the_sources_hold(index, way):
    expected = Counter()
    for lesson in LESSONS:
        for section, tags, first, text in blocks(lesson):
            expected[lesson.stem, section] += int(COUNT[way](tags, first, text))
    found = {(lesson, section): count for lesson, section, count in index["ways"].get(way, [])}
    assert found == {place: count for place, count in expected.items() if count}


@pytest.mark.parametrize("way", [way.key for way in WAYS])
def test_no_way_is_empty(index, way):
    assert index["ways"].get(way)


def test_the_stored_index_is_what_the_sources_say(index):
    """If this fails, a lesson or the bank has changed: `python3 course.py build`."""
    assert json.loads(places.FILE.read_text(encoding="utf-8")) == index
    assert build.check_places(LESSONS) == []
    shown = ways()
    assert shown.lessons == index["lessons"]
    assert shown.places["recap"] == [Place(*place) for place in index["ways"]["recap"]]


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.folded, self.open = [], 0, []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.folded += tag == "details"
        self.links += [value for key, value in attrs if key == "href"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_as_html_each_way_unfolds_to_links_to_headings_there_are(index):
    shown = Links(ways_of(index)._repr_html_())
    assert shown.folded == 10
    assert len(shown.links) == sum(len(found) for found in index["ways"].values())
    names = {}
    for lesson in LESSONS:
        headings = re.findall(r"(?m)^# ## (.+\S)", lesson.read_text(encoding="utf-8"))
        names[f"{lesson.stem}.ipynb"] = {re.sub("[`*]", "", h).replace(" ", "-") for h in headings}
    for link in shown.links:
        notebook, _, name = link.partition("#")
        assert notebook in names and (not name or name in names[notebook]), link


INDEX = {
    "lessons": {"02_freezing": "2 · Freezing", "03_head_swap": "3 · <Heads>?"},
    "ways": {
        "dial": [["02_freezing", "", 1], ["02_freezing", "Why `a < b`?", 2]],
        "test": [["02_freezing", "Test yourself", 8], ["03_head_swap", "Test yourself", 1]],
    },
}


def test_as_text_and_html_of_a_small_index():
    shown = ways_of(INDEX)
    text, page = str(shown), shown._repr_html_()
    assert repr(shown) == text
    assert " 4  Turn the dials: 3 dials in 1 lesson\n" in text
    assert "      2 · Freezing: its beginning (1); Why a < b? (2)\n" in text
    assert " 9  Test yourself: 9 questions in 2 lessons\n" in text
    assert "<b>4 · Turn the dials</b>: 3 dials in 1 lesson</summary>" in page
    assert '<a href="02_freezing.ipynb">its beginning</a> · ' in page
    assert '<a href="02_freezing.ipynb#Why-a-&lt;-b?">Why a &lt; b?</a> (2)' in page
    assert "      3 · <Heads>? Test yourself (1)" in text
    assert "3 · &lt;Heads&gt;? <a " in page and "var(" not in page


@pytest.mark.parametrize(
    ("url", "base"),
    [
        (
            "https://github.com/someone/course/archive/v1.0.zip",
            "https://colab.research.google.com/github/someone/course/blob/v1.0/notebooks/",
        ),
        ("file:///here/course", ""),
    ],
)
def test_in_colab_the_links_name_the_repository_that_was_installed(monkeypatch, url, base):
    told = SimpleNamespace(read_text=lambda name: json.dumps({"url": url}))
    monkeypatch.setattr(module.importlib.metadata, "distribution", lambda name: told)
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    assert f'href="{base}04_feature_extraction.ipynb' in ways()._repr_html_()


def test_in_colab_without_an_installed_course_the_links_are_plain(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module.importlib.metadata, "distribution", missing)
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    assert 'href="04_feature_extraction.ipynb' in ways()._repr_html_()


# --- the build ---


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Lesson 0 with the cell of the ways, and a lesson that the cell speaks of."""
    for name, body in {
        "00_start": '# %% tags=["quiz"]\nfrom courseware.ways import ways\n\nways()\n',
        "01_topic": '# %% [markdown]\n# ## One\n\n# %% tags=["dial"] alt="Bars"\n# Dial: x\n1\n',
    }.items():
        head = f"# %% [markdown]\n# # {int(name[:2])} · Title\n# <!-- badges -->\n\n"
        head += '# %% tags=["bootstrap"]\n# bootstrap\n\n# %% tags=["parameters"]\nN = 1\n\n'
        (tmp_path / f"{name}.py").write_text(head + body, encoding="utf-8")
    monkeypatch.setattr(quiz_cells, "LESSONS", tmp_path)
    return tmp_path


def test_a_changed_heading_executes_nothing_and_is_noticed(small):
    course, lesson = Course("someone/course", "main"), small / "00_start.py"
    first = lesson_notebook(lesson, course).cells[3]
    assert first.source.startswith("# Ten ways to learn\n")
    build.build(lesson, small, course)
    stored = build.read(small / "00_start.ipynb").cells[3].outputs[0].data["text/html"]
    assert '<a href="01_topic.ipynb#One">One</a>' in stored
    other = small / "01_topic.py"
    other.write_text(other.read_text(encoding="utf-8").replace("## One", "## Two"))
    (problem,) = build.check([lesson], small, course)
    assert "the question bank or the lessons say something else" in problem
    assert build.build(lesson, small, course) == "unchanged, not executed"
    assert "#Two" in (small / "00_start.ipynb").read_text(encoding="utf-8")
    assert build.check([lesson], small, course) == []


def test_a_stale_index_is_noticed(small):
    lessons, file = sorted(small.glob("*.py")), small / "ways.json"
    assert "ways.json is not what" in build.check_places(lessons, file)[0]
    file.write_text(places.as_text(places.learning_places(lessons)), encoding="utf-8")
    assert build.check_places(lessons, file) == []
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "lessons": {"00_start": "0 · Title", "01_topic": "1 · Title"},
        "ways": {"dial": [["01_topic", "One", 1]]},
    }


@pytest.mark.parametrize(
    "counts, told",
    [([1], "1 dial in 1 lesson"), ([2, 1], "3 dials in 2 lessons"), ([], "0 dials in 0 lessons")],
)
def test_one_is_not_many(counts, told):
    places = [Place(f"0{n}_lesson", "", count) for n, count in enumerate(counts)]
    (dial,) = (way for way in module.WAYS if way.key == "dial")
    assert module.Ways({}, {"dial": places}).told(dial) == told
