"""What the learner sees: texts as HTML, the static version, the messages of the live one."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from courseware.bank.questions import load_banks, questions_of
from courseware.progress.store import Progress
from courseware.quiz import show
from courseware.quiz.grading import grade
from courseware.quiz.payload import LETTERS, MESSAGES, payload, shuffled
from courseware.quiz.plain import PlainQuestion, read_answer
from courseware.quiz.static import static_html
from courseware.quiz.widget import QuizWidget
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


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not here")


def key(number: int) -> str:
    """As the browser makes them: its clock, and something random."""
    return f"{1_764_000_000_000 + number}-k3y"


class Page:
    """A quiz of one question as the browser talks to it, in one run of a kernel."""

    def __init__(self, progress):
        self.question = first("single")
        self.widget = QuizWidget([payload(self.question, "x")], progress)
        self.replies = []
        self.widget.send = self.replies.append

    def send(self, number, **content) -> dict:
        content = {"question": self.question.id, "key": key(number), **content}
        self.widget._receive(self.widget, content, [])
        return self.replies[-1]


HINT = {"what": "hint", "hints": 1, "steps": 0}
WRONG = {"what": "answer", "status": "wrong", "score": 0.0, "hints": 1, "steps": 0}
RIGHT = WRONG | {"status": "correct", "score": 1.0}


def test_what_the_browser_sends_is_saved_and_answered(progress):
    page = Page(progress)
    for number, content in enumerate([HINT, WRONG, RIGHT]):
        assert page.send(number, **content) == {"saved": key(number), "warning": ""}
    record = progress.read()["questions"][page.question.id]
    assert (record["tries"], record["hints"], record["best"]) == (2, 1, 1.0)
    again = Page(progress).widget
    assert again.records[page.question.id]["best"] == 1.0
    assert again.saved == [key(0), key(1), key(2)]


def test_an_answer_sent_again_counts_once_also_after_the_kernel_was_restarted(progress):
    Page(progress).send(1, **WRONG)
    page = Page(Progress(progress.path))  # the reply was lost, and with the kernel all it knew
    assert page.send(1, **WRONG)["saved"] == key(1)
    assert progress.read()["questions"][page.question.id]["tries"] == 1
    scores = {"what": "final", "scores": {page.question.id: 1}}
    for _ in range(2):
        Page(Progress(progress.path)).send(2, **scores)
    assert len(progress.read()["finals"]) == 1


def test_the_browser_keeps_what_no_file_holds(tmp_path):
    (tmp_path / "file").touch()
    page = Page(progress := Progress(tmp_path / "file" / "progress.json"))
    for _ in range(2):
        reply = page.send(1, **RIGHT)
        assert reply["saved"] is None and "cannot be saved" in reply["warning"]
    assert page.widget.records[page.question.id]["tries"] == 1
    (tmp_path / "file").unlink()
    assert page.send(1, **RIGHT) == {"saved": key(1), "warning": ""}
    assert Progress(progress.path).read()["questions"][page.question.id]["tries"] == 1


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"what": "answer"},
        WRONG | {"status": "so so"},
        WRONG | {"score": 7},
        HINT | {"hints": "1"},
        HINT | {"key": 17},
        HINT | {"question": ["a"]},
        {"what": "final", "scores": 3},
        {"what": "final", "scores": {"a": 2}},
    ],
    ids=repr,
)
def test_a_message_that_is_none_is_told_and_not_kept_for_ever(progress, content):
    reply = Page(progress).send(1, **content)
    assert reply["saved"] == content.get("key", key(1)) and "could not be read" in reply["warning"]
    assert not progress.path.exists()


IN_NODE = """
let kept = JSON.parse(process.argv[2]);
globalThis.localStorage = { getItem: () => kept, setItem: (_, text) => { kept = text; } };
const { newOutbox, waitingFor } = await import(process.argv[1]);
const sent = [], replies = [];
const model = {
  get: (name) => ({ questions: [{ id: "q" }], saved: JSON.parse(process.argv[3]) })[name],
  on: (_, handler) => replies.push(handler),
  send: (message) => sent.push(message),
};
const shown = waitingFor(model).map(({ key }) => key);
const put = newOutbox(model, () => {});
put("q", { what: "hint", hints: 1, steps: 0 });
const [key] = sent.map((message) => message.key).slice(-1);
replies[0]({ saved: null, warning: "no disk" });
const unsaved = JSON.parse(kept).length;
replies[0]({ saved: key, warning: "" });
console.log(JSON.stringify({ key, shown, sent: sent.map(({ key }) => key), unsaved, kept }));
"""
GOOD = {"key": "1-a", "question": "q", **RIGHT}
OTHER = {"key": "2-b", "question": "of another lesson", **HINT}
STORED = [
    None,
    "not JSON",
    "null",
    "3",
    "true",
    '"text"',
    "{}",
    '{"length": 5}',
    "[null]",
    "[[]]",
    '[{"key": 1}]',
    '[{"key": "3-c", "question": "q", "what": "answer"}]',
    '[{"key": "3-c", "question": "q", "what": "answer", "status": "wrong", "score": "1"}]',
    '[{"key": "3-c", "question": "q", "what": "dance"}]',
    '[{"key": "3-c", "what": "hint"}]',
]


def outbox(stored, saved=()) -> dict:
    """What the browser's half does with what was in its storage."""
    module = (ROOT / "courseware/quiz/outbox.mjs").as_uri()
    values = [module, json.dumps(stored), json.dumps(saved)]
    command = ["node", "--input-type=module", "-e", IN_NODE, *values]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_node
@pytest.mark.parametrize("stored", STORED)
def test_whatever_is_in_the_browser_s_storage_the_quiz_begins(stored):
    did = outbox(stored)
    assert did["shown"] == [] and did["sent"] == [did["key"]] and did["kept"] == "[]"


@needs_node
def test_a_message_stays_in_the_browser_until_it_is_saved():
    did = outbox(json.dumps([GOOD, None, OTHER]))
    assert did["shown"] == ["1-a"] and did["sent"] == ["1-a", did["key"]] and did["unsaved"] == 3
    assert json.loads(did["kept"]) == [GOOD, OTHER]


@needs_node
def test_what_the_records_hold_is_shown_once_and_sent_until_it_is_acknowledged():
    did = outbox(json.dumps([GOOD]), saved=["1-a"])
    assert did["shown"] == [] and did["sent"] == ["1-a", did["key"]]


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
