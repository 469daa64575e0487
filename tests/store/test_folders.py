"""Where the course finds its own data, in a clone and when it is installed."""

import os
from pathlib import Path

import pytest

from course_utils.store import folders


def test_data_dir_of_a_clone_holds_the_photo_list():
    assert (folders.data_dir() / "flower_photos.csv").is_file()


def installed_package(monkeypatch, folder: Path) -> Path:
    package = folder / "site-packages" / "course_utils"
    package.mkdir(parents=True)
    monkeypatch.setattr(folders, "__file__", str(package / "store" / "folders.py"))
    return package


def test_data_dir_of_an_installed_package_ignores_a_stranger_called_data(monkeypatch, tmp_path):
    package = installed_package(monkeypatch, tmp_path)
    (package.parent / "data").mkdir()
    (package / "_data").mkdir()
    (package / "_data" / "flower_photos.csv").touch()
    assert folders.data_dir() == package / "_data"


def test_data_dir_missing_names_both_places(monkeypatch, tmp_path):
    package = installed_package(monkeypatch, tmp_path)
    with pytest.raises(FileNotFoundError, match="_data") as error:
        folders.data_dir()
    assert str(package.parent / "data") in str(error.value)


def test_cache_dir_is_made_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "a" / "b"))
    assert folders.cache_dir() == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_cache_dir_names_the_course_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_CACHE_DIR", raising=False)
    monkeypatch.setattr(folders, "user_cache_path", lambda name: tmp_path / name)
    assert folders.cache_dir() == tmp_path / "transfer-learning-measured"


def test_cache_dir_that_cannot_be_made_says_what_to_set(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(OSError, match="COURSE_CACHE_DIR"):
        folders.cache_dir()


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """A user whom the machine does not know, without HOME; in an empty folder."""
    pwd = pytest.importorskip("pwd")

    def unknown(user):
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in [name for name in os.environ if name == "HOME" or name.startswith("XDG_")]:
        monkeypatch.delenv(name)
    for name in ("COURSE_CACHE_DIR", "COURSE_PROGRESS", "COURSE_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert list(tmp_path.iterdir()) == [], "a folder was made where nobody asked for one"


@pytest.mark.parametrize(
    "place, variable",
    [(folders.cache_dir, "COURSE_CACHE_DIR"), (folders.progress_dir, "COURSE_PROGRESS")],
)
def test_a_user_without_a_home_is_told_what_to_set(nobody, place, variable):
    with pytest.raises(OSError, match=f"no home folder.*Set {variable}"):
        place()


@pytest.mark.parametrize("given", ["~nobody-of-that-name/course", "~/course"])
def test_a_tilde_of_nobody_is_named(nobody, monkeypatch, given):
    monkeypatch.setenv("COURSE_DATA_DIR", given)
    with pytest.raises(OSError, match=f"COURSE_DATA_DIR is {given}.*without ~"):
        folders.named_by("COURSE_DATA_DIR")


def test_what_a_variable_names(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for given, expected in [("~/a", "a"), ("b/../c", "c"), (f"  {tmp_path / 'd'} ", "d")]:
        monkeypatch.setenv("COURSE_DATA_DIR", given)
        assert folders.named_by("COURSE_DATA_DIR") == tmp_path / expected
    for given in ("", "  "):
        monkeypatch.setenv("COURSE_DATA_DIR", given)
        assert folders.named_by("COURSE_DATA_DIR") is None
    assert list(tmp_path.iterdir()) == []
