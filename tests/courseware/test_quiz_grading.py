"""One table of cases for both halves of the grading, Python's and the browser's."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from courseware.quiz import grading

HERE = Path(__file__).parent
TABLE = json.loads((HERE / "grading_cases.json").read_text(encoding="utf-8"))
NODE = shutil.which("node")
# Reads the table, grades every case, and prints the grades as JSON.
IN_NODE = """
const { grade } = await import(process.argv[1]);
const { readFileSync } = await import("node:fs");
const { keys, cases } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const long = (given) => given.repeat[0].repeat(given.repeat[1]);
const answer = (given) => (Array.isArray(given?.repeat) ? long(given) : given);
console.log(JSON.stringify(cases.map((c) => grade(keys[c.key], answer(c.answer)))));
"""


def answer_of(case: dict):
    """The answer of a case; {"repeat": [text, times]} stands for a long one."""
    given = case["answer"]
    return given["repeat"][0] * given["repeat"][1] if isinstance(given, dict) else given


def wrong_cases(grades: list[dict]) -> list[str]:
    """The cases that were not graded as the table says."""
    return [
        f"{case['key']} {json.dumps(case['answer'])}: {grade}, expected {case['expect']}"
        for case, grade in zip(TABLE["cases"], grades, strict=True)
        if grade != case["expect"]
    ]


def test_the_table_is_as_large_as_it_should_be():
    assert len(TABLE["cases"]) >= 60
    assert {case["key"] for case in TABLE["cases"]} == set(TABLE["keys"])
    assert len({json.dumps(case) for case in TABLE["cases"]}) == len(TABLE["cases"])


def test_python_grades_as_the_table_says():
    grades = [grading.grade(TABLE["keys"][c["key"]], answer_of(c)) for c in TABLE["cases"]]
    assert wrong_cases(grades) == []


@pytest.mark.skipif(NODE is None, reason="Node.js is not here; the browser tests grade there too")
def test_the_browser_half_grades_as_the_table_says():
    module = (Path(grading.__file__).parent / "grading.mjs").as_uri()
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", IN_NODE, module, str(HERE / "grading_cases.json")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert wrong_cases(json.loads(done.stdout)) == []


@pytest.mark.parametrize("text", ["1,234.5", "1.234,5", "1234.5", "1_234.5", "2469/2"])
def test_numbers_are_read_the_way_they_are_written(text):
    assert grading.parse_number(text) == [1234.5]


def test_an_ambiguous_comma_keeps_both_readings():
    assert grading.parse_number("11,689") == [11689.0, 11.689]
    assert grading.parse_number("0,023") == [0.023]
