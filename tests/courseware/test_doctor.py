"""The doctor: each row green, and each row as it looks when something is amiss."""

import shutil
import socket
import sys
import types
from collections import namedtuple
from html.parser import HTMLParser

import psutil
import pytest

from course_utils import device, weights
from course_utils.datasets import photos
from courseware import cli, doctor
from courseware.doctor import Check, Panel

Memory = namedtuple("Memory", "total available")


@pytest.fixture(autouse=True)
def no_network_and_own_cache(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("the doctor must not use the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "cache"))
    places = ("COLAB_RELEASE_TAG", "BINDER_SERVICE_HOST", "BINDER_LAUNCH_HOST")
    for name in ("COURSE_DEVICE", "MEM_LIMIT", *places):
        monkeypatch.delenv(name, raising=False)


def test_every_row_says_something_and_amber_or_red_says_how_to_mend(monkeypatch):
    monkeypatch.setattr(photos, "look_for_photos", lambda: (None, [], []))
    monkeypatch.setattr(weights, "find_weights", lambda member: None)
    checks = doctor.doctor()
    assert len({check.name for check in checks}) == len(checks) == 9
    assert all(check.status in doctor.SIGNS and check.value for check in checks)
    assert all(check.mend for check in checks if check.status != "ok")
    assert {"Weights", "Photos"} <= {check.name for check in checks if check.status == "warn"}


def test_weights_and_photos_when_they_are_there(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "look_for_photos", lambda: (tmp_path, [], []))
    monkeypatch.setattr(weights, "find_weights", lambda member: tmp_path / "file.pth")
    found = {check.name: check for check in doctor.doctor()}
    assert found["Weights"].status == found["Photos"].status == "ok"
    assert "1,200" in found["Photos"].value
    # What a built notebook shows must not name folders of the machine that built it.
    assert str(tmp_path) not in repr(Panel(list(found.values())))


@pytest.mark.parametrize("found", [None, "somewhere"])
def test_a_wrong_data_folder_is_named(tmp_path, monkeypatch, found):
    wrong = ["COURSE_DATA_DIR is /x, and no folder flower_photos can be read in it"]
    monkeypatch.setattr(photos, "look_for_photos", lambda: (found, [], wrong))
    check = doctor._photos()
    assert check.status == "warn" and "COURSE_DATA_DIR is /x" in check.value + check.mend


def test_a_user_without_a_home_gets_rows_and_no_crash(tmp_path, monkeypatch):
    for name in ("COURSE_CACHE_DIR", "COURSE_DATA_DIR"):
        monkeypatch.setenv(name, "~nobody-of-that-name/course")
    monkeypatch.setattr("torch.hub.get_dir", lambda: "~/.cache/torch/hub")
    monkeypatch.chdir(tmp_path)
    found = {check.name: check for check in doctor.doctor()}
    assert found["Disk"].status == "bad" and "COURSE_CACHE_DIR" in found["Disk"].value
    assert "COURSE_DATA_DIR" in found["Photos"].value + found["Photos"].mend
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights_count_as_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    file = tmp_path / "checkpoints" / weights.MIRRORED
    file.parent.mkdir()
    file.write_bytes(b"half a file")
    assert doctor._weights().status == "warn"
    assert file.read_bytes() == b"half a file"


def test_versions_against_the_constraints(tmp_path, monkeypatch):
    pins = tmp_path / "constraints.txt"
    pins.write_text("# tested==0.0\nnumpy==0.1\ntorch==2.15.0\nnot-installed==1.0\n")
    monkeypatch.setattr(doctor, "CONSTRAINTS", pins)
    installed = {"numpy": "0.1", "torch": "2.15.0+cpu", "torchvision": "0.29.2"}
    monkeypatch.setattr(doctor, "_version", lambda name: installed.get(name, ""))
    assert doctor._versions().status == "ok"
    installed["numpy"] = "0.2"
    check = doctor._versions()
    assert check.status == "warn" and "numpy 0.2 (not 0.1)" in check.value
    assert "constraints.txt" in check.mend
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")  # whose versions are not ours to change
    assert doctor._versions().status == "ok"


def test_device_that_is_not_there(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "abacus")
    check = doctor._device()
    assert check.status == "bad" and "abacus" in check.value and "COURSE_DEVICE" in check.mend


@pytest.mark.parametrize(("free", "status"), [(1.4e9, "warn"), (1.6e9, "ok")])
def test_memory(monkeypatch, free, status):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(8e9, free))
    assert doctor._memory().status == status


def test_memory_of_a_binder_session_is_its_limit(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(64e9, 60e9))
    monkeypatch.setenv("MEM_LIMIT", str(10**9))
    check = doctor._memory()
    assert check.status == "warn" and "of 1.0 GB" in check.value


def test_disk(monkeypatch):
    usage = namedtuple("Usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**8))
    assert doctor._disk().status == "warn"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**10))
    assert doctor._disk().status == "ok"


def test_cache_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    check = doctor._disk()
    assert check.status == "bad" and "COURSE_CACHE_DIR" in check.mend


@pytest.mark.parametrize(
    ("missing", "status"), [((), "ok"), (("jupyterlab",), "warn"), (("ipywidgets",), "bad")]
)
def test_jupyterlab(monkeypatch, missing, status):
    monkeypatch.setattr(doctor, "_version", lambda name: "" if name in missing else "1.0")
    check = doctor._jupyterlab()
    assert check.status == status
    assert all(name in check.value for name in missing)


def test_no_browser_worries_nobody(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert doctor._browser().status == "ok"


PANEL = Panel([Check("Good", "ok", "1 < 2"), Check("Poor", "bad", "<b>", 'set "X" & go')])


def test_panel_as_text():
    assert repr(PANEL).splitlines() == ["✔ Good  1 < 2", "✘ Poor  <b>", '        → set "X" & go']
    assert repr(Panel([])) == ""


def test_panel_as_html_escapes_and_closes_what_it_opens():
    page = PANEL._repr_html_()
    assert "1 &lt; 2" in page and "&lt;b&gt;" in page and "&amp; go" in page
    assert 'aria-label="bad"' in page and "var(" not in page
    open_tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: open_tags.append(tag)
    parser.handle_endtag = lambda tag: open_tags.pop() == tag or pytest.fail(f"stray {tag}")
    parser.feed(page)
    assert open_tags == []


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("bad", 1)])
def test_exit_code_of_the_command(monkeypatch, capsys, status, code):
    monkeypatch.setattr(doctor, "doctor", lambda: [Check("Row", status, "value", "mend it")])
    assert cli.main(["doctor"]) == code
    assert "mend it" in capsys.readouterr().out


def test_the_doctor_reads_the_same_device_as_the_lessons():
    assert device.pick_device().type in doctor._device().value.lower()


def test_environment_is_a_terminal_in_tests(monkeypatch):
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    assert doctor.environment() == "terminal"


def test_environment_is_jupyter_in_a_kernel(monkeypatch):
    import IPython

    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=object()))
    assert doctor.environment() == "jupyter"


@pytest.mark.parametrize("name", ["BINDER_SERVICE_HOST", "BINDER_LAUNCH_HOST"])
def test_environment_binder(monkeypatch, name):
    monkeypatch.setenv(name, "hub.example")
    assert doctor.environment() == "binder"


def test_environment_colab_by_variable_or_module(monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-1")
    assert doctor.environment() == "colab"
    monkeypatch.delenv("COLAB_RELEASE_TAG")
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert doctor.environment() == "colab"
