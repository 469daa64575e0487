"""The final quiz: which questions to ask, which to ask again, and what the answers say.

A question is anything with the bank's ``id``, ``concept``, ``section`` and ``difficulty``; the two
digits that its id begins with are its lesson.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

LEVELS = ("easy", "medium", "hard")


class ConceptResult(NamedTuple):
    """How a concept went: right of asked, and where the lessons treat what did not go right.

    ``sections`` holds pairs of a lesson's two digits and a heading of it.
    """

    concept: str
    right: int
    asked: int
    sections: tuple[tuple[str, str], ...]


def draw(
    questions: Sequence, last: Collection[str] = (), n: int = 10, seed: int | None = None
) -> list:
    """Choose ``n`` questions, from easy to hard.

    Each is of a concept that was taken least so far; among those, of the lesson, and then of the
    difficulty, taken least so far; among those, by chance. Questions of the quiz before come only
    when there are no others left.

    Parameters
    ----------
    questions : the whole bank, in any order
    last : ids that were asked the last time
    n : how many; a bank that has fewer gives all it has
    seed : the same seed chooses the same from the same bank

    Raises
    ------
    ValueError : ``n`` is below 1
    """
    if n < 1:
        raise ValueError(f"n is {n}; a quiz needs at least 1 question")
    rng = random.Random(seed)
    pool = sorted(questions, key=lambda question: question.id)
    rng.shuffle(pool)  # of equals the first is taken
    taken: Counter = Counter()
    chosen: list = []
    while pool and len(chosen) < n:
        question = min(pool, key=lambda q: (q.id in last, *(taken[trait] for trait in _traits(q))))
        pool.remove(question)
        taken.update(_traits(question))
        chosen.append(question)
    return sorted(chosen, key=lambda question: LEVELS.index(question.difficulty))


def _traits(question) -> tuple:
    """What the draw spreads over, in the order in which it counts."""
    return (
        ("concept", question.concept),
        ("lesson", question.id[:2]),
        ("difficulty", question.difficulty),
    )


def retry(questions: Sequence, scores: Mapping[str, float]) -> list:
    """Those that were not answered fully right, or not at all, in the order they were asked.

    ``scores`` gives a share of 1 by question id.
    """
    return [question for question in questions if not _is_right(question, scores)]


def by_concept(questions: Sequence, scores: Mapping[str, float]) -> list[ConceptResult]:
    """The result of each concept, the weakest first (by share of right ones, then by name)."""
    results = []
    for concept in sorted({question.concept for question in questions}):
        asked = [question for question in questions if question.concept == concept]
        wrong = retry(asked, scores)
        sections = sorted({(question.id[:2], question.section) for question in wrong})
        right = len(asked) - len(wrong)
        results.append(ConceptResult(concept, right, len(asked), tuple(sections)))
    return sorted(results, key=lambda result: result.right / result.asked)


def _is_right(question, scores: Mapping[str, float]) -> bool:
    return scores.get(question.id, 0) >= 1
