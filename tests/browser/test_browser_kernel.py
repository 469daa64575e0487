"""What happens to an answer while the kernel works, is restarted, or the page is loaded anew."""

import pytest
from learner import click_answer, right, tab_to, wrong
from notebook_page import opened, quiz_in, run, select, wait_until_done

from courseware.bank.questions import load_banks, questions_of

QUESTIONS = [q for q in questions_of(load_banks()) if q.type == "single"][:5]
LESSON = load_banks()[-1].lesson
KEPT, BUSY, RESTARTED, RELOADED, TWICE = QUESTIONS
NAME = "kernel"
KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
WORK = 6  # the cell that computes, after a cell for each question
AGAIN, WORK_ON, SET = 7, 8, 9
NOTHING_WAITS = "localStorage['transfer-learning-measured/outbox'] === '[]'"


def work(flag: str) -> str:
    """A cell that computes until the test makes a file. It gives up after a minute."""
    return (
        f'end = time.time() + 60\nwhile not os.path.exists("{flag}") and time.time() < end:\n'
        "    sum(range(1000))"
    )


@pytest.fixture(scope="module")
def page(tab):
    cells = [f'quiz("{question.id}")' for question in QUESTIONS]
    cells += [work("go"), f'quiz("{TWICE.id}")', work("go on"), f'quiz("{LESSON}")']
    with opened(tab, NAME, cells) as page:
        yield page


def keep_busy(page, tab, *then: int) -> None:
    """Let the kernel compute until `free`; cells ``then`` wait behind it."""
    (tab.folder / "go").unlink(missing_ok=True)
    run(page, WORK, *then, wait=False)
    wait_for(page, "busy")


def free(page, tab) -> None:
    (tab.folder / "go").touch()
    wait_until_done(page)


def restart(page) -> None:
    page.evaluate(f"() => {KERNEL}.restart()")
    wait_for(page, "idle")


def wait_for(page, status: str) -> None:
    page.wait_for_function(f"{KERNEL}.status === '{status}'")


def answer(quiz, question, value) -> None:
    click_answer(quiz, question, value)
    quiz.get_by_role("button", name="Check").click()


def cell_of(question) -> int:
    return 1 + QUESTIONS.index(question)


def told(quiz) -> str:
    return quiz.locator("form > .meta").inner_text()


def test_progress_survives_a_restart(page, tab):
    run(page, 0, cell_of(KEPT))
    quiz = quiz_in(page, cell_of(KEPT))
    answer(quiz, KEPT, wrong(KEPT))
    answer(quiz, KEPT, right(KEPT))
    assert tab.record(NAME, KEPT.id, tries=2)["best"] == 1
    page.wait_for_function(NOTHING_WAITS)
    restart(page)
    run(page, 0, cell_of(KEPT))
    assert "✔ answered, 2 tries" in told(quiz)
    assert not quiz.locator(".verdict").inner_text()


def test_feedback_does_not_wait_for_the_kernel(page, tab):
    run(page, 0, cell_of(BUSY))
    keep_busy(page, tab)
    quiz = quiz_in(page, cell_of(BUSY))
    answer(quiz, BUSY, wrong(BUSY))
    assert quiz.locator(".verdict").inner_text().startswith("✘ Not yet.")
    answer(quiz, BUSY, right(BUSY))
    assert quiz.locator(".verdict").inner_text().startswith("✔ Right.")
    assert BUSY.id not in tab.known(NAME)["questions"]  # the kernel has not heard of it
    free(page, tab)
    assert tab.record(NAME, BUSY.id, tries=2)["best"] == 1


def test_an_answer_outlives_the_kernel_that_it_was_sent_to(page, tab):
    run(page, 0, cell_of(RESTARTED))
    keep_busy(page, tab)
    quiz = quiz_in(page, cell_of(RESTARTED))
    answer(quiz, RESTARTED, wrong(RESTARTED))
    restart(page)
    # The quiz on screen has nobody to talk to, and goes on all the same.
    answer(quiz, RESTARTED, right(RESTARTED))
    assert quiz.locator(".verdict").inner_text().startswith("✔ Right.")
    assert "run the cell again" in quiz.locator(".warning").inner_text()
    assert RESTARTED.id not in tab.known(NAME)["questions"]
    run(page, 0, cell_of(RESTARTED))
    assert tab.record(NAME, RESTARTED.id, tries=2)["best"] == 1
    assert "✔ answered, 2 tries" in told(quiz)
    run(page, cell_of(RESTARTED))
    assert "✔ answered, 2 tries" in told(quiz)
    assert tab.record(NAME, RESTARTED.id)["tries"] == 2


def test_two_quizzes_of_one_question_count_an_answer_once(page, tab):
    run(page, 0, cell_of(TWICE))
    keep_busy(page, tab, AGAIN, WORK_ON)
    answer(quiz_in(page, cell_of(TWICE)), TWICE, wrong(TWICE))
    (tab.folder / "go").touch()
    # The second quiz is here while the kernel works on, and the answer still waits.
    assert "1 try" in told(quiz_in(page, AGAIN))
    (tab.folder / "go on").touch()
    wait_until_done(page)
    page.wait_for_function(NOTHING_WAITS)
    run(page, 0)  # whatever was sent is handled by now
    assert tab.record(NAME, TWICE.id)["tries"] == 1


def test_the_score_keeps_the_focus_when_the_answer_is_saved(page, tab):
    run(page, 0, SET)
    keep_busy(page, tab)
    quiz = quiz_in(page, SET)
    quiz.locator("nav button").nth(2).click()
    quiz.get_by_role("button", name="Hint").click()
    tab_to(quiz.locator("summary"))
    free(page, tab)
    page.wait_for_function(NOTHING_WAITS)
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_a_reload_of_the_page_loses_and_doubles_nothing(page, tab):
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    run(page, 0, cell_of(RELOADED))
    quiz = quiz_in(page, cell_of(RELOADED))
    answer(quiz, RELOADED, wrong(RELOADED))
    assert tab.record(NAME, RELOADED.id)["tries"] == 1
    keep_busy(page, tab)
    answer(quiz, RELOADED, right(RELOADED))
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    (tab.folder / "go").touch()
    page.wait_for_selector(".tlm-quiz")
    assert tab.record(NAME, RELOADED.id, tries=2)["best"] == 1
    assert "✔ answered, 2 tries" in told(quiz_in(page, cell_of(RELOADED)))
    page.wait_for_timeout(500)
    assert tab.record(NAME, RELOADED.id)["tries"] == 2


def test_an_output_that_is_built_anew_goes_on_where_it_was(page):
    run(page, 0, cell_of(KEPT))
    quiz = quiz_in(page, cell_of(KEPT))
    answer(quiz, KEPT, wrong(KEPT))
    quiz.get_by_role("button", name="Hint").click()
    before = quiz.element_handle()
    select(page, cell_of(KEPT))
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:move-cell-down')")
    quiz = quiz_in(page, cell_of(KEPT) + 1)
    assert quiz.locator(".verdict").inner_text().startswith("✘ Not yet.")
    assert quiz.locator(f'input[value="{wrong(KEPT)}"]').is_checked()
    assert quiz.locator(".note.hint").count() == 1
    assert not page.evaluate("(before) => before.isConnected", before), "nothing was built anew"
