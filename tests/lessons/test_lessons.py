"""Every lesson, executed with papermill the ways learners meet it. Minutes: pytest -m lessons

As they stand nbval runs them all, in strict mode, on the photos or else on the drawn flowers: see
the stage of that name in tools/check.py. Once is enough.
"""

import papermill
import pytest

from courseware.claims import MIME as CLAIM
from courseware.exercises.report import MIME
from tools.builder.execute import TIMEOUT, kernel_env
from tools.builder.lesson import EXERCISE, ROOT, tags
from tools.builder.notebook import lesson_with_solutions

LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
SMALL = {"PER_CLASS": 10, "EPOCHS": 1, "SEEDS": 3, "SIZE": 64}  # enough to run each line
LARGER = {"01_loading_pretrained_models": {"SIZE": 96}}  # it cuts patches of 96 pixels
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


def shown_as(kind: str, notebook) -> list[dict]:
    """What a run showed of one MIME type, in order."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


@each_lesson
def test_with_its_solutions_on_another_network_without_weights(lesson, run, tmp_path):
    """Drawn flowers, ResNet-18 with no file and no network, small settings, the solutions in place.

    Only structure counts then, and nothing pretrained is claimed. One run for all of it: a kernel
    and its imports cost more than many a lesson at these settings.
    """
    place = {"COURSE_OFFLINE": "1", "TORCH_HOME": str(tmp_path), "COURSE_FLOWERS": "rendered"}
    notebook = lesson_with_solutions(lesson)
    network = {"BACKBONE": "resnet18"} if _has_parameter(notebook, "BACKBONE") else {}
    # Small settings may cost the experiment of a lesson without a network its effect.
    settings = SMALL | LARGER.get(lesson.stem, {}) | network
    done = run(notebook, settings, COURSE_STRICT=str(len(network)), **place)
    exercises = sum(EXERCISE in tags(cell) for cell in notebook.cells)
    assert [check["status"] for check in shown_as(MIME, done)] == ["solved"] * exercises
    claims = shown_as(CLAIM, done)
    if network:
        assert any(claim["status"] == "skipped" for claim in claims)
        # A claim about seconds may miss on a machine that runs other tests beside it.
        assert all(claim["status"] != "fails" or claim["timed"] for claim in claims)
