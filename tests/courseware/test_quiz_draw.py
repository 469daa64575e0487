"""The draw of the final quiz: what must hold whatever the seed."""

import random
from collections import Counter, namedtuple

import pytest

from courseware.quiz.draw import LEVELS, ConceptResult, by_concept, draw, retry

Question = namedtuple("Question", "id concept section difficulty")
SEEDS = range(200)


def make_bank(lessons=5, concepts=4, levels=LEVELS):
    return [
        Question(f"{lesson:02d}-{concept}-{level}", f"{lesson} {concept}", f"On {concept}", level)
        for lesson in range(1, lessons + 1)
        for concept in "abcdefgh"[:concepts]
        for level in levels
    ]


def counts(questions, trait):
    return Counter(getattr(question, trait) for question in questions)


def lesson_counts(questions):
    return Counter(question.id[:2] for question in questions)


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_from_easy_to_hard_spread_over_everything(seed):
    chosen = draw(make_bank(), seed=seed)
    assert len(chosen) == len(set(chosen)) == 10
    levels = [LEVELS.index(question.difficulty) for question in chosen]
    assert levels == sorted(levels)
    assert max(counts(chosen, "concept").values()) == 1
    assert set(lesson_counts(chosen).values()) == {2} and len(lesson_counts(chosen)) == 5
    assert sorted(counts(chosen, "difficulty").values()) == [3, 3, 4]


@pytest.mark.parametrize("n", [1, 3, 7, 20, 23, 45, 60])
def test_any_number_is_spread_as_evenly(n):
    bank = make_bank()
    for seed in SEEDS[:20]:
        chosen = draw(bank, n=n, seed=seed)
        assert len(set(chosen)) == n
        by_name = [counts(chosen, "concept")[question.concept] for question in bank]
        assert max(by_name) - min(by_name) <= 1
        by_lesson = [lesson_counts(chosen)[question.id[:2]] for question in bank]
        assert max(by_lesson) - min(by_lesson) <= 1


def test_a_lesson_with_more_questions_is_not_asked_more():
    bank = [q for q in make_bank(4, 8) if q.id[:2] == "01" or q.difficulty == "easy"]
    for seed in SEEDS:
        assert sorted(lesson_counts(draw(bank, seed=seed)).values()) == [2, 2, 3, 3]


def test_a_concept_with_many_questions_is_asked_no_more_than_others():
    many = [Question(f"01-many-{n}", "many", "", "easy") for n in range(50)]
    few = [Question(f"02-few-{n}", f"few {n}", "", "hard") for n in range(4)]
    for seed in SEEDS:
        assert counts(draw(many + few, n=5, seed=seed), "concept")["many"] == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_comes_twice_in_a_row(seed):
    bank, last = make_bank(), ()
    for number in range(5):
        chosen = draw(bank, last, seed=1000 * seed + number)
        assert not {question.id for question in chosen} & set(last)
        assert max(counts(chosen, "concept").values()) == 1
        last = [question.id for question in chosen]


def test_questions_of_the_last_time_fill_up_what_is_missing():
    bank = make_bank(2, 3)  # 18
    for seed in SEEDS:
        first = {question.id for question in draw(bank, n=12, seed=seed)}
        second = {question.id for question in draw(bank, first, n=12, seed=seed + 1)}
        assert len(second) == 12 and len(second - first) == 6


def test_the_same_seed_chooses_the_same_whatever_the_order_of_the_bank():
    bank = make_bank()
    for seed in SEEDS:
        shuffled = random.Random(seed).sample(bank, len(bank))
        assert draw(bank, seed=seed) == draw(shuffled, seed=seed)
    assert bank == make_bank(), "the bank given stays as it was"


def test_every_question_has_its_turn():
    bank = make_bank()
    times = Counter(question for seed in SEEDS for question in draw(bank, seed=seed))
    assert len(times) == len(bank)
    assert max(times.values()) < 3 * len(SEEDS) * 10 / len(bank)
    assert len({tuple(draw(bank)) for _ in range(10)}) > 1, "without a seed, by chance"


def test_a_small_bank_gives_what_it_has():
    bank = make_bank(1, 2)
    assert sorted(draw(bank, seed=0)) == sorted(bank)
    assert sorted(draw(bank, [question.id for question in bank], seed=0)) == sorted(bank)
    assert draw([], seed=0) == []
    assert len(draw(bank, ["09-unknown"], n=3, seed=0)) == 3


@pytest.mark.parametrize("n", [0, -1])
def test_a_quiz_without_questions_is_refused(n):
    with pytest.raises(ValueError, match=f"n is {n}"):
        draw(make_bank(), n=n)


def test_retry_asks_what_was_not_fully_right():
    asked = draw(make_bank(), n=4, seed=0)
    scores = dict(zip([question.id for question in asked], [1, 0.99, 0], strict=False))
    assert retry(asked, scores) == asked[1:]
    assert retry(asked, {question.id: 1.0 for question in asked}) == []


def test_results_by_concept_lead_back_to_the_lessons():
    asked = [
        Question("02-a", "freezing", "One flag", "easy"),
        Question("04-b", "freezing", "Caching", "medium"),
        Question("04-c", "probes", "Probes", "medium"),
        Question("04-d", "caching", "Caching", "hard"),
        Question("04-e", "caching", "Caching", "hard"),
    ]
    scores = {"02-a": 1, "04-b": 0.5, "04-c": 1.0, "04-d": 0}
    assert by_concept(asked, scores) == [
        ConceptResult("caching", 0, 2, (("04", "Caching"),)),
        ConceptResult("freezing", 1, 2, (("04", "Caching"),)),
        ConceptResult("probes", 1, 1, ()),
    ]
    assert by_concept([], {}) == []
