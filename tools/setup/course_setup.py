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

from tools.setup import own_folder
from tools.setup.install_errors import SetupError, explain, run_watched
from tools.setup.one_start import one_start

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
    def stamp(self) -> Path:
        """What our .venv was installed from; written last, so half an install has none."""
        return self.prefix / own_folder.STAMP


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

    Raises
    ------
    SetupError : it cannot be made ready. The message says why, and what to do.
    """
    place = find_place()
    is_ready, make_ready = (
        (_own_is_ready, _set_up_own) if place.kind == "own" else (_has_all, _add_missing)
    )
    if not is_ready(place, cpu):
        with one_start(ROOT / ".venv.lock"):
            if not is_ready(place, cpu):  # now, after another start's work
                make_ready(place, cpu)
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


def _own_is_ready(place: Place, cpu: bool) -> bool:
    """Whether .venv holds what is asked for. SetupError: it holds other wheels than these."""
    current = place.python.exists() and own_folder.text(place.stamp) == fingerprint()
    if cpu and current and own_folder.wheels(place.prefix) != "cpu":
        raise SetupError(
            "--cpu was given, and .venv already holds the default wheels.\n"
            f"What to do: {own_folder.remedy(place.prefix)}, then the same command again; "
            "or leave --cpu out."
        )
    return current


def _set_up_own(place: Place, cpu: bool) -> None:
    had = own_folder.wheels(place.prefix)
    wheels = "cpu" if cpu or had == "cpu" else "default"  # an interrupted --cpu goes on as one
    works = _works(place.python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))")
    anew = not works or (wheels == "cpu" and had == "default")
    if anew:
        own_folder.refuse_foreign(place.prefix)
    check_disk(place, wheels == "cpu")
    if anew:
        _make_venv(place, wheels)
    elif not had:
        own_folder.adopt(place.prefix, wheels)
    if not _works(place.python, "-m", "pip", "--version"):
        _must_work(place.python, "-m", "ensurepip", "--upgrade", "--default-pip")
    _drop_half_installed(place)
    print("Installing the course into .venv. The first time takes minutes; progress follows.")
    _install(place, wheels == "cpu", "-r", "requirements.txt", "-c", "constraints.txt")
    _set_lab_defaults(place)
    place.stamp.write_text(fingerprint())


def _set_lab_defaults(place: Place) -> None:
    """Give JupyterLab in our .venv the defaults it has on Binder; the learner's settings win."""
    settings = place.prefix / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    if own_folder.is_ours(place.prefix) or not settings.exists():
        settings.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "binder" / "overrides.json", settings)


def check_disk(place: Place, cpu: bool) -> None:
    """Raise a SetupError where the disk is too full for what is still to be installed."""
    large = sys.platform == "linux" and not cpu
    # PyTorch's default Linux wheels bring the CUDA libraries: 6.2 GB in .venv. For the others
    # this is room we ask for, with some to spare.
    need = 7 if large else 2
    there = _size(place.prefix) if own_folder.is_ours(place.prefix) else 0  # half an install
    disk = place.prefix if place.prefix.exists() else ROOT  # .venv may lead to another disk
    free = shutil.disk_usage(disk).free
    if free + there >= need * GB:
        return
    advice = "free some space"
    if large:
        advice += ", or take PyTorch's much smaller CPU wheels: add --cpu to the command"
    raise SetupError(
        f"Too little disk space: the packages need about {need} GB, and {free / GB:.1f} GB are "
        f"free on the disk of {disk.resolve()}.\nWhat to do: {advice}."
    )


def _size(folder: Path) -> int:
    """Bytes in the files below ``folder``."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _make_venv(place: Place, wheels: str) -> None:
    """A new environment, where there is none or one of ours."""
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
    own_folder.claim(place.prefix, wheels)
    # Where a link leads: venv refuses to write through one. Never --clear, which empties a folder.
    _must_work(sys.executable, "-m", "venv", "--without-pip", place.prefix.resolve())


def _works(python: Path, *arguments: str) -> bool:
    try:
        return subprocess.run([python, *arguments], capture_output=True).returncode == 0
    except OSError:  # not there, or no program
        return False


def _must_work(*command) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise SetupError(
            f"Making .venv failed:\n{(done.stderr or done.stdout).strip()}\n"
            "What to do: mend what this names, then the same command again."
        )


def _drop_half_installed(place: Place) -> None:
    """Forget packages whose installation was cut short, so that pip installs them again.

    Both pip and uv write INSTALLER last; without this pip would call such a package satisfied.
    What is older than our mark is not from an install of ours, in an environment that was there.
    """
    began = (place.prefix / own_folder.MARK).stat().st_mtime
    for info in place.prefix.glob("[Ll]ib/**/site-packages/*.dist-info"):
        if not (info / "INSTALLER").exists() and info.stat().st_mtime >= began:
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


def _has_all(place: Place, cpu: bool) -> bool:
    """Whether an environment that is not ours lacks nothing."""
    importlib.invalidate_caches()
    return not missing_packages(place.kind) and _installed_from_here()


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
