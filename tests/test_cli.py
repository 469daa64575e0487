"""Running a lesson from the terminal: names, parameters, files, claims and exit codes."""

import os
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course_utils import cli, photos, weights
from course_utils.quiz.bank import BankError
from course_utils.quiz.progress import Progress

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
    monkeypatch.setenv("PYTHONPATH", str(cli.ROOT))
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "asked",
    ["04", "4", "04_feature_extraction", "feature_extraction", "04-feature-extraction", "feature",
     "04_feat", "notebooks/04_feature_extraction.ipynb", "lessons/04_feature_extraction.py"],
)  # fmt: skip
def test_a_lesson_has_many_names(house, asked):
    assert cli.find_lesson(asked, house / "notebooks").stem == "04_feature_extraction"


def test_unknown_lesson_names_the_near_ones(house, capsys):
    assert cli.main(["run", "feature_extarction"]) == 2
    assert "Did you mean 04_feature_extraction?" in capsys.readouterr().err
    assert cli.main(["run", "77"]) == 2
    assert "There are 00_start_here, 04_feature_extraction, 05_" in capsys.readouterr().err
    assert cli.main(["run", "fine"]) == 2
    assert "Several lessons" in (said := capsys.readouterr().err)
    assert "05_fine_tuning, 08_fine_points" in said
    assert not (house / "runs").exists()


def test_no_notebooks_built_yet(tmp_path):
    with pytest.raises(cli.UsageError, match="course.py build"):
        cli.find_lesson("04", tmp_path)


def test_unknown_parameter_names_those_there_are(house, capsys):
    assert cli.main(["run", "00", "-p", "per_class", "20"]) == 2
    said = capsys.readouterr().err
    assert "no parameter 'per_class'. Did you mean PER_CLASS?" in said
    assert 'BACKBONE ("mobilenet_v2"), PER_CLASS (100)' in said


def test_values_take_the_type_of_the_lesson_s_own(house):
    lesson = house / "notebooks/00_start_here.ipynb"
    given = [["BACKBONE", "resnet18"], ["PER_CLASS", "20"], ["RATE", "1"], ["SEED", "3"]]
    values = cli.read_parameters(lesson, given)
    assert values == {"BACKBONE": "resnet18", "PER_CLASS": 20, "RATE": 1.0, "SEED": 3}
    assert type(values["RATE"]) is float
    assert cli.read_parameters(lesson, [["BACKBONE", "18"]]) == {"BACKBONE": "18"}


@pytest.mark.parametrize("value", ["abc", "2.5", "[1]", "True"])
def test_a_value_of_another_type(house, capsys, value):
    assert cli.main(["run", "00", "-p", "PER_CLASS", value]) == 2
    assert "PER_CLASS takes a value like 100 (int)" in capsys.readouterr().err


def only_run(house, lesson):
    (notebook,) = (house / "runs" / lesson).glob("*.ipynb")
    assert notebook.with_suffix(".html").stat().st_size > 10_000
    return nbformat.read(notebook, as_version=4)


def test_a_run_writes_both_files_and_tells_the_claims(house, capfd):
    assert cli.main(["run", "00"]) == 0
    said, bars = capfd.readouterr()
    assert "✔ enough photos — 100" in said and "– on photos — no photos here" in said
    assert "✔ 1  ✘ 0  – 1  of 2 claims" in said
    assert "2/2" in bars and "WARNING" not in bars
    assert "widgets" not in only_run(house, "00_start_here").metadata


def test_a_claim_that_fails_fails_the_run(house, capfd):
    assert cli.main(["run", "00", "-p", "PER_CLASS", "20"]) == 1
    assert "✘ enough photos — 20" in capfd.readouterr().out
    sources = [cell.source for cell in only_run(house, "00_start_here").cells]
    assert any("PER_CLASS = 20" in source for source in sources)


def test_a_cell_that_raises_fails_the_run_and_leaves_the_notebook(house, capfd):
    assert cli.main(["run", "04"]) == 1
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
    assert cli.main(["run", "05"]) == 1
    assert "Most often memory ran out" in capfd.readouterr().out
    only_run(house, "05_fine_tuning")


def test_fetch_says_what_cannot_be_had_and_goes_on(monkeypatch, capsys):
    def no_weights(member):
        raise weights.WeightsUnavailable("no connection")

    def no_photos():
        raise photos.PhotosUnavailable("their download failed")

    monkeypatch.setattr(weights, "obtain", no_weights)
    monkeypatch.setattr(photos, "find_photos", lambda: None)
    monkeypatch.setattr(photos, "download_photos", no_photos)
    assert cli.main(["fetch"]) == 0
    said = capsys.readouterr().out
    assert "Weights: not now. no connection" in said
    assert "Photos: not now, because their download failed" in said


def test_fetch_brings_both(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(weights, "obtain", lambda member: asked.append(member.name))
    monkeypatch.setattr(photos, "find_photos", lambda: None)
    monkeypatch.setattr(photos, "download_photos", lambda: asked.append("photos"))
    assert cli.main(["fetch"]) == 0
    assert asked == ["IMAGENET1K_V1", "photos"]
    assert capsys.readouterr().out.count("verified") == 2


@pytest.fixture
def learner(tmp_path, monkeypatch):
    """A file of the learner's own, and a course of one question and no exercise."""
    question = SimpleNamespace(id="04-caching", concept="caching", section="Caching")
    bank = SimpleNamespace(
        lesson="04_feature_extraction", title="Feature extraction", questions=[question]
    )
    monkeypatch.setattr("course_utils.quiz.bank.load_banks", lambda: [bank])
    exercises = SimpleNamespace(load_exercises=dict)
    monkeypatch.setitem(sys.modules, "course_utils.exercises.store", exercises)
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.chdir(tmp_path)
    return Progress()


def test_progress_shows_the_panel_and_the_file(learner, capsys):
    assert cli.main(["progress"]) == 0
    said = capsys.readouterr().out
    assert "1 question and 0 exercises wait" in said and f"Kept in {learner.path}\n" in said
    learner.answer("04-caching", status="correct", score=1)
    assert cli.main(["progress"]) == 0
    assert "4 · Feature extraction  ████████████  1 of 1 right" in capsys.readouterr().out


def test_progress_goes_out_and_comes_in_again(learner, tmp_path, monkeypatch, capsys):
    learner.answer("04-caching", status="correct", score=1)
    assert cli.main(["progress", "--export", "copy.json"]) == 0
    assert "Saved 1 question and 0 exercises in copy.json." in capsys.readouterr().out
    assert cli.main(["progress", "--reset"]) == 0
    said = capsys.readouterr().out
    (backup,) = tmp_path.glob("progress.backup-*.json")
    assert said == f"Begun anew. What there was is in {backup}\n" and not learner.path.exists()
    assert cli.main(["progress", "--reset"]) == 0
    assert capsys.readouterr().out == "Nothing to reset yet.\n"
    assert cli.main(["progress", "--import", "copy.json"]) == 0
    assert "Took in 1 question and 0 exercises from copy.json." in capsys.readouterr().out
    assert learner.read()["questions"]["04-caching"]["best"] == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--import", "none.json"], "There is no file none.json"),
     (["--import", "junk.json"], "junk.json is no file of this course's progress"),
     (["--export", "junk.json"], "junk.json is no file of this course's progress"),
     (["--export", "none/a.json"], "none/a.json cannot be written: no such file"),
     (["--export", ""], "is a folder. Name a file in it.")],
)  # fmt: skip
def test_progress_errors_are_sentences(learner, tmp_path, capsys, arguments, told):
    (tmp_path / "junk.json").write_text("junk")
    assert cli.main(["progress", *arguments]) == 2
    said, error = capsys.readouterr()
    assert told in error and said == "" and error.count("\n") == 1
    assert (tmp_path / "junk.json").read_text() == "junk"


def test_progress_with_a_broken_bank_is_told(learner, monkeypatch, capsys):
    def broken():
        raise BankError("04_x.yaml, line 7: no YAML")

    monkeypatch.setattr("course_utils.quiz.bank.load_banks", broken)
    assert cli.main(["progress"]) == 2
    assert capsys.readouterr().err == "04_x.yaml, line 7: no YAML\n"


def test_progress_takes_one_flag_at_a_time(learner, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["progress", "--reset", "--export", "a.json"])
    assert stopped.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_progress_does_not_wait_for_torch(learner):
    script = (
        "import sys\nfrom course_utils import cli\n"
        "code = cli.main(['progress', '--export', 'copy.json'])\n"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    env = os.environ | {"PYTHONPATH": str(cli.ROOT)}
    subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True)
