"""A tiny house to set up for real: the real course.py, one requirement, and nothing behind it.

The requirement is a local wheel; in place of what course.py hands over to, there are scripts that
only say that they were called. Nothing is fetched.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)  # outside any active venv
CALLED = "import sys; print('called', *sys.argv[1:])"


@pytest.fixture
def house(tmp_path):
    for name in ("course.py", "binder/overrides.json", "tools/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "tools/setup", tmp_path / "tools/setup")
    (tmp_path / "courseware").mkdir()
    for called in ("courseware/cli.py", "tools/run_lesson.py"):
        (tmp_path / called).write_text(CALLED)
    (tmp_path / "requirements.txt").write_text("tinywheel\n")
    (tmp_path / "constraints.txt").write_text("tinywheel==1.0\n")
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\n[project]\nname = "house"\ndependencies = []\n'
    )
    for version in ("1.0", "2.0"):
        write_wheel(tmp_path / "wheels", version)
    return tmp_path


@pytest.fixture(scope="session")
def fresh_venv(tmp_path_factory):
    """A .venv with pip and nothing else, made once: each test that needs one copies it."""
    place = tmp_path_factory.mktemp("fresh") / ".venv"
    subprocess.run([BASE_PYTHON, "-m", "venv", place], check=True)
    return place


@pytest.fixture
def furnished(house, fresh_venv):
    """The house, with a .venv into which nothing was installed yet."""
    shutil.copytree(fresh_venv, house / ".venv", symlinks=True)
    return house


def write_wheel(folder, version):
    folder.mkdir(exist_ok=True)
    info = f"tinywheel-{version}.dist-info"
    files = {
        "tinywheel.py": f"VERSION = {version!r}",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tinywheel\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"tinywheel-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


def started(house, *arguments, python=BASE_PYTHON, before="", **env):
    """The house's course.py, at work; ``before`` runs first, to play a poor machine."""
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
    settings |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(house / "wheels")}
    settings |= {"PIP_CONFIG_FILE": os.devnull, "PYTHONIOENCODING": "utf-8"} | env
    script = (
        f"{before}\nimport runpy, sys\nsys.argv = ['course.py', *sys.argv[1:]]\n"
        "runpy.run_path('course.py', run_name='__main__')"
    )
    return subprocess.Popen(
        [python, "-c", script, *arguments],
        cwd=house,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def course(house, *arguments, **how):
    """Run the house's course.py to its end, as `started` does."""
    return finished(started(house, *arguments, **how))


def finished(process):
    out, error = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def fails(done, *sayings):
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stderr
    for saying in sayings:
        assert saying in done.stderr
    return done.stderr
