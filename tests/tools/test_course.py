"""`course.py`: each way a set-up can go wrong is provoked for real, in a tiny house of its own."""

import ast
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.tools.tiny_house import BASE_PYTHON, CALLED, ROOT, course, fails
from tools.setup import course_commands, course_setup, install_errors, own_folder
from tools.setup.course_setup import Place, SetupError


def test_old_python_is_told_so(house):
    fails(
        course(house, "lab", before="import sys; sys.version_info = (3, 10, 13, 'final', 0)"),
        "needs Python 3.11 or newer",
        "python3.12 course.py lab",
    )


def test_course_py_keeps_to_the_grammar_of_python_2():
    source = (ROOT / "course.py").read_text(encoding="utf-8")
    assert source.isascii()
    nodes = list(ast.walk(ast.parse(source)))
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.AsyncFunctionDef, ast.Match)
    assert not [node for node in nodes if isinstance(node, newer)]


def test_no_ensurepip_names_the_package(house):
    done = course(house, "lab", before="import sys; sys.modules['ensurepip'] = None")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    fails(done, "without its ensurepip module", f"sudo apt install python{version}-venv")
    assert not (house / ".venv").exists()


SMALL_DISK = "import shutil; shutil.disk_usage = lambda path: type('Usage', (), {'free': 10**9})"


@pytest.mark.skipif(sys.platform != "linux", reason="only there the default wheels are large")
def test_too_little_disk_names_the_cpu_wheels(house):
    done = course(house, "test", before=SMALL_DISK)
    fails(done, "about 7 GB", "1.0 GB are free", "add --cpu")


def test_too_little_disk_for_cpu_wheels_does_not_name_them(house):
    said = fails(course(house, "test", "--cpu", before=SMALL_DISK), "Too little disk space")
    assert "add --cpu" not in said


def test_no_network(furnished):
    index = {"PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_NO_INDEX": "0"}
    done = course(furnished, "doctor", PIP_FIND_LINKS="", PIP_RETRIES="1", **index)
    fails(done, "no package index could be reached", "HTTPS_PROXY", "the same command again")
    assert not (furnished / ".venv/course-stamp").exists()


def test_nothing_that_fits(furnished):
    (furnished / "constraints.txt").write_text("tinywheel==3.0\n")
    fails(course(furnished, "doctor"), "no build of a package fits", "PIP_NO_INDEX")


def test_full_disk_and_unknown_reason_are_told_apart():
    full = install_errors.explain("OSError: [Errno 28] No space left on device", Path("here"))
    assert "disk is full" in full and "TMPDIR" in full
    assert "installer's own lines" in install_errors.explain("broken metadata", Path("here"))


@pytest.fixture
def taken_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_taken_port_is_told_before_anything_is_installed(house, taken_port):
    done = course(house, "lab", "--no-browser", "--port", str(taken_port))
    fails(done, f"Port {taken_port} cannot be used", "leave --port out")
    assert not (house / ".venv").exists()


@pytest.mark.parametrize("port", ["0", "70000"])
def test_impossible_port(house, port):
    fails(course(house, "lab", "--port", port), "from 1 to 65535")


def test_unknown_command_and_missing_argument(house):
    assert "invalid choice" in fails(course(house, "lap"))
    assert "LESSON" in fails(course(house, "run"))


def test_installs_once_then_nothing_then_what_changed(house):
    first = course(house, "run", "04", "-p", "PER_CLASS", "20")
    assert first.returncode == 0, first.stderr
    assert "Installing" in first.stdout and "called fetch" in first.stdout
    assert "called 04 PER_CLASS 20" in first.stdout

    # With nowhere to install from, a second start can only do nothing.
    second = course(house, "doctor", PIP_FIND_LINKS="", PIP_INDEX_URL="http://127.0.0.1:9")
    assert second.stdout == "called doctor\n"

    (house / "constraints.txt").write_text("tinywheel==2.0\n")
    third = course(house, "doctor")
    assert "tinywheel-2.0" in third.stdout and "called fetch" not in third.stdout


def test_half_an_install_is_completed(furnished):
    assert course(furnished, "doctor").returncode == 0
    (furnished / ".venv/course-stamp").unlink()
    (site,) = (furnished / ".venv").glob("[Ll]ib/**/site-packages")
    # As a killed pip leaves a package: metadata there, INSTALLER (written last) not.
    (site / "tinywheel-1.0.dist-info/INSTALLER").unlink()
    (site / "tinywheel.py").unlink()
    assert course(furnished, "doctor").returncode == 0
    assert (site / "tinywheel.py").exists()


def test_a_venv_whose_python_is_gone_is_made_again(house):
    (house / ".venv/bin").mkdir(parents=True)
    (house / ".venv/bin/python").symlink_to(house / "gone")
    (house / ".venv/course-wheels").write_text("default")
    done = course(house, "doctor")
    assert done.returncode == 0 and "Making .venv" in done.stdout


@pytest.fixture
def setup_in(house, monkeypatch):
    """course_setup with the house as its root, and the installers' commands written down."""
    commands = []

    def note(command, place):
        pins = command[command.index("-c") + 1] if "-c" in command else None
        commands.append((command[1:], Path(house, pins).read_text() if pins else ""))

    monkeypatch.setattr(course_setup, "ROOT", house)
    monkeypatch.setattr(course_setup, "_run", note)
    monkeypatch.setattr(
        course_setup, "_make_venv", lambda place, wheels: own_folder.claim(place.prefix, wheels)
    )
    monkeypatch.setattr(course_setup, "_must_work", lambda *command: None)
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    for name in ("COLAB_RELEASE_TAG", "BINDER_SERVICE_HOST", "BINDER_LAUNCH_HOST"):
        monkeypatch.delenv(name, raising=False)
    return commands


def test_cpu_wheels_come_by_uv_and_are_remembered(setup_in, house):
    course_setup.set_up(cpu=True)
    assert setup_in[0][0] == [*"-m pip install --no-input --disable-pip-version-check uv".split()]
    wanted = "--torch-backend cpu -r requirements.txt -c constraints.txt"
    assert " ".join(setup_in[1][0]).endswith(wanted)
    (house / ".venv/course-stamp").unlink()  # cut short
    course_setup.set_up(cpu=False)
    assert "--torch-backend cpu" in " ".join(setup_in[3][0])


def test_cpu_after_the_default_wheels_is_refused(setup_in, house):
    course_setup.set_up()
    (house / ".venv/bin").mkdir(exist_ok=True)
    Place("own", house / ".venv").python.parent.mkdir(exist_ok=True)
    Place("own", house / ".venv").python.touch()
    with pytest.raises(SetupError, match=r"course\.py clean"):
        course_setup.set_up(cpu=True)


def test_where_am_i(setup_in, house, tmp_path, monkeypatch):
    assert course_setup.find_place() == Place("own", house / ".venv")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    assert course_setup.find_place().kind == "venv"
    (tmp_path / "env/conda-meta").mkdir(parents=True)
    assert course_setup.find_place().kind == "conda"
    monkeypatch.setenv("BINDER_LAUNCH_HOST", "somewhere")
    assert course_setup.find_place().kind == "binder"
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    assert course_setup.find_place().kind == "colab"
    assert course_setup.find_place().python == Path(sys.executable)


def test_an_active_environment_gets_only_what_it_lacks(setup_in, house, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    (house / "requirements.txt").write_text("-e .\n# a comment\npytest\ntinywheel\n")
    course_setup.set_up()
    (added, pins), (editable, _) = setup_in
    assert "tinywheel" in added and "pytest" not in added
    assert "torch==" in pins and "tinywheel" not in pins
    assert editable[-3:] == ["--no-deps", "-e", "."]
    assert not (house / ".venv").exists()


def test_colab_keeps_its_torch_and_ipywidgets(setup_in, house, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    monkeypatch.setattr(course_setup, "_version", lambda name: None)
    (house / "requirements.txt").write_text("-e .\ntorch\ntorchvision\nipywidgets\ntinywheel\n")
    assert course_setup.missing_packages("colab") == ["tinywheel"]
    assert len(course_setup.missing_packages("venv")) == 4


def test_lab_in_colab_points_to_the_badge(house):
    fails(course(house, "lab", COLAB_RELEASE_TAG="release"), "Colab badge")


def test_a_failed_fetch_stops_nothing_and_is_tried_again(furnished):
    (furnished / "courseware/cli.py").write_text(
        f"import sys; sys.exit('no fetch') if 'fetch' in sys.argv else 0\n{CALLED}"
    )
    done = course(furnished, "doctor")
    assert done.returncode == 0 and "called doctor" in done.stdout
    assert not (furnished / ".venv/course-fetched").exists()


def test_every_tool_gets_its_arguments(house, monkeypatch):
    handed = []
    monkeypatch.setattr(course_commands, "_ready", lambda options: Place("own", house / ".venv"))
    monkeypatch.setattr(course_commands, "hand_over", lambda place, *args: handed.append(args))
    course_commands.main(["build", "--check", "04", "05"])
    course_commands.main(["badges", "school/course"])
    course_commands.main(["badges", "school/course", "--ref", "v1.0"])
    course_commands.main(["test"])
    course_commands.main(["progress"])
    course_commands.main(["progress", "--reset"])
    course_commands.main(["run", "04", "-p", "PER_CLASS", "20", "-p", "SEED", "3"])
    assert handed == [
        ("tools.builder.build", "--check", "04", "05"),
        ("tools.badges", "school/course"),
        ("tools.badges", "school/course", "--ref", "v1.0"),
        ("tools.check",),
        ("courseware.cli", "progress"),
        ("courseware.cli", "progress", "reset"),
        ("tools.run_lesson", "04", "PER_CLASS", "20", "SEED", "3"),
    ]


def test_the_learner_s_files_are_looked_for_where_the_learner_is(house, monkeypatch, tmp_path):
    handed = []
    monkeypatch.setattr(course_commands, "_ready", lambda options: Place("own", house / ".venv"))
    monkeypatch.setattr(course_commands, "hand_over", lambda place, *args: handed.append(args[2:]))
    monkeypatch.chdir(tmp_path)
    course_commands.main(["progress", "--export", "a.json"])
    course_commands.main(["progress", "--import", "../b.json"])
    course_commands.main(["progress", "--export", "~/a.json"])
    course_commands.main(["progress", "--export", "~nobody-of-this-name/a.json"])
    assert handed == [
        ("export", str(tmp_path / "a.json")),
        ("import", str(tmp_path.parent / "b.json")),
        ("export", os.path.expanduser("~/a.json")),
        ("export", "~nobody-of-this-name/a.json"),
    ]


def test_progress_takes_one_flag_at_a_time(capsys):
    with pytest.raises(SystemExit) as stopped:
        course_commands.main(["progress", "--reset", "--export", "a.json"])
    assert stopped.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_the_progress_file_is_one_for_notebooks_and_terminal(furnished, tmp_path):
    tell = "import os; print('kept', os.environ['COURSE_PROGRESS'], 'seen from', os.getcwd())"
    (furnished / "courseware/cli.py").write_text(f"{CALLED}\n{tell}")
    done = course(furnished, "doctor", COURSE_PROGRESS="mine.json")
    assert f"kept {furnished / 'mine.json'} seen from {furnished}" in done.stdout
    done = course(furnished, "doctor", COURSE_PROGRESS="~nobody-of-this-name/mine.json")
    assert f"kept ~nobody-of-this-name/mine.json seen from {furnished}" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="builds a POSIX .venv by hand")
def test_lab_serves_lesson_00(house, monkeypatch):
    """The real JupyterLab, borrowed from this test's environment by a .pth file."""
    subprocess.run([BASE_PYTHON, "-m", "venv", "--without-pip", house / ".venv"], check=True)
    (site,) = (house / ".venv").glob("lib/python*/site-packages")
    (own,) = {p for p in sys.path if p.endswith("site-packages")}
    (site / "borrowed.pth").write_text(own)
    monkeypatch.setattr(course_setup, "ROOT", house)
    (house / ".venv/course-stamp").write_text(course_setup.fingerprint())
    (house / ".venv/course-fetched").touch()
    (house / "notebooks").mkdir()
    (house / "notebooks/00_start_here.ipynb").write_text(
        '{"cells":[],"metadata":{},"nbformat":4,"nbformat_minor":5}'
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = house / "log"
    env = {
        **os.environ,
        "JUPYTERLAB_DIR": f"{sys.prefix}/share/jupyter/lab",
        "JUPYTER_TOKEN": "secret",
        "JUPYTER_CONFIG_DIR": str(house / "config"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    command = [BASE_PYTHON, "course.py", "lab", "--no-browser", "--port", str(port)]
    with log.open("w") as output:
        lab = subprocess.Popen(command, cwd=house, env=env, stdout=output, stderr=output)
    try:
        page = f"http://127.0.0.1:{port}/lab/tree/notebooks/00_start_here.ipynb?token=secret"
        assert "JupyterLab" in wait_for(page, lab), log.read_text()
        assert "/lab/tree/notebooks/00_start_here.ipynb" in log.read_text()
    finally:
        lab.terminate()
        lab.wait(20)


def wait_for(address, process, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            return urllib.request.urlopen(address, timeout=5).read().decode()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.3)
    return ""
