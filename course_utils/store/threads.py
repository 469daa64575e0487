"""How many threads compute, and how they wait for each other: settled before torch is loaded.

A thread of OpenMP that has done its share spins until the others are done. Where another program
needs that core, the one who is waited for gets no time: a lesson took nine times as long beside
one busy process on two cores. To give the core away at once is no answer either: a training step
on ten images of 96 px took 150 ms instead of 90, for waking up costs more than the wait. So a
thread spins for a moment, and where a core is taken at the start it is left alone.
"""

from __future__ import annotations

import os
import sys

import joblib
import psutil

LOOK = 0.3  # seconds: how long the machine is watched before it is called busy
# Read by the OpenMP libraries of GNU, Intel and LLVM alike, once, when torch loads them.
# https://www.openmp.org/spec-html/5.2/openmpse58.html
# GNU's spins 2,000 times first (300,000 by default): no slower on a quiet machine.
WAIT = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "2000"}


def cores() -> int:
    """Cores this process may use: after CPU affinity and the quota of a container."""
    return joblib.cpu_count()


def free_cores() -> int:
    """`cores` less those that other programs keep busy now, at least 1. Takes `LOOK` seconds."""
    busy = psutil.cpu_percent(LOOK) / 100 * (os.cpu_count() or 1)
    return max(1, cores() - round(busy))


def environment(processes: int = 1) -> dict[str, str]:
    """Variables for programs of which ``processes`` compute side by side on this machine."""
    return WAIT | {"OMP_NUM_THREADS": str(max(1, cores() // processes))}


def share_processor() -> None:
    """Set this kernel's threads, and a wait that gives the core away after a moment.

    ``COURSE_THREADS`` says how many, else ``OMP_NUM_THREADS``; else they are the `free_cores`, and
    one printed line says so where that is not all. Call it before torch is imported: later the
    wait stays as it is, and only the number is set.

    Raises ValueError when COURSE_THREADS is no whole number of at least 1.
    """
    asked = os.environ.get("COURSE_THREADS", "")
    if asked and not _is_number(asked):
        raise ValueError(f"COURSE_THREADS={asked}: expected a whole number of at least 1, as 2")
    asked = asked or os.environ.get("OMP_NUM_THREADS", "").split(",")[0]  # "2,1": one for a level
    threads = int(asked) if _is_number(asked) else free_cores()
    if not _is_number(asked) and threads < cores():
        print(
            f"Computing with {threads} of {cores()} cores, for other programs keep the rest busy. "
            f"To use all: torch.set_num_threads({cores()}), or start with COURSE_THREADS={cores()}."
        )
    os.environ |= {**WAIT, **os.environ, "OMP_NUM_THREADS": str(threads)}
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def _is_number(text: str) -> bool:
    return text.isdecimal() and int(text) >= 1
