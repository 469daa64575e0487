"""Keys pressed in the quiz stay there: no shortcut of the notebook fires. Ctrl+S still saves."""

import pytest
from learner import TYPES, click_answer, right, shown_in, tab_to, wrong
from notebook_page import cells_of, heading, opened, quiz_in, run

from courseware.bank.questions import load_banks, questions_of

QUESTIONS = questions_of(load_banks())
LESSON = load_banks()[0].lesson
OF_TYPE = {kind: [q for q in QUESTIONS if q.type == kind] for kind in TYPES}
LONG = next(q for q in OF_TYPE["predict"] if "\n" in q.accept[0].strip())
NAME = "keys"
SET, RECAP, FINAL = 8, 9, 10  # the cells; 0 imports, 1 to 6 are a question of each type, 7 LONG


@pytest.fixture(scope="module")
def page(tab):
    one_of_each = [questions[0] for questions in OF_TYPE.values()] + [LONG]
    cells = [f'quiz("{question.id}")' for question in one_of_each]
    cells += [f'quiz("{LESSON}")', f'recap("{LESSON}")', "final_quiz(2)"]
    cells += [heading(one_of_each[0].section)]
    with opened(tab, NAME, cells) as page:
        run(page)
        answer_first(quiz_in(page, SET))
        answer_all(quiz_in(page, FINAL))
        page.evaluate("""() => {
            window.ran = [];
            window.jupyterapp.commands.commandExecuted.connect((_, told) => ran.push(told.id));
        }""")
        yield page


def answer_first(quiz) -> None:
    """One wrong answer in the set, so that its score has something to read again."""
    question = next(q for q in QUESTIONS if q.id[:2] == LESSON[:2] and not q.inline)
    for _ in range(3):  # on a busy machine a click can meet the moment in which a page is laid out
        click_answer(quiz, question, wrong(question))
        quiz.get_by_role("button", name="Check").click()
        quiz.page.wait_for_timeout(300)
        if quiz.locator("a.section").count():
            break
    quiz.locator("summary").click()


def answer_all(quiz) -> None:
    """The final quiz, all wrong, to its end."""
    for number in quiz.locator("nav button[aria-label^='Question']").all():
        number.click()
        question = shown_in(quiz, QUESTIONS)
        click_answer(quiz, question, wrong(question))
        quiz.get_by_role("button", name="Check").click()


CONTROLS = {
    "choice": (1, "input[type=radio]"),
    "box": (2, "input[type=checkbox]"),
    "field": (3, "input[type=text]"),
    "field of lines": (7, "textarea"),
    "mover": (5, ".movers button"),
    "line of code": (6, ".pick input"),
    "check": (1, "button.primary"),
    "hint": (1, "button:text('Hint')"),
    "solution": (1, "button:text('Solution')"),
    "start over": (SET, "button:text('Start over')"),
    "back to the section": (1, "button.quiet"),
    "number in a set": (SET, "nav button[aria-current]"),
    "next in a set": (SET, "nav button:last-child"),
    "score": (SET, "summary"),
    "section in the score": (SET, "a.section"),
    "turn over": (RECAP, "button.primary"),
    "next card": (RECAP, "button:text('Next')"),
    "again": (FINAL, "button:text('Again')"),
    "save this result": (FINAL, "button:text('Save this result')"),
}
LETTERS = [*"abcdmrvxyz", "d", "d", "0", "0", "i", "i", "A", "M"]
MOVES = ["ArrowDown", "ArrowUp", "Shift+ArrowDown", "Escape"]
EDITS = [
    "Control+a",
    "Control+z",
    "Control+Backspace",
    "Control+Shift+ArrowDown",
    "Control+Shift+m",
]
ENTERS = ["Shift+Enter", "Control+Enter", "Alt+Enter"]


@pytest.mark.parametrize("control", CONTROLS)
def test_no_shortcut_of_the_notebook_fires(page, control):
    cell, selector = CONTROLS[control]
    page.evaluate("document.querySelector('.tlm-quiz details').open = true")
    focused = quiz_in(page, cell).locator(selector).first
    focused.focus()
    # What Enter does on these is their own: a download, a new tab, another question.
    own_enter = control in ("save this result", "section in the score", "again")
    before = cells_of(page)
    page.evaluate("ran.length = 0")
    for key in [*LETTERS, *MOVES, *EDITS, *([] if own_enter else ENTERS)]:
        page.keyboard.press(key)
        focused.focus()  # a radio's arrow moves on
    page.wait_for_timeout(100)  # a chord may fire late
    assert page.evaluate("ran") == []
    assert cells_of(page) == before
    assert not page.locator(".jp-Dialog").count()


@pytest.mark.parametrize("control", ["choice", "field", "mover", "score"])
def test_ctrl_s_still_saves_the_notebook(page, control):
    cell, selector = CONTROLS[control]
    quiz_in(page, cell).locator(selector).first.focus()
    page.evaluate("""() => {
        ran.length = 0;
        addEventListener("keydown", event => setTimeout(() => {
            if (event.key === "s" && event.isTrusted) window.prevented = event.defaultPrevented;
        }), true);
    }""")
    page.keyboard.press("Control+s")
    page.wait_for_function("ran.includes('docmanager:save')", timeout=2000)
    assert page.evaluate("prevented"), "the browser's own save dialog opens as well"


def test_a_field_takes_letters_and_its_own_undo(page):
    field = quiz_in(page, 3).locator("input[type=text]")
    field.fill("")
    tab_to(field)
    for key in "bdd":
        page.keyboard.press(key)
    assert field.input_value() == "bdd"
    page.keyboard.press("Control+a")
    page.keyboard.type("x")
    assert field.input_value() == "x"
    page.keyboard.press("Control+z")
    assert field.input_value() != "x"


def test_after_a_click_on_an_option_letters_are_harmless(page):
    question, quiz = OF_TYPE["single"][0], quiz_in(page, 1)
    click_answer(quiz, question, right(question))  # on its text, not on the button itself
    before = cells_of(page)
    for key in "abddxmy":
        page.keyboard.press(key)
    assert cells_of(page) == before
