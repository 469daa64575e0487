"""Running a lesson from the terminal: names, parameters, files, claims and exit codes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tools import run_lesson

TOOLS = Path(run_lesson.__file__).parent
CLAIMS = """
from courseware.claims import claim
claim("enough photos", PER_CLASS > 50, figure=PER_CLASS)
claim("on photos", True, when=False, otherwise="no photos here")
import ipywidgets; ipywidgets.IntSlider()
"""


def write_lesson(folder, name, *cells):
    parameters = 'BACKBONE = "mobilenet_v2"\nPER_CLASS = 100\nRATE = 0.1\nSEED = None'
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[tagged, *map(new_code_cell, cells)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, folder / f"{name}.ipynb")


@pytest.fixture
def house(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write_lesson(folder, "00_start_here", CLAIMS)
    write_lesson(folder, "04_feature_extraction", CLAIMS, "1 / 0", "never = True")
    write_lesson(folder, "05_fine_tuning", "import os; os._exit(1)")
    write_lesson(folder, "08_fine_points")
    # The kernel finds this checkout's course_utils, installed or not.
    monkeypatch.setenv("PYTHONPATH", str(run_lesson.ROOT))
    monkeypatch.setattr(run_lesson, "ROOT", tmp_path)
    return tmp_path


def test_what_is_no_lesson_runs_nothing(house, capsys):
    assert run_lesson.main(["²"]) == 2
    said, error = capsys.readouterr()
    assert "There is no lesson called '²'. There are 00_start_here, 04_feature" in error
    assert said == "" and not (house / "runs").exists()


def test_no_notebooks_built_yet(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_lesson, "ROOT", tmp_path)
    assert run_lesson.main(["04"]) == 2
    assert "Build them: python3 course.py build" in capsys.readouterr().err


def test_unknown_parameter_names_those_there_are(house, capsys):
    assert run_lesson.main(["00", "per_class", "20"]) == 2
    said = capsys.readouterr().err
    assert "no parameter 'per_class'. Did you mean PER_CLASS?" in said
    assert 'BACKBONE ("mobilenet_v2"), PER_CLASS (100)' in said


def test_values_take_the_type_of_the_lesson_s_own(house):
    lesson = house / "notebooks/00_start_here.ipynb"
    given = [("BACKBONE", "resnet18"), ("PER_CLASS", "20"), ("RATE", "1"), ("SEED", "3")]
    values = run_lesson.read_parameters(lesson, given)
    assert values == {"BACKBONE": "resnet18", "PER_CLASS": 20, "RATE": 1.0, "SEED": 3}
    assert type(values["RATE"]) is float
    assert run_lesson.read_parameters(lesson, [("BACKBONE", "18")]) == {"BACKBONE": "18"}


@pytest.mark.parametrize("value", ["abc", "2.5", "[1]", "True", "{[]: 1}", "(" * 300, "1" * 5000])
def test_a_value_of_another_type(house, capsys, value):
    assert run_lesson.main(["00", "PER_CLASS", value]) == 2
    assert "PER_CLASS takes a value like 100 (int)" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["<<<<<<< mine", "", "{}", "[]", "null", '{"nbformat": 9}'])
def test_a_notebook_that_is_none(house, capsys, content):
    (house / "notebooks/04_feature_extraction.ipynb").write_text(content)
    assert run_lesson.main(["04"]) == 2
    said = capsys.readouterr().err
    assert "04_feature_extraction.ipynb cannot be read" in said and "course.py build 04" in said


@pytest.mark.parametrize("blocking", ["runs", "runs/00_start_here"])
def test_a_file_where_the_results_go(house, capsys, blocking):
    (house / blocking).parent.mkdir(exist_ok=True)
    (house / blocking).write_text("mine")
    assert run_lesson.main(["00"]) == 2
    said = capsys.readouterr().err
    assert "results cannot be written" in said and f"rename {house / blocking}" in said
    assert (house / blocking).read_text() == "mine"


def test_a_full_disk_is_told(house, monkeypatch, capsys):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("papermill.execute_notebook", full)
    assert run_lesson.main(["00"]) == 1
    assert "The system refused it: No space left on device." in capsys.readouterr().err


def test_two_runs_in_one_second_are_two_files(tmp_path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda form: "20260102-030405")
    names = [run_lesson.new_run(tmp_path, "04_x").name for _ in range(3)]
    assert names == [f"20260102-030405{again}.ipynb" for again in ("", "-1", "-2")]


def only_run(house, lesson):
    (notebook,) = (house / "runs" / lesson).glob("*.ipynb")
    assert notebook.with_suffix(".html").stat().st_size > 10_000
    return nbformat.read(notebook, as_version=4)


def test_a_run_writes_both_files_and_tells_the_claims(house, capfd):
    assert run_lesson.main(["00"]) == 0
    said, bars = capfd.readouterr()
    assert "✔ enough photos — 100" in said and "– on photos — no photos here" in said
    assert "✔ 1  ✘ 0  – 1  of 2 claims" in said
    assert "2/2" in bars and "WARNING" not in bars
    assert "widgets" not in only_run(house, "00_start_here").metadata


def test_a_claim_that_fails_fails_the_run(house, capfd):
    assert run_lesson.main(["00", "PER_CLASS", "20"]) == 1
    assert "✘ enough photos — 20" in capfd.readouterr().out
    sources = [cell.source for cell in only_run(house, "00_start_here").cells]
    assert any("PER_CLASS = 20" in source for source in sources)


def test_a_cell_that_raises_fails_the_run_and_leaves_the_notebook(house, capfd):
    assert run_lesson.main(["04"]) == 1
    said = capfd.readouterr().out
    assert "ZeroDivisionError: division by zero" in said and "✔ enough photos" in said
    errors = [
        output
        for cell in only_run(house, "04_feature_extraction").cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert [error.ename for error in errors] == ["ZeroDivisionError"]


def test_a_kernel_that_dies_is_explained(house, capfd):
    assert run_lesson.main(["05"]) == 1
    assert "Most often memory ran out" in capfd.readouterr().out
    only_run(house, "05_fine_tuning")


def test_braces_in_the_path_are_no_parameters(house, monkeypatch, capfd):
    (house / "{PER_CLASS}{}").mkdir()
    (house / "notebooks").rename(house / "{PER_CLASS}{}/notebooks")
    monkeypatch.setattr(run_lesson, "ROOT", house / "{PER_CLASS}{}")
    assert run_lesson.main(["00", "PER_CLASS", "60"]) == 0
    only_run(house / "{PER_CLASS}{}", "00_start_here")


def test_ctrl_c_keeps_what_ran(house):
    write_lesson(
        house / "notebooks",
        "09_long",
        CLAIMS,
        "open('going', 'w'); import time",
        "time.sleep(60)",
        "never = True",
    )
    script = (
        f"import pathlib, sys; sys.path.insert(0, {str(TOOLS)!r}); import run_lesson\n"
        f"run_lesson.ROOT = pathlib.Path({str(house)!r}); sys.exit(run_lesson.main(['9']))"
    )
    command = [sys.executable, "-c", script]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (house / "notebooks/going").exists() and run.poll() is None:
        time.sleep(0.1)
    time.sleep(0.5)  # papermill writes down that cell before it begins the next
    run.send_signal(signal.SIGINT)
    said, bars = run.communicate(timeout=30)
    assert run.returncode == 130 and "Traceback" not in bars + said
    assert "✔ enough photos" in said and "Stopped by Ctrl-C" in said
    (executed,) = [cell for cell in only_run(house, "09_long").cells if "going" in cell.source]
    assert executed.execution_count
