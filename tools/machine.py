"""Where, when and with which versions a benchmark ran: how each file in data/results begins."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import version


def machine(made_by: str, *packages: str, **more: object) -> dict:
    """Command, date, system, cores, load of the last minute, Python, and versions of ``packages``.

    Parameters
    ----------
    made_by : the command that makes the file, such as "python benchmarks/quiz.py"
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
