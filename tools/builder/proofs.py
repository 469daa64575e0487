"""Run the proof of a question, and compare what it prints with the key and with every distractor.

Proofs are code of the course's own bank: they run in this process, one after another.
"""

from __future__ import annotations

import contextlib
import io
import itertools

import torch

from courseware.quiz.grading import answer_key, grade, tidy


class WrongKey(AssertionError):
    """A key that its proof does not bear out: which question, what was printed, what it claims."""


def prove(question) -> str:
    """What the proof printed, "" for a question that has a source only.

    Raises
    ------
    WrongKey : the printed value is not the key, or it is also one of the distractors
    """
    provers = {
        "single": _choice,
        "multi": _choice,
        "numeric": _numeric,
        "predict": _predict,
        "order": _order,
        "bug": _bug,
    }
    if not question.proof and question.type != "predict":
        return ""
    return provers[question.type](question)


def mended(question) -> str:
    """The code of a find-the-bug question with its fix in place."""
    lines = question.code.rstrip("\n").splitlines()
    lines[question.buggy_line - 1] = question.fix.rstrip("\n")
    return "\n".join(lines) + "\n"


def run(source: str, **names) -> str:
    """Execute source in a namespace of its own, seeded; what it printed, stripped.

    Whatever it raises comes out as it is.
    """
    printed = io.StringIO()
    torch.manual_seed(0)
    with contextlib.redirect_stdout(printed), torch.random.fork_rng():
        exec(compile(source, "<proof>", "exec"), {"__name__": "__proof__", **names})
    return printed.getvalue().strip()


def _attempt(source: str, **names) -> str:
    """Like `run`, but an exception counts as what was printed."""
    try:
        return run(source, **names)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _fail(question, why: str) -> None:
    raise WrongKey(f"question {question.id}: {why}")


def _choice(question) -> str:
    """The proof prints the ids of the options that hold, or (where they have one) their values."""
    printed = run(question.proof, CODE=question.code)
    by_id = question.options[0].value is None
    names = {option.id: option.id if by_id else option.value.strip() for option in question.options}
    told = printed.split() if by_id else [line.strip() for line in printed.splitlines()]
    right = [names[option.id] for option in question.options if option.correct]
    wrong = [names[option.id] for option in question.options if not option.correct]
    if sorted(told) != sorted(right):
        _fail(question, f"the proof prints {told}, the key says {right}")
    if set(told) & set(wrong):
        _fail(question, f"{told} is also the value of a wrong option")
    return printed


def _numeric(question) -> str:
    printed, key = run(question.proof, CODE=question.code), answer_key(question)
    if grade(key, printed)["status"] != "correct":
        _fail(question, f"the proof prints {printed}, the key says {question.answer}")
    for near in question.near:
        if grade(key, repr(near.value))["status"] == "correct":
            _fail(question, f"the distractor {near.value} is within the tolerance of the key")
    return printed


def _predict(question) -> str:
    printed = run(question.proof or question.code, CODE=question.code)
    if tidy(printed) != tidy(question.accept[0]):
        _fail(question, f"it prints {printed!r}, the key says {question.accept[0]!r}")
    for near in question.near:
        if grade(answer_key(question), near.value)["status"] == "correct":
            _fail(question, f"the distractor {near.value!r} counts as right")
    return printed


def _order(question) -> str:
    """Every order is tried: those that print ``expect`` must be exactly the right ones."""
    ids = [step.id for step in question.steps]
    for order in itertools.permutations(ids):
        printed = _attempt(question.proof, ORDER=list(order), CODE=question.code)
        if (printed == question.expect) != (list(order) in question.orders):
            verdict = "right" if list(order) in question.orders else "wrong"
            _fail(question, f"the key calls {list(order)} {verdict}, the proof prints {printed}")
    return question.expect


def _bug(question) -> str:
    printed = _attempt(question.proof, CODE=mended(question))
    if printed != question.expect:
        _fail(question, f"mended, the code prints {printed!r} instead of {question.expect!r}")
    if _attempt(question.proof, CODE=question.code) == question.expect:
        _fail(question, f"the code as shown prints {question.expect!r} too: where is the bug?")
    return printed
