"""What `course.py` hands over to the packages: the progress, the machine, the fetching."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_utils import weights
from course_utils.datasets import photos
from courseware import cli
from courseware.bank.reading import BankError
from courseware.progress.store import Progress

ROOT = Path(__file__).resolve().parent.parent


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
    monkeypatch.setattr("courseware.bank.questions.load_banks", lambda: [bank])
    monkeypatch.setattr("courseware.bank.exercises.load_exercises", dict)
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
    assert cli.main(["progress", "export", "copy.json"]) == 0
    assert "Saved 1 question and 0 exercises in copy.json." in capsys.readouterr().out
    assert cli.main(["progress", "reset"]) == 0
    said = capsys.readouterr().out
    (backup,) = tmp_path.glob("progress.backup-*.json")
    assert said == f"Begun anew. What there was is in {backup}\n" and not learner.path.exists()
    assert cli.main(["progress", "reset"]) == 0
    assert capsys.readouterr().out == "Nothing to reset yet.\n"
    assert cli.main(["progress", "import", "copy.json"]) == 0
    assert "Took in 1 question and 0 exercises from copy.json." in capsys.readouterr().out
    assert learner.read()["questions"]["04-caching"]["best"] == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["import", "none.json"], "from none.json: no such file"),
        (["import", "junk.json"], "from junk.json: it holds something else than progress"),
        (["export", "junk.json"], "to junk.json: it holds something else than progress"),
        (["export", "none/a.json"], "to none/a.json: no such file"),
        (["export", ""], "it is a folder, not a file. Name another file."),
    ],
)
def test_progress_errors_are_sentences(learner, tmp_path, capsys, arguments, told):
    (tmp_path / "junk.json").write_text("junk")
    assert cli.main(["progress", *arguments]) == 2
    said, error = capsys.readouterr()
    assert told in error and said == "" and error.count("\n") == 1
    assert (tmp_path / "junk.json").read_text() == "junk"


@pytest.mark.parametrize("reader", ["questions.load_banks", "exercises.load_exercises"])
def test_progress_with_a_broken_bank_is_told(learner, monkeypatch, capsys, reader):
    def broken():
        raise BankError("04_x.yaml, line 7: no YAML")

    monkeypatch.setattr(f"courseware.bank.{reader}", broken)
    assert cli.main(["progress"]) == 2
    assert capsys.readouterr().err == "04_x.yaml, line 7: no YAML\n"


def test_progress_does_not_wait_for_torch(learner):
    script = (
        "import sys\nfrom courseware import cli\n"
        "code = cli.main(['progress', 'export', 'copy.json'])\n"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True)
