"""The Python the course runs in: found, or made as ``.venv``; and the packages in it.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tools.setup.install_errors import SetupError, explain, run_watched

ROOT = Path(__file__).resolve().parents[2]
# Kept as found where they are installed: Colab's notebooks break when these change.
KEEP = ("torch", "torchvision", "ipywidgets")
GB = 10**9


@dataclass(frozen=True)
class Place:
    """A Python environment: ``kind`` is "own" (our .venv), "venv", "conda", "binder" or "colab"."""

    kind: str
    prefix: Path

    @property
    def python(self) -> Path:
        if self.kind != "own":
            return Path(sys.executable)
        return self.prefix / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def wheels(self) -> Path:
        """Says which wheels our .venv holds, "cpu" or "default"; written before an install."""
        return self.prefix / "course-wheels"

    @property
    def stamp(self) -> Path:
        """What our .venv was installed from; written last, so half an install has none."""
        return self.prefix / "course-stamp"


def find_place() -> Place:
    """Where to work: in Colab, Binder, conda or an active venv what is there, else our .venv."""
    prefix, own = Path(sys.prefix), ROOT / ".venv"
    if "COLAB_RELEASE_TAG" in os.environ:
        return Place("colab", prefix)
    if "BINDER_SERVICE_HOST" in os.environ or "BINDER_LAUNCH_HOST" in os.environ:
        return Place("binder", prefix)
    if (prefix / "conda-meta").is_dir():
        return Place("conda", prefix)
    if sys.prefix != sys.base_prefix and prefix.resolve() != own.resolve():
        return Place("venv", prefix)
    return Place("own", own)


def set_up(cpu: bool = False) -> Place:
    """Make the environment ready and return it; quick when there is nothing left to do.

    Raises:
        SetupError: it cannot be made ready. The message says why, and what to do.
    """
    place = find_place()
    if place.kind == "own":
        _set_up_own(place, cpu)
    else:
        _add_missing(place, cpu)
    return place


def fingerprint() -> str:
    """SHA-256 of what decides on the install: the requirements, and the folder they lie in."""
    digest = hashlib.sha256(str(ROOT).encode())  # a moved clone must install itself anew
    for name in ("requirements.txt", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    # Only these parts of pyproject.toml: a new badge or lint rule installs nothing.
    pyproject = _pyproject()
    digest.update(repr([pyproject["project"], pyproject["build-system"]]).encode())
    return digest.hexdigest()


def _pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _set_up_own(place: Place, cpu: bool) -> None:
    current = place.python.exists() and _text(place.stamp) == fingerprint()
    had = _text(place.wheels)
    if cpu and current and had != "cpu":
        raise SetupError(
            "--cpu was given, and .venv already holds the default wheels.\n"
            "What to do: python3 course.py clean, then the same command again; or leave --cpu out."
        )
    if current:
        return
    cpu = cpu or had == "cpu"  # an interrupted --cpu install goes on as one
    check_disk(place, cpu)
    _make_venv(place, anew=cpu and had not in ("", "cpu"))
    place.wheels.write_text("cpu" if cpu else "default")
    _drop_half_installed(place)
    print("Installing the course into .venv. The first time takes minutes; progress follows.")
    _install(place, cpu, "-r", "requirements.txt", "-c", "constraints.txt")
    _set_lab_defaults(place)
    place.stamp.write_text(fingerprint())


def _set_lab_defaults(place: Place) -> None:
    """Give JupyterLab in our .venv the defaults it has on Binder; the learner's settings win."""
    settings = place.prefix / "share" / "jupyter" / "lab" / "settings"
    settings.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "binder" / "overrides.json", settings)


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""


def check_disk(place: Place, cpu: bool) -> None:
    """Raise a SetupError where the disk is too full for what is still to be installed."""
    large = sys.platform == "linux" and not cpu
    # PyTorch's default Linux wheels bring the CUDA libraries: 6.2 GB in .venv. For the others
    # this is room we ask for, with some to spare.
    need = 7 if large else 2
    there = _size(place.prefix) if place.kind == "own" else 0  # an install that was cut short
    free = shutil.disk_usage(ROOT).free
    if free + there >= need * GB:
        return
    advice = "free some space"
    if large:
        advice += ", or take PyTorch's much smaller CPU wheels: add --cpu to the command"
    raise SetupError(
        f"Too little disk space: the packages need about {need} GB, and {free / GB:.1f} GB are "
        f"free on the disk of {ROOT}.\nWhat to do: {advice}."
    )


def _size(folder: Path) -> int:
    """Bytes in the files below ``folder``."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _make_venv(place: Place, anew: bool) -> None:
    python = place.python
    if anew or not _works(python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"):
        missing = [name for name in ("venv", "ensurepip") if not importlib.util.find_spec(name)]
        if missing:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise SetupError(
                f"This Python {version} comes without its {' and '.join(missing)} module, so it "
                "cannot make a virtual environment.\n"
                f"What to do: on Debian and Ubuntu, sudo apt install python{version}-venv; "
                "elsewhere install Python from python.org. Then run this command again."
            )
        print("Making .venv …")
        _must_work(sys.executable, "-m", "venv", "--clear", "--without-pip", place.prefix)
    if not _works(python, "-m", "pip", "--version"):
        _must_work(python, "-m", "ensurepip", "--upgrade", "--default-pip")


def _works(python: Path, *arguments: str) -> bool:
    if not python.exists():
        return False
    return subprocess.run([python, *arguments], capture_output=True).returncode == 0


def _must_work(*command) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise SetupError(
            f"Making .venv failed:\n{(done.stderr or done.stdout).strip()}\n"
            "What to do: python3 course.py clean, then the same command again."
        )


def _drop_half_installed(place: Place) -> None:
    """Forget packages whose installation was cut short, so that pip installs them again.

    Both pip and uv write INSTALLER last; without this pip would call such a package satisfied.
    """
    for info in place.prefix.glob("[Ll]ib/**/site-packages/*.dist-info"):
        if not (info / "INSTALLER").exists():
            shutil.rmtree(info)


def _install(place: Place, cpu: bool, *what: str) -> None:
    """Install with pip; for CPU wheels with uv, which knows where PyTorch keeps them."""
    pip = [str(place.python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    command = [*pip, *what]
    if cpu:
        _run([*pip, "uv"], place)
        uv = [str(place.python), "-m", "uv", "pip", "install", "--python", str(place.python)]
        command = [*uv, "--torch-backend", "cpu", *what]
    _run(command, place)


def _run(command: list[str], place: Place) -> None:
    code, errors = run_watched(command, ROOT)
    if code:
        raise SetupError(explain(errors, place.prefix))


def requirements() -> list[str]:
    """What the course needs, one requirement a line, the course itself left out."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    named = [line.strip() for line in lines if re.match(r"\s*\w", line)]
    return [*_pyproject()["project"]["dependencies"], *named]


def missing_packages(kind: str) -> list[str]:
    """The requirements that the running Python lacks; in Colab never one of KEEP."""
    missing = [line for line in requirements() if not _version(_name(line))]
    return [line for line in missing if kind != "colab" or _name(line) not in KEEP]


def _name(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0]


def _version(name: str) -> str | None:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None


def _installed_from_here() -> bool:
    with suppress(importlib.metadata.PackageNotFoundError):
        course = importlib.metadata.distribution("transfer-learning-measured")
        return ROOT.as_uri() in (course.read_text("direct_url.json") or "")
    return False


def _add_missing(place: Place, cpu: bool) -> None:
    """Add to an environment that is not ours what it lacks, and change nothing that it has."""
    missing = missing_packages(place.kind)
    if missing:
        print(f"Adding to this {place.kind} environment: {', '.join(missing)}")
        if not _version("torch"):
            check_disk(place, cpu)
        with tempfile.TemporaryDirectory() as folder:
            pins = Path(folder) / "constraints.txt"
            pins.write_text(_pins())
            _install(place, cpu, *missing, "-c", str(pins))
    if not _installed_from_here():
        _install(place, cpu, "--no-deps", "-e", ".")


def _pins() -> str:
    """Versions to hold: those of KEEP that are here, or all of ours where PyTorch is not."""
    if not _version("torch"):
        return (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return "".join(f"{name}=={_version(name)}\n" for name in KEEP if _version(name))
