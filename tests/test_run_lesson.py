"""Running a lesson from the terminal: names, parameters, files, claims and exit codes."""

import nbformat
import pytest
import run_lesson
from nbformat.v4 import new_code_cell, new_notebook

CLAIMS = """
from course_utils.claims import claim
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


@pytest.mark.parametrize(
    "asked",
    ["04", "4", "04_feature_extraction", "feature_extraction", "04-feature-extraction", "feature",
     "04_feat", "notebooks/04_feature_extraction.ipynb", "lessons/04_feature_extraction.py"],
)  # fmt: skip
def test_a_lesson_has_many_names(house, asked):
    assert run_lesson.find_lesson(asked, house / "notebooks").stem == "04_feature_extraction"


def test_unknown_lesson_names_the_near_ones(house, capsys):
    assert run_lesson.main(["feature_extarction"]) == 2
    assert "Did you mean 04_feature_extraction?" in capsys.readouterr().err
    assert run_lesson.main(["77"]) == 2
    assert "There are 00_start_here, 04_feature_extraction, 05_" in capsys.readouterr().err
    assert run_lesson.main(["fine"]) == 2
    assert "Several lessons" in (said := capsys.readouterr().err)
    assert "05_fine_tuning, 08_fine_points" in said
    assert not (house / "runs").exists()


def test_no_notebooks_built_yet(tmp_path):
    with pytest.raises(run_lesson.UsageError, match="course.py build"):
        run_lesson.find_lesson("04", tmp_path)


def test_unknown_parameter_names_those_there_are(house, capsys):
    assert run_lesson.main(["00", "per_class", "20"]) == 2
    said = capsys.readouterr().err
    assert "no parameter 'per_class'. Did you mean PER_CLASS?" in said
    assert 'BACKBONE ("mobilenet_v2"), PER_CLASS (100)' in said


def test_values_take_the_type_of_the_lesson_s_own(house):
    lesson = house / "notebooks/00_start_here.ipynb"
    given = [["BACKBONE", "resnet18"], ["PER_CLASS", "20"], ["RATE", "1"], ["SEED", "3"]]
    values = run_lesson.read_parameters(lesson, given)
    assert values == {"BACKBONE": "resnet18", "PER_CLASS": 20, "RATE": 1.0, "SEED": 3}
    assert type(values["RATE"]) is float
    assert run_lesson.read_parameters(lesson, [["BACKBONE", "18"]]) == {"BACKBONE": "18"}


@pytest.mark.parametrize("value", ["abc", "2.5", "[1]", "True"])
def test_a_value_of_another_type(house, capsys, value):
    assert run_lesson.main(["00", "PER_CLASS", value]) == 2
    assert "PER_CLASS takes a value like 100 (int)" in capsys.readouterr().err


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
