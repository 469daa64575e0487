"""The suite's own driver: a failure in any stage must reach the exit code and the last line."""

import pytest

from tools import check
from tools.check import Result, Stage


def stage(name, code):
    return Stage(name, ["-c", code])


PYTEST = Stage("unit", ["-m", "pytest", "tests"])


def test_stages_are_run_and_their_failures_kept(monkeypatch, capfd):
    monkeypatch.setattr(
        check,
        "stages",
        lambda: [stage("good", "print('fine')"), stage("bad", "print('broken'); exit(3)")],
    )
    assert check.main([]) == 1
    shown = capfd.readouterr().out
    assert "good     passed" in shown and "bad      FAILED" in shown
    assert shown.rstrip().splitlines()[-1].startswith("=== 1 failed in ")
    assert check.main(["--only", "good"]) == 0
    with pytest.raises(SystemExit):
        check.main(["--only", "other"])


def test_a_stage_gets_its_variables(capfd):
    code = "import os; print(os.environ['COURSE_FLOWERS'])"
    result = check.run(Stage("one", ["-c", code], {"COURSE_FLOWERS": "rendered"}))
    assert (result.code, result.closing) == (0, "rendered")


@pytest.mark.parametrize(
    ("results", "line"),
    [
        (
            [Result(PYTEST, 0, 1.5, "31 passed, 2 skipped, 1 warning in 0.89s")],
            "=== 31 passed, 2 skipped, 1 warning in 1.50s ===",
        ),
        (
            [
                Result(PYTEST, 0, 1, "3 passed in 1s"),
                Result(PYTEST, 1, 2, "1 failed, 2 passed in 2s"),
            ],
            "=== 1 failed, 5 passed in 3.00s ===",
        ),
        ([Result(PYTEST, 4, 1, "ERROR: file not found")], "=== 1 failed in 1.00s ==="),
        (
            [
                Result(stage("build", ""), 1, 1, "04: 3 passed"),
                Result(PYTEST, 0, 1, "2 passed in 1s"),
            ],
            "=== 1 failed, 2 passed in 2.00s ===",
        ),
        (
            [Result(stage("build", ""), 0, 1, "5 notebooks are as built")],
            "=== no tests ran in 1.00s ===",
        ),
    ],
)
def test_the_last_line_adds_up(results, line):
    assert check.total(results) == line


def test_the_suite_has_all_its_stages():
    assert [stage.name for stage in check.stages()] == [
        "ruff",
        "format",
        "types",
        "build",
        "unit",
        "nbval",
        "lessons",
    ]


@pytest.mark.parametrize(
    ("asked", "here", "flowers"),
    [(None, "a folder", "photos"), (None, None, "rendered"), ("rendered", "a folder", "rendered")],
)
def test_nbval_takes_the_photos_where_there_are_some(monkeypatch, asked, here, flowers):
    monkeypatch.delenv("COURSE_FLOWERS", raising=False)
    if asked:
        monkeypatch.setenv("COURSE_FLOWERS", asked)
    monkeypatch.setattr(check, "find_photos", lambda: here)
    nbval = next(stage for stage in check.stages() if stage.name == "nbval")
    assert nbval.variables["COURSE_FLOWERS"] == flowers
