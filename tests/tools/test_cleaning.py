"""`course.py clean` removes what the course made, and nothing of the learner's."""

import os

import pytest

from tests.tools.tiny_house import course
from tools.setup import own_folder
from tools.setup.cleaning import clean_up

STAY = (
    *("notebooks/00_start_here.ipynb", "notebooks/notes.txt", "data/flower_photos/a.jpg"),
    *("notebooks/.ipynb_checkpoints/00_start_here.ipynb", ".git/runs", "build/mine", "dist/mine"),
    *("runs/thesis/events.out", "runs/04_x/notes.ipynb", "runs/04_x/photo.png"),
    *("my_project/__pycache__/a.pyc", "tools/__pycache__/notes.txt", ".ruff_cache/mine"),
)
GO = (
    *("runs/04_x/20260102-030405.ipynb", "runs/04_x/20260102-030405.html"),
    *("runs/05_y/20260102-030405-1.ipynb", "runs/05_y/20260102-030405-1.html"),
    *("courseware/__pycache__/a.pyc", "tests/deep/__pycache__/a.pyc", "tools/__pycache__/a.pyc"),
    *(".pytest_cache/CACHEDIR.TAG", ".pytest_cache/v/x"),
)


@pytest.fixture
def lived_in(house):
    own_folder.claim(house / ".venv", "cpu")
    for name in (*STAY, *GO):
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).touch()
    return house


def test_what_was_made_goes_and_what_is_the_learner_s_stays(lived_in):
    done = course(lived_in, "clean")
    assert done.returncode == 0, done.stderr
    assert [name for name in GO if (lived_in / name).exists()] == []
    assert [name for name in STAY if not (lived_in / name).exists()] == []
    for gone in (".venv", "runs/05_y", "courseware/__pycache__", ".pytest_cache"):
        assert not (lived_in / gone).exists()
    assert "removed runs/05_y/20260102-030405-1.ipynb" in done.stdout
    assert "removed .venv" in done.stdout


def test_a_run_that_was_edited_stays(lived_in, capsys):
    run = lived_in / GO[0]
    os.utime(run, (run.stat().st_mtime + 10,) * 2)  # saved again after its page was written
    assert clean_up(lived_in)
    assert run.exists() and run.with_suffix(".html").exists()
    assert f"left {GO[0]}: it was changed after its run" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="makes links")
def test_what_links_lead_to_stays(house, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    for name in ("20260102-030405.ipynb", "20260102-030405.html", "CACHEDIR.TAG", "a.pyc"):
        (outside / name).touch()
    (house / "runs").mkdir()
    for name in ("runs/04_x", ".pytest_cache", "tools/__pycache__"):
        (house / name).symlink_to(outside, target_is_directory=True)
    assert clean_up(house)
    assert len(list(outside.iterdir())) == 4


def test_a_refusal_of_the_system_is_a_sentence(lived_in):
    poor = (
        "import pathlib\ndef unlink(*a, **k): raise PermissionError(13, 'Permission denied', 'x')"
    )
    done = course(lived_in, "clean", before=f"{poor}\npathlib.Path.unlink = unlink")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "The system refused it: x: Permission denied." in done.stderr
