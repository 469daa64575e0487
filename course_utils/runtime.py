"""Where the course runs: folders, device, seeds, network, memory, time, progress, notices.

This module imports nothing else of the course, so that every other module may use it.
"""

import html
import os
import random
import re
import socket
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_cache_path
from tqdm.auto import tqdm

APP_NAME = "transfer-learning-measured"
PROXY_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080, "socks5h": 1080}


def cache_dir() -> Path:
    """The folder for what the course downloads or computes once; made when it is missing.

    ``COURSE_CACHE_DIR`` overrides the place that belongs to it on this system.

    Raises:
        OSError: the folder cannot be made or written.
    """
    override = os.environ.get("COURSE_CACHE_DIR")
    folder = Path(override).expanduser() if override else user_cache_path(APP_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(
            f"The course cannot write its cache folder {folder} ({error}). "
            "Set COURSE_CACHE_DIR to a folder you can write."
        ) from error
    return folder


def pick_device(name: str | None = None) -> torch.device:
    """The device to compute on: ``name``, else ``COURSE_DEVICE``, else CUDA, MPS or the CPU.

    Raises:
        ValueError: the device is unknown, or this machine does not have it.
    """
    asked = name or os.environ.get("COURSE_DEVICE")
    usable = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not asked:
        return torch.device(next((kind for kind, here in usable.items() if here), "cpu"))
    try:
        device = torch.device(asked)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"Unknown device {asked!r}. Expected cpu, cuda or mps.") from error
    if not usable.get(device.type, device.type == "cpu"):
        raise ValueError(
            f"Device {asked!r} was asked for, and PyTorch finds none here. "
            "Use 'cpu', or leave COURSE_DEVICE unset."
        )
    return device


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch (all devices) with the same whole number."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


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


def offline() -> bool:
    """Whether ``COURSE_OFFLINE=1`` forbids every attempt to use the network."""
    return os.environ.get("COURSE_OFFLINE") == "1"


def _address(url: str) -> tuple[str, int]:
    """Host and port that a request for ``url`` would connect to: its proxy's, if it has one."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"Expected an http or https address, got {url!r}.")
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(parts.hostname):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or PROXY_PORTS.get(parts.scheme, 80)


def reachable(url: str, seconds: float = 3.0) -> bool:
    """Whether the server (or proxy) behind ``url`` accepts a connection within ``seconds``.

    Always False when ``COURSE_OFFLINE=1``.

    Raises:
        ValueError: ``url`` is not an http or https address.
    """
    address = _address(url)
    if offline():
        return False
    answers: list[bool] = []

    def connect() -> None:
        try:
            socket.create_connection(address, timeout=seconds).close()
            answers.append(True)
        except (OSError, UnicodeError):  # a host name can also be impossible to encode
            answers.append(False)

    # Looking up a name has no timeout of its own. In a daemon thread it can be left behind.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers) and answers[0]


def _peak_of_this_program(status: Path = Path("/proc/self/status")) -> int:
    """Linux's VmHWM in bytes, 0 where there is none.

    ``ru_maxrss`` would also count the process that started this one: Linux hands it on.
    https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
    """
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def peak_memory() -> int:
    """The most resident memory this process has held so far, in bytes."""
    if sys.platform == "win32":
        import psutil  # comes with ipykernel; only Windows needs it

        return psutil.Process().memory_info().peak_wset
    if sys.platform == "linux" and (peak := _peak_of_this_program()):
        return peak
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, KiB on Linux


@dataclass
class Stopwatch:
    """The time between the two ends of a ``with stopwatch()`` block, set when it ends."""

    seconds: float = 0.0


def _synchronize(device: torch.device) -> None:
    """Wait for the work an accelerator still has queued; the CPU has none."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def stopwatch(device: torch.device | str | None = None) -> Iterator[Stopwatch]:
    """Time a block: ``with stopwatch(device) as watch: ...``, then ``watch.seconds``.

    An accelerator works behind Python's back, so its queue is waited for before both readings.
    """
    device = torch.device(device or "cpu")
    watch = Stopwatch()
    _synchronize(device)
    start = time.perf_counter()
    try:
        yield watch
    finally:
        _synchronize(device)
        watch.seconds = time.perf_counter() - start


def progress(
    iterable: Iterable | None, what: str, *, total: int | None = None, unit: str = "it"
) -> tqdm:
    """A progress bar with the time left, shown only when the work takes over two seconds.

    Wrap an iterable; or pass None, call ``bar.update(n)`` and ``bar.close()`` (``unit="B"``
    counts bytes, with prefixes; pooch's downloader takes such a bar and sets its total).
    ``TQDM_DISABLE=1`` hides every bar.
    """
    if iterable is None and total is None:
        total = 1  # pooch asks bool(bar) before it knows the total, and tqdm raises without one
    # tqdm's own look at the variable is lost on its notebook bars, which set `disable` themselves.
    hidden = os.environ.get("TQDM_DISABLE") == "1"
    return tqdm(
        iterable, desc=what, total=total, unit=unit, unit_scale=unit == "B", delay=2, leave=False,
        disable=hidden,
    )  # fmt: skip


class Notice:
    """One sentence set apart from other output, readable in light and dark themes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        # No colour of its own but the border's, and no CSS variable: JupyterLab strips a style that
        # has one from a notebook it does not trust yet.
        style = "margin:4px 0;padding:.3em .8em;border-left:4px solid #b26a00"
        return f'<div style="{style}">{html.escape(self.text)}</div>'


def show_notice(text: str) -> None:
    """Display ``text`` as a banner in a notebook, as a plain line in a terminal."""
    from IPython.display import display

    display(Notice(text))
