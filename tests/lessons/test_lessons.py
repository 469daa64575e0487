"""Every lesson, executed with papermill the ways learners meet it. Minutes: pytest -m lessons

On the drawn flowers nbval runs them all, in strict mode: see the stage of that name in
tools/check.py. Once is enough.
"""

import papermill
import pytest

from course_utils.datasets.photos import find_photos
from courseware.claims import MIME as CLAIM
from courseware.exercises.report import MIME
from tools.builder.build import read
from tools.builder.execute import TIMEOUT, kernel_env
from tools.builder.lesson import EXERCISE, ROOT, tags
from tools.builder.notebook import lesson_with_solutions

LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
SMALL = {"PER_CLASS": 10, "EPOCHS": 1, "SEEDS": 3}  # enough to run each line
pytestmark = pytest.mark.lessons
each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


@pytest.fixture
def run(monkeypatch):
    """Execute a notebook with papermill, strictly: a failed claim or cell raises."""

    def execute(notebook, parameters=None, **variables):
        for key, value in kernel_env(**variables).items():
            monkeypatch.setenv(key, value)
        monkeypatch.delenv("MPLBACKEND", raising=False)
        known = {name for name in parameters or {} if _has_parameter(notebook, name)}
        return papermill.execute_notebook(
            notebook,
            None,
            {name: parameters[name] for name in known},
            kernel_name="python3",
            cwd=str(ROOT / "notebooks"),
            progress_bar=False,
            execution_timeout=TIMEOUT,
        )

    return execute


def _has_parameter(notebook, name: str) -> bool:
    cells = [cell.source for cell in notebook.cells if "parameters" in tags(cell)]
    return any(line.startswith(f"{name} =") for cell in cells for line in cell.splitlines())


def learner_notebook(lesson):
    return read(ROOT / "notebooks" / f"{lesson.stem}.ipynb")


def shown_as(kind: str, notebook) -> list[dict]:
    """What a run showed of one MIME type, in order."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


@each_lesson
def test_on_the_photos(lesson, run):
    if find_photos() is None:
        pytest.skip("no photos here: set COURSE_DATA_DIR")
    shown = shown_as(CLAIM, run(learner_notebook(lesson), COURSE_FLOWERS="photos"))
    # A claim about seconds may miss on a machine that runs other tests beside it.
    assert shown and all(claim["status"] != "fails" or claim["timed"] for claim in shown)


@each_lesson
def test_the_solutions_pass_their_checks(lesson, run):
    notebook = lesson_with_solutions(lesson)
    exercises = sum(EXERCISE in tags(cell) for cell in notebook.cells)
    if not exercises:
        pytest.skip("a lesson without exercises")
    # Small parameters may cost an experiment its effect; what counts here are the checks.
    done = run(notebook, SMALL, COURSE_FLOWERS="rendered", COURSE_STRICT="0")
    assert [check["status"] for check in shown_as(MIME, done)] == ["solved"] * exercises


@each_lesson
def test_on_another_network_without_weights(lesson, run, tmp_path):
    """ResNet-18 with no file and no network: structure only, and nothing pretrained is claimed."""
    place = {"COURSE_OFFLINE": "1", "TORCH_HOME": str(tmp_path), "COURSE_FLOWERS": "rendered"}
    notebook = learner_notebook(lesson)
    if not _has_parameter(notebook, "BACKBONE"):
        pytest.skip("a lesson without a network")
    shown = shown_as(CLAIM, run(notebook, SMALL | {"BACKBONE": "resnet18"}, **place))
    assert any(claim["status"] == "skipped" for claim in shown)
    assert all(claim["status"] != "fails" or claim["timed"] for claim in shown)
