"""The shape of a file of progress, and how two are put together."""

import itertools
import json
import random

import pytest

from courseware.progress import records
from courseware.progress.records import BrokenFile, NotProgress, add, empty, merge, parse

STATUSES = ("correct", "partial", "wrong")
WHEN = [f"2025-03-0{day}T10:00:00.000+00:00" for day in range(1, 8)]


def question(**known):
    return {
        "tries": 1,
        "hints": 0,
        "steps": 0,
        "best": 0.0,
        "last": "wrong",
        "when": WHEN[0],
    } | known


def exercise(**known):
    start = {"tries": 1, "solved": False, "hints": 0, "seen": False, "when": WHEN[0]}
    return start | known


def document(questions=None, exercises=None, finals=(), receipts=()):
    known = {"questions": questions or {}, "exercises": exercises or {}}
    return empty() | known | {"finals": list(finals), "receipts": list(receipts)}


def encode(value):
    return json.dumps(value).encode()


RECEIPTS = [f"17640000000{n}-abc" for n in range(10, 16)]
FINAL = {"when": WHEN[2], "asked": ["04-caching"], "scores": {"04-caching": 0.5}}
FULL = document({"04-caching": question()}, {"freeze_backbone": exercise()}, [FINAL])


def test_what_is_written_is_read():
    assert parse(records.encode(FULL)) == (FULL, [])


def test_a_file_of_the_first_course_is_read():
    # As it was written before there were receipts.
    known = {"version": 1, "questions": FULL["questions"], "exercises": {}, "finals": [FINAL]}
    assert parse(json.dumps(known, indent=1).encode()) == (FULL | {"exercises": {}}, [])
    assert parse(encode({"version": 1, "questions": {}})) == (empty(), [])


@pytest.mark.parametrize("size", range(30, len(records.encode(FULL))))
def test_our_file_cut_anywhere_is_known_as_ours(size):
    with pytest.raises(BrokenFile):
        parse(records.encode(FULL)[:size])


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"version": 1}',
        b'{"version": "1", "questions": {}}',
        b'{"version": true, "questions": {}}',
        b'{"version": 0, "questions": {}}',
        b'{"version": 1.0, "questions": {}}',
        b'{"version": 1, "questions": []}',
        b'{"version": 1, "questions": {}, "exercises": null}',
        b'{"version": 1, "questions": {}, "finals": {}}',
        b"[" * 100_000,
        b'{"version": 1' + b"0" * 5000 + b"}",
    ],
    ids=lambda content: repr(content[:50]),
)
def test_what_is_no_progress_is_not_ours(content):
    with pytest.raises(NotProgress):
        parse(content)


def test_a_newer_version_is_not_called_broken():
    with pytest.raises(NotProgress, match="newer version"):
        parse(encode({"version": 2, "questions": "of another shape"}))


@pytest.mark.parametrize(
    "unsound",
    [
        None,
        3,
        [],
        {"tries": -1},
        {"tries": 1.5},
        {"tries": True},
        {"hints": "2"},
        {"best": 1.1},
        {"best": float("nan")},
        {"best": None},
        {"last": "ok"},
        {"last": ["wrong"]},
        {"when": 17},
        {"when": "yesterday"},
    ],
    ids=repr,
)
def test_one_unsound_entry_does_not_cost_the_others(unsound):
    read, dropped = parse(encode(document({"04-caching": question(), "04-x": unsound})))
    assert read["questions"] == {"04-caching": question()} and dropped == ["'04-x'"]


@pytest.mark.parametrize("unsound", [{"solved": 1}, {"seen": "yes"}, {"tries": None}, "solved"])
def test_unsound_exercises(unsound):
    read, dropped = parse(encode(document({}, {"a": unsound, "b": exercise()})))
    assert list(read["exercises"]) == ["b"] and dropped == ["'a'"]


@pytest.mark.parametrize(
    "unsound",
    [
        3,
        {},
        FINAL | {"when": 1},
        FINAL | {"asked": "04-x"},
        FINAL | {"asked": [4]},
        FINAL | {"scores": []},
        FINAL | {"scores": {"04-x": 2}},
    ],
    ids=repr,
)
def test_unsound_finals(unsound):
    read, dropped = parse(encode(document(finals=[unsound, FINAL])))
    assert read["finals"] == [FINAL] and dropped == ["finals"]


def test_what_an_entry_lacks_is_at_its_start():
    read, dropped = parse(encode(document({"04-x": {"tries": 2}}, {"a": {}})))
    assert dropped == []
    assert read["questions"]["04-x"] == {"tries": 2, "hints": 0, "steps": 0, "best": 0.0}
    assert read["exercises"]["a"] == records.START["exercises"]


def test_unknown_keys_survive_reading_adding_and_merging():
    full = document({"04-x": question(mood="good", seen="text")}, {"a": exercise(last="wrong")})
    full |= {"theme": "dark"}
    read, dropped = parse(encode(full))
    assert read == full and dropped == []
    new = document({"04-x": question(when=WHEN[1])}, {"a": exercise(when=WHEN[1])})
    for joined in (add(full, new), merge(full, new), merge(new, full)):
        assert joined["theme"] == "dark"
        assert joined["questions"]["04-x"]["mood"] == "good"
        assert joined["questions"]["04-x"]["seen"] == "text"


def test_adding_counts_tries_and_keeps_the_best():
    first = question(best=0.75, last="partial", hints=2)
    then = question(best=0.25, last="wrong", hints=1, steps=1, when=WHEN[1])
    joined = add(document({"q": first}), document({"q": then}))["questions"]["q"]
    assert joined == question(tries=2, best=0.75, last="wrong", hints=2, steps=1, when=WHEN[1])


def test_the_last_added_is_the_last_even_when_the_clock_was_wrong():
    old, new = question(when=WHEN[5]), question(last="correct", best=1.0, when=WHEN[1])
    assert add(document({"q": old}), document({"q": new}))["questions"]["q"]["last"] == "correct"


def test_a_message_that_comes_again_changes_nothing():
    known = document({"q": question()}, receipts=RECEIPTS[:1])
    again = document({"q": question(when=WHEN[1])}, receipts=RECEIPTS[:1])
    assert add(known, again) == known
    new = again | {"receipts": RECEIPTS[1:2]}
    joined = add(known, new)
    assert joined["questions"]["q"]["tries"] == 2 and joined["receipts"] == RECEIPTS[:2]


def test_the_newest_receipts_are_kept(monkeypatch):
    monkeypatch.setattr(records, "KEPT_RECEIPTS", 3)
    old, new = document(receipts=RECEIPTS[:3]), document(receipts=RECEIPTS[3:5])
    for join in (add, merge):
        assert join(old, new)["receipts"] == join(new, old)["receipts"] == RECEIPTS[2:5]


@pytest.mark.parametrize("unsound", [3, "", "17640000000-1", "1764000000010-" + "a" * 30, "../x"])
def test_unsound_receipts(unsound):
    read, dropped = parse(encode(document(receipts=[unsound, RECEIPTS[0]])))
    assert read["receipts"] == RECEIPTS[:1] and dropped == ["receipts"]


def test_a_hint_after_a_try_leaves_its_outcome_and_time():
    hint = {"tries": 0, "hints": 3, "steps": 0, "best": 0.0, "when": WHEN[4]}
    joined = add(document({"q": question()}), document({"q": hint}))["questions"]["q"]
    assert joined == question(hints=3)
    assert merge(document({"q": question()}), document({"q": hint}))["questions"]["q"] == joined


def test_merging_takes_the_larger_counts_and_the_later_outcome():
    mine = question(tries=3, best=1.0, last="correct", when=WHEN[1])
    theirs = question(tries=2, hints=2, last="partial", best=0.5, when=WHEN[2])
    joined = merge(document({"q": mine}), document({"q": theirs}))["questions"]["q"]
    assert joined == question(tries=3, hints=2, best=1.0, last="partial", when=WHEN[2])


def test_what_was_solved_stays_solved():
    solved, later = exercise(solved=True), exercise(seen=True, when=WHEN[3])
    for join in (add, merge):
        entry = join(document({}, {"a": solved}), document({}, {"a": later}))["exercises"]["a"]
        assert entry["solved"] and entry["seen"] and entry["when"] == WHEN[3]


def random_document(rng):
    def some(make):
        return {name: make() for name in "abc" if rng.random() < 0.7}

    def any_question():
        entry = question(
            tries=rng.randrange(4),
            hints=rng.randrange(4),
            steps=rng.randrange(3),
            best=rng.choice([0.0, 0.5, 1.0]),
            last=rng.choice(STATUSES),
            when=rng.choice(WHEN),
        )
        if rng.random() < 0.2:
            del entry["last"]
        return entry

    def any_exercise():
        return exercise(
            tries=rng.randrange(4),
            solved=rng.random() < 0.5,
            seen=rng.random() < 0.5,
            when=rng.choice(WHEN),
        )

    finals = [FINAL | {"when": when} for when in sorted(rng.sample(WHEN, rng.randrange(4)))]
    receipts = sorted(rng.sample(RECEIPTS, rng.randrange(4)))
    return document(some(any_question), some(any_exercise), finals, receipts)


@pytest.mark.parametrize("seed", range(100))
def test_merging_is_idempotent_and_order_does_not_matter(seed):
    rng = random.Random(seed)
    a, b, c = (random_document(rng) for _ in range(3))
    assert merge(a, a) == a
    assert merge(merge(a, b), b) == merge(a, b)
    results = [merge(merge(x, y), z) for x, y, z in itertools.permutations((a, b, c))]
    assert all(result == results[0] == merge(a, merge(b, c)) for result in results)
    assert parse(encode(results[0])) == (results[0], [])
    for group in records.START:
        for name in a[group]:
            for key in records.START[group]:
                assert results[0][group][name][key] >= a[group][name][key]


@pytest.mark.parametrize("join", [add, merge])
def test_joining_changes_neither_of_the_two(join):
    one, other = random_document(random.Random(1)), random_document(random.Random(2))
    before = encode(one), encode(other)
    join(one, other)
    assert (encode(one), encode(other)) == before
