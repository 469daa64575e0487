"""Two starts at once: the second waits for the first, and for nobody who is gone."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.tools.tiny_house import ROOT, finished, started
from tools.setup import one_start as locks
from tools.setup.one_start import one_start

HOLD = """
import sys
from pathlib import Path
from tools.setup.install_errors import run_watched
from tools.setup.one_start import one_start
with one_start(Path(sys.argv[1])):
    print("held", flush=True)
    {work}
"""
INSTALL = "import time; print('installing', flush=True); time.sleep(2)"
AN_INSTALLER = f'run_watched([sys.executable, "-c", {INSTALL!r}], Path())'


def holder(file, work="sys.stdin.readline()"):
    """A process that has the lock, and works meanwhile."""
    script = HOLD.format(work=work)
    command = [sys.executable, "-c", script, str(file)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def end(process):
    with process:  # closes its pipes
        process.kill()


def seconds_to_lock(file):
    start = time.monotonic()
    with one_start(file):
        return time.monotonic() - start


def test_two_first_starts_install_once(furnished):
    # The first start's pip is slow: the second begins in the middle of its work.
    slow = "import time, tools.setup.course_setup as setup; real = setup._install\n"
    slow += "setup._install = lambda *a, **k: (open('going', 'w'), time.sleep(3), real(*a, **k))"
    first = started(furnished, "doctor", before=f"import sys; sys.path.insert(0, '.'); {slow}")
    while not (furnished / "going").exists() and first.poll() is None:
        time.sleep(0.05)
    second = finished(started(furnished, "doctor"))
    first = finished(first)
    for done in (first, second):
        assert done.returncode == 0 and "called doctor" in done.stdout, done.stderr
    assert "Installing the course" in first.stdout and "waiting" not in first.stdout
    assert second.stdout.count("Another start of the course is at work here: waiting") == 1
    assert "Installing" not in second.stdout


def test_a_killed_holder_blocks_nobody(tmp_path, capsys):
    process = holder(tmp_path / "lock")
    end(process)
    assert seconds_to_lock(tmp_path / "lock") < 1
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows hands no file on")
def test_the_installer_of_a_killed_start_is_waited_for(tmp_path, capsys):
    process = holder(tmp_path / "lock", AN_INSTALLER)
    assert process.stdout.readline() == "installing\n"
    end(process)
    assert seconds_to_lock(tmp_path / "lock") > 1
    assert "waiting for it" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_a_waiting_start_can_be_stopped(house):
    process = holder(house / ".venv.lock")
    waiting = started(house, "doctor")
    assert "waiting" in waiting.stdout.readline()
    waiting.send_signal(signal.SIGINT)
    done = finished(waiting)
    end(process)
    assert done.returncode == 130 and "Traceback" not in done.stderr
    assert not (house / ".venv").exists()


def test_clean_waits_for_an_install(house):
    process = holder(house / ".venv.lock")
    cleaning = started(house, "clean")
    assert "waiting" in cleaning.stdout.readline()
    end(process)
    assert finished(cleaning).returncode == 0


def test_where_nothing_can_be_locked_nothing_is(tmp_path, monkeypatch):
    assert seconds_to_lock(tmp_path / "no folder" / "lock") < 1

    def no_locks(*arguments):
        raise OSError(95, "Operation not supported")

    module = locks.msvcrt if os.name == "nt" else locks.fcntl
    monkeypatch.setattr(module, "locking" if os.name == "nt" else "flock", no_locks)
    assert seconds_to_lock(tmp_path / "lock") < 1
