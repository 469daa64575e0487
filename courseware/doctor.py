"""Is this machine ready for the course? One check a row, each with how to mend it."""

from __future__ import annotations

import html
import importlib.metadata
import os
import platform
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from course_utils import weights
from course_utils.datasets import photos
from course_utils.device import pick_device
from course_utils.store import folders
from course_utils.store.threads import cores
from courseware import boxes

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"
GB = 10**9
LESSON_MEMORY = 1.5 * GB  # what a lesson may need at most
DOWNLOADS = 0.5 * GB  # weights, photos and their archive, with some to spare
SIGNS = {"ok": boxes.GOOD, "warn": boxes.WARNING, "bad": boxes.BAD}


@dataclass(frozen=True)
class Check:
    """One row: what was looked at, "ok", "warn" or "bad", what was found, and how to mend it."""

    name: str
    status: str
    value: str
    mend: str = ""


class Panel:
    """The rows of `doctor`, readable in a terminal and in a notebook, light or dark."""

    def __init__(self, checks: list[Check]) -> None:
        self.checks = checks

    def __repr__(self) -> str:
        width = max((len(check.name) for check in self.checks), default=0)
        lines = []
        for check in self.checks:
            lines.append(f"{SIGNS[check.status].mark} {check.name:{width}}  {check.value}")
            if check.mend:
                lines.append(f"{'':{width + 4}}→ {check.mend}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return boxes.checks(
            (SIGNS[check.status], check.status, check.name, _value(check)) for check in self.checks
        )


def _value(check: Check) -> str:
    mend = f"<div>→ {html.escape(check.mend)}</div>" if check.mend else ""
    return html.escape(check.value) + mend


def panel() -> Panel:
    """The panel of this machine, to end a cell with."""
    return Panel(doctor())


def doctor() -> list[Check]:
    """Look at this machine. Downloads nothing; hashing weights and photos takes about a second."""
    looks = (_python, _versions, _device, _memory, _disk, _weights, _photos, _jupyterlab, _browser)
    return [look() for look in looks]


def _python() -> Check:
    return Check("Python", "ok", f"{platform.python_version()} on {platform.system()}")


def _versions() -> Check:
    """The installed packages against constraints.txt, which only a clone has."""
    value = f"torch {torch.__version__}, torchvision {_version('torchvision')}"
    if not CONSTRAINTS.is_file() or environment() == "colab":
        return Check("Packages", "ok", f"{value} (this environment's own)")
    lines = [line.split("==") for line in CONSTRAINTS.read_text().splitlines() if "==" in line]
    pins = [(name, pinned, _version(name)) for name, pinned in lines if not name.startswith("#")]
    # 2.15.0+cpu is 2.15.0, built for the CPU.
    other = [f"{n} {v} (not {p})" for n, p, v in pins if v and v.split("+")[0] != p]
    if not other:
        return Check("Packages", "ok", f"{value}; all as tested")
    more = f" and {len(other) - 4} more" if len(other) > 4 else ""
    return Check(
        "Packages",
        "warn",
        f"{value}; other versions than tested: {', '.join(other[:4])}{more}",
        "Figures may differ a little. For the tested versions: pip install -r requirements.txt "
        "-c constraints.txt",
    )


def _version(name: str) -> str:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return ""


def _device() -> Check:
    try:
        device = pick_device()
    except ValueError as error:
        trouble = str(error).split(". ")[0]
        return Check("Device", "bad", trouble, "Unset COURSE_DEVICE, or set it to cpu.")
    if device.type == "cuda":
        return Check("Device", "ok", torch.cuda.get_device_name(device))
    if device.type == "mps":
        return Check("Device", "ok", "Apple GPU (MPS)")
    computing = f"CPU, {torch.get_num_threads()} of {cores()} cores"
    return Check("Device", "ok", f"{computing}: all the course needs")


def _memory() -> Check:
    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    limit = os.environ.get("MEM_LIMIT", "")  # Binder and JupyterHub give a user less than there is
    if limit.isdigit():
        total = min(total, int(limit))
        free = min(free, total - psutil.Process().memory_info().rss)
    value = f"{free / GB:.1f} of {total / GB:.1f} GB free"
    if free >= LESSON_MEMORY:
        return Check("Memory", "ok", value)
    return Check(
        "Memory",
        "warn",
        value,
        "A lesson may need 1.5 GB: close other programs, shut down other notebooks' kernels, or "
        "lower PER_CLASS.",
    )


def _disk() -> Check:
    try:
        free = shutil.disk_usage(folders.cache_dir()).free
    except OSError as error:
        return Check("Disk", "bad", str(error), "Set COURSE_CACHE_DIR to a folder you can write.")
    value = f"{free / GB:.1f} GB free for what the course keeps"
    if free >= DOWNLOADS:
        return Check("Disk", "ok", value)
    return Check("Disk", "warn", value, "Free some space, or set COURSE_CACHE_DIR to another disk.")


def _weights() -> Check:
    found = weights.find_weights(weights.course_weights("mobilenet_v2"))
    if found:
        return Check("Weights", "ok", f"{found.name}, SHA-256 verified")
    return Check(
        "Weights",
        "warn",
        "MobileNetV2's are not here yet, or damaged",
        "With a network, the first lesson that needs them fetches them. Without them the lessons "
        "run on random weights and skip the claims about pretraining.",
    )


def _photos() -> Check:
    found, _, wrong = photos.look_for_photos()
    if found and not wrong:
        return Check("Photos", "ok", f"{len(photos.read_list()):,} flower photos, verified")
    if found:
        return Check("Photos", "warn", "there, in another place than named", f"{wrong[0]}.")
    return Check(
        "Photos",
        "warn",
        "; ".join(wrong) or "not here yet: the lessons use drawn flowers",
        "With a network, the first lesson that needs them fetches them (228 MB). Or set "
        "COURSE_DATA_DIR to the folder that holds flower_photos/.",
    )


def _jupyterlab() -> Check:
    if environment() == "colab":
        return Check("Notebook", "ok", "Colab")
    lab, widgets = _version("jupyterlab"), _version("ipywidgets")
    if lab and widgets:
        return Check("Notebook", "ok", f"JupyterLab {lab}, ipywidgets {widgets}")
    lacking = " and ".join(n for n, v in (("jupyterlab", lab), ("ipywidgets", widgets)) if not v)
    return Check(
        "Notebook",
        "warn" if widgets else "bad",
        f"this Python has no {lacking}",
        "python3 course.py lab, or: pip install jupyterlab ipywidgets",
    )


def _browser() -> Check:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next((name for name in names if shutil.which(name)), None)
    return Check("Browser tests", "ok", found or "no Chromium; only contributors' tests use one")


def environment() -> str:
    """Where this code runs: ``"colab"``, ``"binder"``, ``"jupyter"`` or ``"terminal"``."""
    if "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in os.environ:
        return "colab"
    if "BINDER_SERVICE_HOST" in os.environ or "BINDER_LAUNCH_HOST" in os.environ:
        return "binder"
    if "IPython" in sys.modules:
        from IPython import get_ipython

        if hasattr(get_ipython(), "kernel"):
            return "jupyter"
    return "terminal"
