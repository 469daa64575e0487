"""Several questions at once: a lesson's quiz, its recap cards, and the final quiz."""

import pytest
from learner import (
    bare,
    click_answer,
    press,
    right,
    said,
    shown_in,
    tab_to,
    text_of,
    type_answer,
    wrong,
)
from notebook_page import heading, opened, quiz_in, run

from courseware.bank.questions import find, load_banks, questions_of
from courseware.quiz.payload import answer_html
from courseware.text import markdown_html

QUESTIONS = questions_of(load_banks())
# A lesson with a heading that holds code, as that is Markdown in the bank and in the lesson.
LESSON = next(bank.lesson for bank in load_banks() if any("`" in q.section for q in bank.questions))
ASKED, TITLE = find(LESSON, load_banks())
NAME = "sets"
SET, RECAP, FINAL = 1, 2, 3
IN_FINAL = 3  # questions


@pytest.fixture(scope="module")
def page(tab):
    cells = [f'quiz("{LESSON}")', f'recap("{LESSON}")', f"final_quiz({IN_FINAL})"]
    cells += [heading(section) for section in dict.fromkeys(q.section for q in ASKED)]
    with opened(tab, NAME, cells) as page:
        run(page)
        yield page


def answer(quiz, value_of) -> None:
    """Answer the question that the quiz shows."""
    question = shown_in(quiz, QUESTIONS)
    click_answer(quiz, question, value_of(question))
    quiz.get_by_role("button", name="Check").click()


def numbers(quiz) -> list[str]:
    """What a screen reader reads on the numbered buttons."""
    buttons = quiz.locator("nav button").all()[1:-1]
    return [button.get_attribute("aria-label") for button in buttons]


def test_a_set_marks_and_counts_what_was_answered(page, tab):
    quiz = quiz_in(page, SET)
    assert quiz.locator(".title").inner_text() == TITLE
    assert quiz.locator("summary").inner_text().startswith(f"0 of {len(ASKED)} right")
    answer(quiz, right)
    quiz.get_by_role("button", name="Next question").click()
    answer(quiz, wrong)
    assert numbers(quiz)[:3] == [
        "Question 1, right",
        "Question 2, not right yet",
        "Question 3",
    ]
    quiz.locator("summary").click()
    assert quiz.locator("summary").inner_text().startswith(f"1 of {len(ASKED)} right")
    # To read again: only what was tried and not right.
    links = quiz.locator("td .section")
    assert links.all_inner_texts() == [f"{LESSON[:2]} · {plain(ASKED[1].section)}"]
    # Going back and forth loses nothing.
    quiz.get_by_role("button", name="Previous question").click()
    assert "✔ Right." in quiz.locator(".verdict").inner_text()
    quiz.get_by_role("button", name="Question 2").click()
    assert said(ASKED[1], wrong(ASKED[1]))[0] in text_of(quiz.locator(".verdict"))
    assert quiz.locator("details").get_attribute("open") is not None
    assert tab.record(NAME, ASKED[0].id)["best"] == 1


def plain(section: str) -> str:
    return section.replace("`", "")


def test_every_question_leads_back_to_its_section(page):
    quiz = quiz_in(page, SET)
    for place, question in enumerate(ASKED, 1):
        quiz.get_by_role("button", name=f"Question {place}").click()
        quiz.get_by_role("button", name=plain(question.section), exact=True).click()
        shown = page.get_by_role("heading", name=plain(question.section))
        place = shown.bounding_box()["y"]
        assert 0 <= place < 400, f"{question.section} is at {place}"


def test_a_set_by_keyboard(page):
    quiz = quiz_in(page, SET)
    numbered = quiz.locator("nav button[aria-label^='Question 3']")
    tab_to(numbered)
    page.keyboard.press("Enter")
    assert numbered.get_attribute("aria-current") == "true"
    assert numbered.evaluate("button => button === document.activeElement")
    type_answer(quiz, ASKED[2], right(ASKED[2]))
    press(quiz, "Check")
    assert numbers(quiz)[2] == "Question 3, right"
    tab_to(quiz.get_by_role("button", name="Next question"))
    page.keyboard.press("Space")
    assert shown_in(quiz, QUESTIONS) == ASKED[3]


def test_recap_cards_turn(page):
    card = quiz_in(page, RECAP)
    first, second = ASKED[0], ASKED[1]
    assert bare(markdown_html(first.prompt)) in text_of(card)
    assert bare(answer_html(first)) not in text_of(card.locator(".card"))[-200:]
    press(card, "Turn over")
    assert bare(answer_html(first)) in text_of(card)
    assert bare(markdown_html(first.solution[-1])) in text_of(card)
    press(card, "Turn back", "Enter")
    card.get_by_role("button", name="Next").click()
    assert bare(markdown_html(second.prompt)) in text_of(card)
    assert not card.locator(".note").count()


def test_a_final_quiz_from_end_to_end(page, tab):
    quiz = quiz_in(page, FINAL)
    failed = None
    for number in quiz.locator("nav button[aria-label^='Question']").all():
        number.click()
        failed = failed or shown_in(quiz, QUESTIONS)
        answer(quiz, wrong if failed == shown_in(quiz, QUESTIONS) else right)
    told = f"{IN_FINAL - 1} of {IN_FINAL} right at the first try"
    assert quiz.locator("summary").inner_text().startswith(told)
    assert plain(failed.section) in quiz.locator("table").inner_text()
    assert tab.record(NAME, failed.id)["tries"] == 1

    with page.expect_download() as saved:
        quiz.get_by_role("button", name="Save this result").click()
    result = saved.value.path().read_text(encoding="utf-8")
    assert f"{IN_FINAL - 1} of {IN_FINAL} right at the first try" in result
    assert (
        f"to go over: {failed.concept} (lesson {failed.id[:2]}, {plain(failed.section)})" in result
    )

    press(quiz, "Again: the one that was not right")
    assert shown_in(quiz, QUESTIONS) == failed
    assert quiz.evaluate("quiz => quiz.contains(document.activeElement)")
    answer(quiz, right)
    assert quiz.locator("summary").inner_text().startswith("1 of 1 right at the first try")
    assert tab.record(NAME, failed.id, tries=2)["best"] == 1
    (final,) = tab.known(NAME)["finals"]
    assert final["scores"][failed.id] < 1
    assert sum(score == 1 for score in final["scores"].values()) == IN_FINAL - 1


def test_the_next_final_quiz_asks_others(page, tab):
    asked = tab.known(NAME)["finals"][0]["asked"]
    run(page, FINAL)
    quiz = quiz_in(page, FINAL)
    assert shown_in(quiz, QUESTIONS).id not in asked
    assert quiz.locator("nav button[aria-label^='Question']").count() == IN_FINAL
