"""Where the course finds its own data, in a clone and when it is installed."""

from pathlib import Path

import pytest

from course_utils import files


def test_data_dir_of_a_clone_holds_the_photo_list():
    assert (files.data_dir() / "flower_photos.csv").is_file()


def installed_package(monkeypatch, folder: Path) -> Path:
    package = folder / "site-packages" / "course_utils"
    package.mkdir(parents=True)
    monkeypatch.setattr(files, "__file__", str(package / "files.py"))
    return package


def test_data_dir_of_an_installed_package_ignores_a_stranger_called_data(monkeypatch, tmp_path):
    package = installed_package(monkeypatch, tmp_path)
    (package.parent / "data").mkdir()
    (package / "_data").mkdir()
    (package / "_data" / "flower_photos.csv").touch()
    assert files.data_dir() == package / "_data"


def test_data_dir_missing_names_both_places(monkeypatch, tmp_path):
    package = installed_package(monkeypatch, tmp_path)
    with pytest.raises(FileNotFoundError, match="_data") as error:
        files.data_dir()
    assert str(package.parent / "data") in str(error.value)
