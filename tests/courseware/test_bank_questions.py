"""The bank: what the files hold, and what a mistake in one of them is told as."""

import copy
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from courseware.bank.questions import find, load_banks, questions_of, read_bank
from courseware.bank.reading import BankError
from courseware.quiz.grading import answer_key, grade
from courseware.quiz.payload import shuffled
from tools.builder.lesson import QUIZ, ROOT, read_cells, tags

TYPES = {"single", "multi", "numeric", "predict", "order", "bug"}
BANKS = load_banks()
QUESTIONS = questions_of(BANKS)
each_bank = pytest.mark.parametrize("bank", BANKS, ids=lambda bank: bank.lesson)
each_question = pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)


def lesson_cells(bank):
    return read_cells(ROOT / "lessons" / f"{bank.lesson}.py")


def test_the_bank_is_large_enough():
    assert [bank.lesson[:2] for bank in BANKS] == ["01", "02", "03", "04", "05", "06", "07", "08"]
    assert len(QUESTIONS) >= 45
    assert len({question.id for question in QUESTIONS}) == len(QUESTIONS)


@each_bank
def test_a_lesson_has_every_type_and_every_difficulty(bank):
    assert len(bank.questions) >= 10
    closing, _ = find(bank.lesson, BANKS)
    assert {question.type for question in closing} == TYPES
    assert {question.difficulty for question in closing} == {"easy", "medium", "hard"}


@each_bank
def test_inline_questions_stand_in_the_lesson(bank):
    sources = [cell.source for cell in lesson_cells(bank) if QUIZ in tags(cell)]
    asked = [re.search(r'quiz\("([^"]+)"\)', source)[1] for source in sources]
    assert asked == [q.id for q in bank.questions if q.inline] + [bank.lesson]


@each_bank
def test_every_question_goes_back_to_a_heading_of_its_lesson(bank):
    prose = "\n".join(c.source for c in lesson_cells(bank) if c.cell_type == "markdown")
    headings = set(re.findall(r"^##+ (.+)$", prose, re.MULTILINE))
    assert {question.section for question in bank.questions} <= headings


@each_question
def test_the_key_is_graded_right_and_every_distractor_wrong(question):
    key, statuses = answer_key(question), Counter()
    for answer, right in answers(question):
        statuses[right] += 1
        assert (grade(key, answer)["status"] == "correct") == right, answer
    assert statuses[True] and statuses[False]


def answers(question):
    """Answers that the bank itself names, each with whether it is right."""
    if question.type == "single":
        return [(option.id, option.correct) for option in question.options]
    if question.type == "multi":
        right = [option.id for option in question.options if option.correct]
        others = [[option.id] for option in question.options]
        return [(right, True), *((other, other == right) for other in others)]
    if question.type == "bug":
        return [(line, o.correct) for o in question.options for line in o.lines]
    near = [(n.order if question.type == "order" else str(n.value), False) for n in question.near]
    if question.type == "numeric":
        return [(repr(question.answer), True), *near]
    given = question.orders if question.type == "order" else question.accept
    return [*((answer, True) for answer in given), *near]


def test_letters_tell_nothing():
    places, drawn = Counter(), 0
    for question in QUESTIONS:
        if question.type == "single":
            places[[option.correct for option in shuffled(question)].index(True)] += 1
            drawn += 1
    assert max(places.values()) < 0.6 * drawn


def test_steps_never_start_in_a_right_order():
    for question in QUESTIONS:
        if question.type == "order":
            assert [step.id for step in shuffled(question)] not in question.orders


def test_a_name_that_is_not_there_gets_the_nearest():
    with pytest.raises(KeyError, match="02-flags"):
        find("02-flag", BANKS)
    with pytest.raises(KeyError, match="02_freezing"):
        find("freezing", BANKS)


# --- mistakes in a file ---

GOOD = yaml.safe_load(
    """
lesson: 09_tiny
title: Tiny
questions:
  - id: 09-one
    type: single
    difficulty: easy
    concept: counting
    section: Somewhere
    prompt: How many?
    options:
      - {id: one, text: "1", correct: true, feedback: Yes., value: "1"}
      - {id: two, text: "2", feedback: No., value: "2"}
    hints: [Count.]
    solution: [One.]
    mistakes: [Counting twice.]
    proof: print(1)
"""
)


def write(folder: Path, change=None, text: str | None = None) -> Path:
    content = copy.deepcopy(GOOD)
    if change:
        change(content["questions"][0])
    path = folder / "09_tiny.yaml"
    path.write_text(text or yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def test_the_good_file_is_good(tmp_path):
    assert read_bank(write(tmp_path)).questions[0].id == "09-one"


ORDER = {
    "type": "order",
    "steps": [{"id": i, "text": i, "feedback": i} for i in "abc"],
    "near": [{"order": ["a", "b"], "feedback": "x"}],
}
BUG = {
    "type": "bug",
    "code": "a = 1\n# why\nb = 2\n",
    "options": [{"lines": [1], "correct": True, "feedback": "x"}, {"lines": [2], "feedback": "y"}],
    "fix": "a = 2",
}
MISTAKES = {
    "a missing field": (lambda q: q.pop("hints"), "question 09-one, field hints: .*required"),
    "no hint in the list": (lambda q: q.update(hints=[]), "09-one, field hints: .*at least 1"),
    "an unknown field": (lambda q: q.update(hint="x"), "09-one, field hint: Extra"),
    "an unknown type": (lambda q: q.update(type="essay"), "09-one: .*essay"),
    "an unknown difficulty": (lambda q: q.update(difficulty="fiendish"), "field difficulty: .*ien"),
    "an option without feedback": (
        lambda q: q["options"][1].pop("feedback"),
        r"09-one, field options\[1\].feedback",
    ),
    "two right options": (lambda q: q["options"][1].update(correct=True), "1 correct one, not 2"),
    "a value too few": (lambda q: q["options"][1].pop("value"), "every one a value, or none"),
    "an option twice": (lambda q: q["options"][1].update(id="one"), "one is there twice"),
    "all of many right": (
        lambda q: (q.update(type="multi"), q["options"][1].update(correct=True)),
        "some are correct and some are not",
    ),
    "no proof": (lambda q: q.pop("proof"), "a proof .* or a source"),
    "the wrong lesson": (lambda q: q.update(id="03-one"), "must start with 09-"),
    "half an order": (lambda q: (q.pop("options"), q.update(ORDER)), "is not an order of"),
    "a line without feedback": (lambda q: q.update(BUG), r"lines \[1, 3\] .* given: \[1, 2\]"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_file_question_and_field(tmp_path, name):
    change, told = MISTAKES[name]
    with pytest.raises(BankError, match=told) as caught:
        read_bank(write(tmp_path, change))
    assert str(caught.value).startswith("09_tiny.yaml")


def test_a_yaml_error_names_its_line(tmp_path):
    text = write(tmp_path).read_text().replace("title: Tiny", 'title: "Tiny')
    with pytest.raises(BankError, match=r"09_tiny.yaml, line \d+: "):
        read_bank(write(tmp_path, text=text))


def test_a_key_that_stands_twice_is_an_error(tmp_path):
    text = write(tmp_path).read_text().replace("title: Tiny", "title: Tiny\ntitle: Small")
    with pytest.raises(BankError, match="line 3: title twice"):
        read_bank(write(tmp_path, text=text))


@pytest.mark.parametrize("text", ["", "- 1\n", "just words\n", "lesson: 09_tiny\nquestions: 3\n"])
def test_a_file_of_another_shape_is_an_error(tmp_path, text):
    with pytest.raises(BankError, match="09_tiny.yaml"):
        read_bank(write(tmp_path, text=text or "\n"))


def test_the_file_is_called_as_its_lesson(tmp_path):
    path = write(tmp_path).rename(tmp_path / "09_other.yaml")
    with pytest.raises(BankError, match="the file's name says 09_other"):
        read_bank(path)


@pytest.mark.parametrize("name", ["04-cachin", 4, None])
def test_a_question_that_there_is_not(name):
    with pytest.raises(KeyError, match="no question or lesson called .*(Did you mean|Lessons are)"):
        find(name, load_banks())
