"""`course.py` leaves a .venv that is not its own as it is, and makes its own anew where it must."""

import os
import shutil

import pytest

from tests.tools.tiny_house import course, fails
from tools.setup import own_folder


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def outside(tmp_path_factory):
    """The learner's larger disk."""
    return tmp_path_factory.mktemp("larger disk")


def nothing(house, outside):
    (house / ".venv").symlink_to(outside / "not mounted")


def file(house, outside):
    (house / ".venv").write_text("name of an environment")  # as some tools keep it


def folder(house, outside):
    (house / ".venv/lib").mkdir(parents=True)
    (house / ".venv/lib/thesis.tex").touch()


def link(house, outside):
    (outside / "bin").mkdir()
    (outside / "bin/backup").touch()
    (house / ".venv").symlink_to(outside)


def broken_environment(house, outside):
    (house / ".venv/bin").mkdir(parents=True)
    (house / ".venv/pyvenv.cfg").touch()
    (house / ".venv/bin/python").symlink_to(outside / "gone")


FOREIGN = {
    nothing: "a link to {outside}/not mounted, which is not there",
    file: ".venv.\nWhat is there cannot be used: a file.",
    folder: "a folder with lib in it",
    link: "a link to {outside}, a folder with bin in it",
    broken_environment: "a Python environment.",
}


@pytest.mark.skipif(os.name == "nt", reason="makes links")
@pytest.mark.parametrize("what", FOREIGN, ids=lambda make: make.__name__)
def test_what_is_not_ours_is_left_and_told(house, outside, what):
    what(house, outside)
    before = files(house / ".venv"), files(outside)
    said = fails(
        course(house, "doctor"), "course did not make it", FOREIGN[what].format(**locals())
    )
    assert ("lead to an empty folder" if what in (nothing, link) else "rename ") in said
    fails(course(house, "clean"), "left .venv: ", "the course did not make", "What to do: ")
    assert (files(house / ".venv"), files(outside)) == before
    assert (house / ".venv").is_symlink() == (what in (nothing, link))


@pytest.mark.skipif(os.name == "nt", reason="makes links")
def test_a_link_to_an_empty_folder_is_used_and_emptied_again(house, outside):
    (house / ".venv").symlink_to(outside)
    done = course(house, "doctor")
    assert done.returncode == 0 and "called doctor" in done.stdout, done.stderr
    assert (outside / "course-stamp").exists()
    assert course(house, "doctor").stdout == "called doctor\n", "ready: nothing to do"

    # The learner's own file lies there now, and what is ours is removed around it.
    (outside / "thesis.tex").touch()
    assert "left thesis.tex" in course(house, "clean").stdout
    assert files(outside) == ["thesis.tex"] and (house / ".venv").is_symlink()
    (outside / "thesis.tex").unlink()
    assert course(house, "clean").returncode == 0, "an empty folder is nobody's"


def test_one_of_ours_is_emptied_around_the_learner_s_files(tmp_path):
    place = tmp_path / ".venv"
    own_folder.claim(place, "default")
    (place / "lib/python3.1").mkdir(parents=True)  # killed while it was made
    for ours_or_not in ("thesis.tex", "course-stamp", "pyvenv.cfg"):
        (place / ours_or_not).touch()
    own_folder.claim(place, "cpu")
    assert files(place) == ["course-wheels", "thesis.tex"] and own_folder.wheels(place) == "cpu"


@pytest.mark.parametrize("killed_after", range(4))
def test_a_removal_that_is_killed_can_go_on(tmp_path, monkeypatch, killed_after):
    place = tmp_path / ".venv"
    own_folder.claim(place, "default")
    for name in ("bin", "lib", "share"):
        (place / name / "deep").mkdir(parents=True)
    left = iter(range(killed_after))

    def rmtree(path, real=shutil.rmtree):
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(path)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    try:
        own_folder.remove(place)
    except KeyboardInterrupt:
        assert own_folder.is_ours(place)
    monkeypatch.undo()
    assert own_folder.remove(place) == []


def test_links_inside_are_removed_not_followed(tmp_path, outside):
    (outside / "precious").touch()
    own_folder.claim(tmp_path / ".venv", "default")
    (tmp_path / ".venv/lib").symlink_to(outside, target_is_directory=True)
    assert own_folder.remove(tmp_path / ".venv") == []
    assert files(outside) == ["precious"]


@pytest.fixture
def learners(furnished):
    """A .venv that the learner made, with a package of theirs whose installer left no INSTALLER."""
    (site,) = (furnished / ".venv").glob("[Ll]ib/**/site-packages")
    (site / "theirs-1.0.dist-info").mkdir()
    os.utime(site / "theirs-1.0.dist-info", (10**9, 10**9))
    settings = furnished / ".venv/share/jupyter/lab/settings/overrides.json"
    settings.parent.mkdir(parents=True)
    settings.write_text("theirs")
    return furnished, site, settings


def test_an_environment_that_works_gets_our_packages_and_stays_theirs(learners):
    house, site, settings = learners
    assert "called doctor" in course(house, "doctor").stdout
    assert (site / "tinywheel.py").exists()
    assert (site / "theirs-1.0.dist-info").exists() and settings.read_text() == "theirs"
    before = files(house / ".venv")
    fails(course(house, "doctor", "--cpu"), "already holds the default wheels", "rename ")
    (house / ".venv/course-stamp").unlink()
    fails(course(house, "doctor", "--cpu"), "a Python environment.", "nothing in it was touched")
    fails(course(house, "clean"), "left .venv: a Python environment")
    assert {*before} - {*files(house / ".venv")} == {"course-stamp"}


def test_our_own_settings_follow_the_course(furnished):
    own_folder.mark(furnished / ".venv", "default")
    settings = furnished / ".venv/share/jupyter/lab/settings/overrides.json"
    settings.parent.mkdir(parents=True)
    settings.write_text("of last year")
    assert course(furnished, "doctor").returncode == 0
    assert settings.read_bytes() == (furnished / "binder/overrides.json").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="makes a link")
def test_the_disk_that_counts_is_the_one_the_link_leads_to(house, outside):
    (house / ".venv").symlink_to(outside)
    usage = "type('Usage', (), {'free': 10**9 if 'larger' in str(path.resolve()) else 10**12})"
    before = f"import shutil; shutil.disk_usage = lambda path: {usage}"
    fails(course(house, "doctor", before=before), "Too little disk space", str(outside))
