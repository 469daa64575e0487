"""The files of the exercises: what a mistake in one of them is told as."""

import copy
import re
import subprocess
import sys

import pytest
import yaml

from courseware.bank.exercises import load_exercises, read_exercise
from courseware.bank.reading import BankError

SOUND = {
    "name": "add_one",
    "lesson": "02_freezing",
    "section": "Your turn",
    "title": "One more",
    "concept": "counting",
    "hints": ["What comes after a number?", "There is an operator for it."],
    "mistakes": {"too-few": "It is one short.", "other": "It is another number."},
    "solution": {"code": "def add_one(x, by=1):\n    return x + by\n", "steps": ["Add."]},
    "mutants": [
        {
            "name": f"n{n}",
            "mistake": "other" if n else "too-few",
            "code": f"def add_one(x, by=1):\n    return x + {n + 2}",
        }
        for n in range(5)
    ],
}


@pytest.fixture
def write(tmp_path):
    """Writes the sound exercise after a change, and returns its path."""

    def write(change=lambda content: None, name="add_one"):
        content = copy.deepcopy(SOUND)
        change(content)
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    return write


def test_a_sound_exercise_is_read(write):
    exercise = read_exercise(write())
    assert exercise.call == "add_one(x, by=1)" and exercise.arguments == (1, 2)
    assert load_exercises(write().parent) == {"add_one": exercise}


def change(path, value):
    def apply(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return apply


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (["hints"], ["one"], "field hints: List should have at least 2 items"),
        (["lesson"], "freezing", "field lesson: String should match"),
        (["titel"], "x", "field titel: Extra inputs are not permitted (given: 'x')"),
        (["mutants", 2, "code"], "", "field mutants[2].code: String should have at least 1"),
        (["mutants"], SOUND["mutants"][:4], "field mutants: List should have at least 5 items"),
        (["mutants", 1, "name"], "n2", "mutants: n2 is there twice"),
        (["mutants", 1, "mistake"], "strange", "mutants: no text for ['strange']"),
        (["mistakes", "unmade"], "Never.", "mistakes: no mutant makes ['unmade']"),
        (["solution", "code"], "x = 1", "solution: its code defines no function add_one"),
        (["solution", "code"], "def add_one(:", "solution: line 1 of its code: "),
        (["mutants", 3, "code"], "if", "mutant n3: line 1 of its code: "),
    ],
)
def test_a_mistake_names_file_and_field(write, path, value, told):
    with pytest.raises(BankError, match=re.escape(told)) as caught:
        read_exercise(write(change(path, value)))
    assert str(caught.value).startswith("add_one.yaml")


def test_a_file_of_another_name_is_told(write):
    with pytest.raises(BankError, match="field name: it says add_one, the file's name says two"):
        read_exercise(write(name="two"))


def test_yaml_that_cannot_be_read_names_its_line(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("name: broken\nhints: [one\ntitle: x\n", encoding="utf-8")
    with pytest.raises(BankError, match=r"^broken.yaml, line 3: "):
        read_exercise(path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title: One more\n", "title: One more\ntitle: Two more\n", ", line 5: title twice"),
        ("  other: It", "  too-few: It", ", line 11: too-few twice"),
        ("title: One more", "? [a, b]\n: One more", ", line 4: found unhashable key"),
        ("title: One more", "title: One \a more", ": unacceptable character"),
        ("title: One more", "title: One \xff more", ": byte 64 is not UTF-8"),
    ],
)
def test_what_yaml_would_pass_over_or_choke_on_is_told(write, old, new, told):
    path = write()
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="latin-1")
    with pytest.raises(BankError, match=re.escape(path.name + told)):
        read_exercise(path)


def test_a_missing_field_and_an_empty_file_are_told(write, tmp_path):
    with pytest.raises(BankError, match="add_one.yaml, field concept: Field required"):
        read_exercise(write(lambda content: content.pop("concept")))
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(BankError, match="empty.yaml: Input should be a valid dictionary"):
        read_exercise(tmp_path / "empty.yaml")


def test_texts_hold_no_html_and_end_as_sentences():
    for exercise in load_exercises().values():
        for text in [*exercise.hints, *exercise.mistakes.values(), *exercise.solution.steps]:
            assert not re.search(r"</?[a-z]+>|!(?!=)", text), text
            assert text.rstrip("`")[-1] in ".?)", text


def test_the_store_needs_no_torch():
    code = "import sys, courseware.bank.exercises as s; s.load_exercises(); "
    done = subprocess.run(
        [sys.executable, "-c", code + "print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
