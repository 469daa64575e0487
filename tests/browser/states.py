"""Every type of question in every state, on one page: to look at, and to check."""

from __future__ import annotations

from pathlib import Path

from learner import TYPES, click_answer, right, shown_in, wrong
from notebook_page import opened, quiz_in, run

from courseware.bank.questions import load_banks, questions_of

QUESTIONS = questions_of(load_banks())
LESSON = load_banks()[0].lesson
# Of each type the one with the longest line of code, where there is code.
ONE_OF_EACH = [
    max(
        (q for q in QUESTIONS if q.type == kind),
        key=lambda q: max(map(len, (q.code or "").splitlines()), default=0),
    )
    for kind in TYPES
]
STATES = ("fresh", "wrong", "right")
# After every type in every state: nothing answered, a set, and cards of which the last is turned.
SETS = {
    "empty": f'quiz("{ONE_OF_EACH[0].id}")',
    "set": f'quiz("{LESSON}")',
    "final": "final_quiz(3)",
}
SETS |= {"recap": f'recap("{LESSON}")', "turned": f'recap("{LESSON}")'}
NAMES = [f"{kind}-{state}" for kind in TYPES for state in STATES] + list(SETS)


def all_states(tab, name: str):
    """A page on which cell 1 + n shows what ``NAMES[n]`` says."""
    cells = [f'quiz("{question.id}")' for question in ONE_OF_EACH for _ in STATES]
    return opened(tab, name, [*cells, *SETS.values()])


def bring_about(page) -> None:
    """Run all cells and answer, so that everything is in its state."""
    run(page)
    page.wait_for_function(f"document.querySelectorAll('.tlm-quiz').length === {len(NAMES)}")
    for question in ONE_OF_EACH:
        _wrong_with_hints(quiz_of(page, f"{question.type}-wrong"), question)
        _right_with_solution(quiz_of(page, f"{question.type}-right"), question)
    _press(quiz_of(page, "empty"), "Check")
    _answer_some(quiz_of(page, "set"))
    _answer_all(quiz_of(page, "final"))
    _press(quiz_of(page, "turned"), "Turn over")


def quiz_of(page, name: str):
    return quiz_in(page, 1 + NAMES.index(name))


def _press(quiz, name: str) -> None:
    quiz.get_by_role("button", name=name).evaluate("button => button.click()")


def _wrong_with_hints(quiz, question) -> None:
    click_answer(quiz, question, wrong(question))
    _press(quiz, "Check")
    for _ in question.hints:
        _press(quiz, "Hint")


def _right_with_solution(quiz, question) -> None:
    click_answer(quiz, question, right(question))
    _press(quiz, "Check")
    for _ in question.solution:
        _press(quiz, "Solution")


def _answer_some(quiz) -> None:
    """The first right, the second wrong, the score open."""
    for answer in (right, wrong):
        question = shown_in(quiz, QUESTIONS)
        click_answer(quiz, question, answer(question))
        _press(quiz, "Check")
        _press(quiz, "Next question")
    _press(quiz, "Previous question")
    quiz.locator("summary").click()


def _answer_all(quiz) -> None:
    """All of a final quiz, the last one right."""
    numbers = quiz.locator("nav button[aria-label^='Question']").all()
    for number in numbers:
        number.click()
        question = shown_in(quiz, QUESTIONS)
        click_answer(quiz, question, (right if number is numbers[-1] else wrong)(question))
        _press(quiz, "Check")


def pictures(page, folder: Path, prefix: str) -> None:
    """A picture of every quiz on the page."""
    for name in NAMES:
        quiz = quiz_of(page, name)
        quiz.screenshot(path=folder / f"{prefix}-{name}.png")
