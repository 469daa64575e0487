"""Where the course finds its own data, in a clone and when it is installed."""

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
