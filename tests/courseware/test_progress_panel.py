"""The progress panel: what is counted, how it reads as text and as HTML, and what goes along."""

import re
import sys
from collections import namedtuple
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from courseware import boxes
from courseware.bank import questions
from courseware.progress import panel, records
from courseware.progress.overview import overview
from courseware.progress.panel import Panel
from courseware.progress.records import ProgressError
from courseware.progress.store import Progress

Bank = namedtuple("Bank", "lesson title questions")
Question = namedtuple("Question", "id concept section")
Exercise = namedtuple("Exercise", "name lesson title")

BANKS = [
    Bank(
        "02_freezing",
        "Freezing",
        [
            Question("02-counting", "freezing", "One flag on every tensor"),
            Question("02-attribute", "freezing", "The line that freezes nothing"),
        ],
    ),
    Bank(
        "04_feature_extraction",
        "Features & <probes>",
        [
            Question("04-caching", "caching", "Why `no_grad` *and* `eval`?"),
            Question("04-epochs", "caching", "Why `no_grad` *and* `eval`?"),
            Question("04-knn", "probes", "Three probes"),
            Question("04-drift", "freezing", "Three things wrong"),
        ],
    ),
]
EXERCISES = {
    "freeze_backbone": Exercise("freeze_backbone", "02_freezing", "Freeze a backbone"),
    "fix_optimizer": Exercise("fix_optimizer", "02_freezing", "Fix the optimizer"),
    "replace_head": Exercise("replace_head", "03_head_swap", "Replace the head"),
}


@pytest.fixture
def store(tmp_path):
    return Progress(tmp_path / "progress.json")


@pytest.fixture
def learned(store):
    """Someone's progress: right, half right, wrong, wrong after right, only a hint."""
    store.answer("02-counting", status="wrong", score=0, hints=1)
    store.answer("02-counting", status="correct", score=1, hints=2)
    store.answer("04-caching", status="partial", score=0.5)
    store.answer("04-epochs", status="correct", score=1)
    store.answer("04-epochs", status="wrong", score=0)
    store.answer("04-drift", status="wrong", score=0)
    store.hint("04-knn", 1)
    store.answer("77-gone", status="wrong", score=0)
    store.exercise("freeze_backbone", tried=True, solved=True, hints=1)
    store.exercise("fix_optimizer", tried=True)
    store.exercise("gone_too", tried=True, solved=True)
    return store


def counted(store):
    return overview(BANKS, EXERCISES, store.read())


def test_counts_by_lesson(learned):
    counts = {
        row.title: (row.answered, row.right, row.total, row.solved, row.exercises, row.hints)
        for row in counted(learned).lessons
    }
    assert counts == {
        "2 · Freezing": (1, 1, 2, 1, 2, 3),
        "3 · Head swap": (0, 0, 0, 0, 1, 0),
        "4 · Features & <probes>": (3, 0, 4, 0, 0, 1),
    }
    shown = counted(learned)
    assert (shown.total("right"), shown.total("total"), shown.total("solved")) == (1, 6, 1)


def test_counts_by_concept_over_lessons(learned):
    counts = {row.title: (row.answered, row.right, row.total) for row in counted(learned).concepts}
    assert counts == {"caching": (2, 0, 2), "freezing": (2, 1, 3), "probes": (0, 0, 1)}


def test_what_to_go_over_again_is_what_was_not_right_the_last_time(learned):
    places = [(a.lesson.key, a.section, a.what) for a in counted(learned).again]
    assert places == [
        ("02_freezing", "", ("exercise fix_optimizer",)),
        ("04_feature_extraction", "Why `no_grad` *and* `eval`?", ("caching",)),
        ("04_feature_extraction", "Three things wrong", ("freezing",)),
    ]
    for question in ("04-caching", "04-epochs", "04-drift"):
        learned.answer(question, status="correct", score=1)
    assert [a.what for a in counted(learned).again] == [("exercise fix_optimizer",)]


def test_the_last_final_quiz(learned):
    assert counted(learned).final is None
    learned.final(["02-counting"], {"02-counting": 1})
    learned.final(["02-counting", "04-knn", "04-drift"], {"02-counting": 1, "04-knn": 0.5})
    assert counted(learned).final == (records.now()[:10], 1, 3)
    assert "1 of 3 right." in str(Panel(counted(learned), "here"))


def test_before_the_first_answer_it_invites_and_says_where_it_is_kept(store):
    shown = str(Panel(counted(store), "Kept in progress.json."))
    assert "6 questions and 3 exercises wait for you" in shown
    assert "Kept in progress.json." in shown
    assert "0 of 2 right" in shown and "Go over again" not in shown and "▲" not in shown
    assert "█" not in shown and "▒" not in shown


def test_text(learned):
    lines = str(Panel(counted(learned), "/home/anna/progress.json")).splitlines()
    assert "1 of 6 questions right, 1 of 3 exercises solved, 4 hints used." in lines
    assert "  2 · Freezing             ██████······  1 of 2 right; 1 of 2 solved; 3 hints" in lines
    assert "  4 · Features & <probes>  ▒▒▒▒▒▒▒▒▒···  0 of 4 right, 3 not yet; 1 hint" in lines
    assert "  caching   ▒▒▒▒▒▒▒▒▒▒▒▒  0 of 2 right, 2 not yet" in lines
    assert "  4 · Features & <probes>, “Why no_grad and eval?”: caching" in lines
    assert "  2 · Freezing: exercise fix_optimizer" in lines
    assert "/home/anna/progress.json" in "\n".join(lines)
    assert repr(Panel(counted(learned), "x")) == str(Panel(counted(learned), "x"))


def test_a_lesson_of_exercises_only_has_no_bar(learned):
    lines = str(Panel(counted(learned), "x")).splitlines()
    assert f"  3 · Head swap{' ' * 26}0 of 1 solved" in lines


def test_a_warning_is_shown_in_both(store):
    shown = Panel(counted(store), "here", "Nothing is saved, because of <that>.")
    assert "▲ Nothing is saved, because of <that>." in str(shown)
    assert "▲ Nothing is saved, because of &lt;that&gt;." in shown._repr_html_()


class Reader(HTMLParser):
    """Checks that tags match and collects text, links, styles and the names of attributes."""

    def __init__(self, source):
        super().__init__()
        self.open, self.text, self.links, self.styles, self.names = [], "", [], [], set()
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.names |= {tag} | {name for name, _ in attrs}
        self.links += [value for name, value in attrs if name == "href"]
        self.styles += [value for name, value in attrs if name == "style"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_html_says_in_words_what_the_bars_show(learned):
    page = Reader(Panel(counted(learned), "here")._repr_html_())
    for words in ("Features & <probes>", "0 of 4 right, 3 not yet", "1 of 2", "here"):
        assert words in page.text
    assert "█" not in page.text, "a screen reader would spell the bar out"
    assert {"table", "th", "scope", "details", "summary"} <= page.names


def test_html_links_to_the_lesson_and_its_heading(learned):
    page = Reader(Panel(counted(learned), "here")._repr_html_())
    assert "04_feature_extraction.ipynb" in page.links
    assert "04_feature_extraction.ipynb#Why-no_grad-and-eval?" in page.links
    assert "02_freezing.ipynb" in page.links


@pytest.mark.parametrize("state", ["store", "learned"])
def test_html_survives_an_untrusted_notebook_in_either_theme(state, request):
    source = Panel(counted(request.getfixturevalue(state)), "here")._repr_html_()
    page = Reader(source)
    assert not page.names & {"script", "class", "id", "onclick"}
    assert "<style" not in source and "var(" not in source
    assert "color" not in source.lower(), "the text's own, which the theme chooses"
    assert set(re.findall("#[0-9a-f]{3,6}", ";".join(page.styles))) == {boxes.GREY}


@pytest.fixture
def course(monkeypatch, tmp_path):
    """The course with the banks and exercises above, and a file of the learner's own."""
    exercises = SimpleNamespace(load_exercises=lambda: EXERCISES)
    monkeypatch.setitem(sys.modules, "courseware.bank.exercises", exercises)
    monkeypatch.setattr(questions, "load_banks", lambda: BANKS)
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "mine" / "anna.json"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_panel_of_a_notebook_names_no_folder(course):
    assert "6 questions" in str(panel.progress())
    panel.my_progress().answer("04-knn", status="correct", score=1)
    shown = panel.progress()
    assert "1 of 6 questions right" in str(shown) and "Kept in anna.json on this" in str(shown)
    assert str(course) not in str(shown) + shown._repr_html_()


def test_the_panel_counts_what_could_not_be_saved(course):
    (course / "mine").write_text("a file where the folder should be")
    panel.my_progress().answer("04-knn", status="correct", score=1)
    shown = panel.progress()
    assert "1 of 6 questions right" in str(shown)
    assert "cannot be saved" in str(shown) and str(course) not in str(shown)


def test_export_and_import_say_what_they_did(course, monkeypatch, capsys):
    store = panel.my_progress()
    store.answer("04-knn", status="correct", score=1)
    store.exercise("freeze_backbone", tried=True)
    store.exercise("fix_optimizer", tried=True)
    panel.export_progress()
    assert capsys.readouterr().out == "Saved 1 question and 2 exercises in my-progress.json.\n"
    store.final(["04-knn"], {"04-knn": 1})
    panel.export_progress("all.json")
    monkeypatch.setenv("COURSE_PROGRESS", str(course / "other.json"))
    panel.import_progress("all.json")
    told = capsys.readouterr().out
    assert told.endswith("Took in 1 question, 2 exercises and 1 final quiz from all.json.\n")
    assert records.parse((course / "other.json").read_bytes())[0] == store.read()


def test_an_import_that_cannot_be_saved_says_so(course, monkeypatch, capsys):
    panel.export_progress()
    monkeypatch.setenv("COURSE_PROGRESS", str(course / "my-progress.json" / "below.json"))
    panel.import_progress()
    assert "▲ Your progress cannot be saved" in capsys.readouterr().out


def test_an_import_of_nothing_names_the_file(course):
    with pytest.raises(ProgressError, match=r"from nothing\.json: no such file"):
        panel.import_progress("nothing.json")
