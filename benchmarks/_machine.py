"""Where, when and with which versions a benchmark ran: how each file in data/results begins."""

from __future__ import annotations

import datetime
import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path


def machine(made_by: str, *packages: str, **more: object) -> dict:
    """Command, date, system, cores, load of the last minute, Python, and versions of ``packages``.

    Parameters
    ----------
    made_by : the command that makes the file, such as "python3 course.py bench quiz"
    more : what else belongs to the place, such as ``device="cpu"``
    """
    return {
        "made_by": made_by,
        "date": datetime.date.today().isoformat(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        **more,
    }


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
