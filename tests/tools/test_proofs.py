"""Every key of the bank is borne out by running its proof, and a wrong key is found by name."""

import pytest

from courseware.bank.questions import load_banks, questions_of
from tools.builder.proofs import WrongKey, mended, prove

QUESTIONS = questions_of(load_banks())
RUNNABLE = [q for q in QUESTIONS if q.proof or q.type == "predict"]


@pytest.mark.parametrize("question", RUNNABLE, ids=lambda question: question.id)
def test_the_key_is_what_its_proof_prints(question):
    assert prove(question)


def test_nearly_every_key_is_proved():
    assert len(RUNNABLE) >= 0.9 * len(QUESTIONS)
    assert all(question.source for question in QUESTIONS if question not in RUNNABLE)


def first(kind: str):
    return next(question for question in RUNNABLE if question.type == kind)


def swapped(question):
    """The question with its first right option called wrong, and its first wrong one right."""
    options = list(question.options)
    right = next(i for i, option in enumerate(options) if option.correct)
    wrong = next(i for i, option in enumerate(options) if not option.correct)
    options[right] = options[right].model_copy(update={"correct": False})
    options[wrong] = options[wrong].model_copy(update={"correct": True})
    return question.model_copy(update={"options": options})


def wrong_keys():
    """One question of each type, with a key that is not true."""
    yield swapped(first("single"))
    yield swapped(first("multi"))
    yield first("numeric").model_copy(update={"answer": first("numeric").near[0].value})
    yield first("predict").model_copy(update={"accept": ["something else"]})
    order = first("order")
    yield order.model_copy(update={"steps": list(reversed(order.steps)), "accept": []})
    yield first("bug").model_copy(update={"fix": "    pass"})


@pytest.mark.parametrize("question", list(wrong_keys()), ids=lambda question: question.type)
def test_a_planted_wrong_key_is_found_by_name(question):
    with pytest.raises(WrongKey, match=f"question {question.id}: "):
        prove(question)


def test_a_distractor_within_the_tolerance_is_found():
    question = first("numeric")
    close = question.near[0].model_copy(update={"value": question.answer})
    with pytest.raises(WrongKey, match="is within the tolerance"):
        prove(question.model_copy(update={"near": [close]}))


def test_a_distractor_that_counts_as_right_is_found():
    question = first("predict")
    same = question.near[0].model_copy(update={"value": question.accept[0].upper()})
    with pytest.raises(WrongKey, match="counts as right"):
        prove(question.model_copy(update={"near": [same]}))


def test_an_order_that_also_works_must_be_in_the_key():
    question = first("order").model_copy(update={"proof": 'print("ok")', "expect": "ok"})
    with pytest.raises(WrongKey, match="wrong, the proof prints ok"):
        prove(question)


def test_a_bug_that_is_none_is_found():
    question = first("bug")
    line = question.code.rstrip("\n").splitlines()[question.buggy_line - 1]
    same = question.model_copy(update={"fix": line})
    assert mended(same).split() == question.code.split()
    with pytest.raises(WrongKey):
        prove(same)


def test_a_proof_that_fails_fails():
    with pytest.raises(ZeroDivisionError):
        prove(first("numeric").model_copy(update={"proof": "1 / 0"}))
