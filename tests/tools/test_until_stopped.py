"""Ctrl-C ends every command of `course.py` in a line."""

import os
import signal
import time

import pytest

from tests.tools.tiny_house import course, fails, finished, started
from tools.setup import own_folder
from tools.setup.until_stopped import main

WORK = "from pathlib import Path\nPath('going').touch()\nimport time; time.sleep(60)"


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
@pytest.mark.parametrize("stopped", ["importing", "at work"])
def test_ctrl_c_ends_a_command_without_a_traceback(furnished, stopped):
    assert course(furnished, "doctor").returncode == 0
    work = "import slow" if stopped == "importing" else WORK
    (furnished / "slow.py").write_text(WORK)
    (furnished / "courseware/cli.py").write_text(work)
    doctor = started(furnished, "doctor")
    while not (furnished / "going").exists() and doctor.poll() is None:
        time.sleep(0.05)
    doctor.send_signal(signal.SIGINT)
    done = finished(doctor)
    assert done.returncode == 130 and done.stderr == "\nStopped.\n"


def test_a_module_runs_as_python_would_run_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "tried.py").write_text(
        "import sys\nassert sys.modules['__main__'].__spec__.name == 'tried'\n"
        "print(__name__, sys.argv[0] == __file__, sys.argv[1:])\nsys.exit(3)"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.argv", [])
    with pytest.raises(SystemExit) as ended:
        main(["tried", "-x", "1"])
    assert ended.value.code == 3
    assert capsys.readouterr().out == "__main__ True ['-x', '1']\n"


@pytest.mark.skipif(os.name == "nt", reason="makes a .venv that cannot be written")
def test_a_refusal_of_the_system_is_a_sentence(house):
    own_folder.claim(house / ".venv", "default")
    (house / ".venv/bin").mkdir()
    (house / ".venv/bin/python").mkdir()  # no program
    (house / "requirements.txt").unlink()
    fails(course(house, "doctor"), "The system refused it: ", "requirements.txt: No such file")
