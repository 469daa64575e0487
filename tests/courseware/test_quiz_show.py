"""What the learner sees: texts as HTML, the static version, the messages of the live one."""

import json
import re
import sys

import pytest

from courseware.bank.questions import load_banks, questions_of
from courseware.progress.store import Progress
from courseware.quiz import show
from courseware.quiz.grading import grade
from courseware.quiz.payload import LETTERS, MESSAGES, payload, shuffled
from courseware.quiz.plain import PlainQuestion, read_answer
from courseware.quiz.static import static_html
from courseware.quiz.widget import QuizWidget, save
from courseware.text import code_html, code_lines, markdown_html
from tools.builder.lesson import QUIZ, ROOT, quiz_call, read_cells, tags
from tools.builder.quiz_cells import static_output

BANKS = load_banks()
QUESTIONS = questions_of(BANKS)
KB = 1024
LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))


@pytest.fixture
def progress(tmp_path):
    return Progress(tmp_path / "progress.json")


@pytest.fixture
def displayed(monkeypatch, tmp_path):
    """What `show` displays, with the progress in a file of the test's own."""
    shown = []
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setattr(show, "display", shown.append)
    return shown


def first(kind: str):
    return next(question for question in QUESTIONS if question.type == kind)


# --- texts ---


def test_markup_in_a_text_is_shown_not_obeyed():
    rendered = markdown_html("`<b>` and <script>alert(1)</script> [x](javascript:alert(1))")
    assert "<script" not in rendered and "<code>&lt;b&gt;</code>" in rendered
    assert "href" not in rendered


def test_mathematics_is_mathml_in_the_widget_and_tex_without_a_kernel():
    assert "<math" in markdown_html(r"so $\frac{1}{2}$ of it")
    assert "$a &lt; b$" in markdown_html("so $a < b$", mathml=False)
    assert "<math" not in markdown_html("between $5 and $6")


def test_one_paragraph_stands_without_its_tag():
    assert markdown_html("one") == "one"
    assert markdown_html("one\n\ntwo").count("<p>") == 2


def test_code_keeps_its_lines():
    source = 'def f(x):\n\n    return "<b>"  # text\n'
    assert len(code_lines(source)) == 3
    assert "&lt;b&gt;" in code_html(source)
    text = re.sub(r"<[^>]+>", "", "\n".join(code_lines('s = """a\n  b\n"""\n')))
    assert text == 's = """a\n  b\n"""'


# --- the payload ---


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_every_code_of_a_grade_has_a_text(question):
    sent = json.loads(json.dumps(payload(question, "04_x")))  # what arrives in the browser
    texts = sent["feedback"] | MESSAGES
    for answer in (None, "", "0", "zzz", "x" * 2000, ["zzz"], *possible(question)):
        graded = grade(sent["key"], answer)
        assert graded["say"] and all(texts[code] for code in graded["say"])


def possible(question) -> list:
    if question.type in ("single", "multi"):
        ids = [option.id for option in question.options]
        return ids if question.type == "single" else [[i] for i in ids] + [ids]
    if question.type == "order":
        ids = [step.id for step in question.steps]
        return [ids[n:] + ids[:n] for n in range(len(ids))] + [near.order for near in question.near]
    if question.type == "bug":
        return [line for option in question.options for line in option.lines]
    right = question.accept[0] if question.type == "predict" else str(question.answer)
    return [right, *(str(near.value) for near in question.near)]


def test_no_option_loses_its_letter():
    for question in QUESTIONS:
        if question.type in ("single", "multi", "order"):
            assert len(payload(question, "x")["options"]) == len(shuffled(question)) <= len(LETTERS)


# --- without a kernel ---


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_the_static_version_survives_a_sanitiser(question):
    page = static_html([question], question.concept)
    assert not re.search(r"<(script|style|svg|math|input|button)|\son\w+=|var\(|type=", page)
    assert page.count("<details>") == page.count("</details>") == 2
    assert page.count("<div") == page.count("</div>")


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lessons_quizzes_add_little_to_its_notebook(lesson):
    cells = [cell for cell in read_cells(lesson) if QUIZ in tags(cell)]
    asked = [cell for cell in cells if quiz_call(cell).func.id != "ways"]
    assert len(json.dumps([static_output(cell) for cell in asked])) <= 40 * KB


# --- the live one ---


def test_what_the_browser_sends_is_saved_and_answered(progress, monkeypatch):
    question = first("single")
    widget = QuizWidget([payload(question, "x")], progress)
    replies = []
    monkeypatch.setattr(widget, "send", replies.append)
    seen = {"question": question.id, "hints": 1, "steps": 0}
    wrong = {"what": "answer", "status": "wrong", "score": 0.0}
    right = {"what": "answer", "status": "correct", "score": 1.0}
    for key, sent in [("k1", {"what": "hint"}), ("k2", wrong), ("k3", right)]:
        widget._receive(widget, {"key": key, **seen, **sent}, [])
    assert [reply["saved"] for reply in replies] == ["k1", "k2", "k3"]
    assert not any(reply["warning"] for reply in replies)
    record = progress.read()["questions"][question.id]
    assert (record["tries"], record["hints"], record["best"]) == (2, 1, 1.0)
    again = QuizWidget([payload(question, "x")], progress)
    assert again.records[question.id]["best"] == 1.0


def test_the_end_of_a_final_quiz_is_saved(progress):
    scores = {"02-flags": 1, "02-time": 0.5}
    save(progress, {"what": "final", "question": "02-flags", "scores": scores})
    assert progress.read()["finals"][0]["asked"] == ["02-flags", "02-time"]


def test_a_quiz_shows_its_static_version_first(displayed):
    show.quiz("02_freezing")
    static, live = displayed
    assert "tlm-static" in static.data
    assert isinstance(live, QuizWidget) and len(live.questions) >= 8 and live.mode == "quiz"


def test_a_final_quiz_stays_until_it_is_finished_and_then_changes(displayed, progress):
    ids = []
    for _ in range(3):
        show.final_quiz(6, progress)
        ids.append([question["id"] for question in displayed[-1].questions])
        if len(ids) == 2:
            progress.final(ids[1], dict.fromkeys(ids[1], 1.0))
    assert ids[0] == ids[1]
    assert not set(ids[1]) & set(ids[2])


def test_recap_takes_the_closing_questions(displayed):
    show.recap("02_freezing")
    assert displayed[-1].mode == "recap" and displayed[-1].title.startswith("Recap: ")


def test_a_wrong_name_says_what_there_is(displayed):
    with pytest.raises(KeyError, match="02_freezing"):
        show.quiz("02_freezin")


# --- without anywidget ---


def test_without_anywidget_core_widgets_take_over(displayed, monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "courseware.quiz.widget")
    show.quiz("02_freezing")
    (box,) = displayed
    assert all(isinstance(child, PlainQuestion) for child in box.children)


def plain(question, progress) -> PlainQuestion:
    return PlainQuestion(payload(question, "x"), question.code, progress)


def click(question: PlainQuestion, name: str) -> str:
    """Press a button of the plain quiz; what it then says."""
    field, buttons, below = question.children[1:]
    next(button for button in buttons.children if button.description == name).click()
    return below.value


def typed(question) -> str:
    """The right answer as one types it into the plain quiz."""
    if question.type in ("single", "multi", "order"):
        letter = dict(zip([part.id for part in shuffled(question)], LETTERS, strict=False))
        parts = question.steps if question.type == "order" else question.options
        right = [p for p in parts if question.type == "order" or p.correct]
        return " ".join(letter[part.id] for part in right)
    if question.type == "bug":
        return str(question.buggy_line)
    return question.accept[0] if question.type == "predict" else str(question.answer)


@pytest.mark.parametrize("kind", ["single", "multi", "numeric", "predict", "order", "bug"])
def test_the_plain_quiz_grades_hints_and_solves(kind, progress):
    question = first(kind)
    live = plain(question, progress)
    field = live.children[1]
    assert "Right" not in click(live, "Check")  # nothing typed: no try
    field.value = "<b>zz</b> 9999"
    click(live, "Check")
    assert "<b>Hint 1.</b>" in click(live, "Hint")
    field.value = typed(question)
    assert "✔ Right." in click(live, "Check")
    for _ in range(len(question.solution) + 2):
        said = click(live, "Solution")
    assert "<b>Answer.</b>" in said and f"<b>Step {len(question.solution)}.</b>" in said
    record = progress.read()["questions"][question.id]
    assert (record["best"], record["hints"]) == (1.0, 1)


@pytest.mark.parametrize("text", ["", "3 4", "one", "9" * 5, "²"])
def test_what_is_no_line_number_is_no_answer(text):
    assert read_answer({"type": "bug"}, text) is None
