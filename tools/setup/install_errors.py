"""Run an installer in view of the learner, and say in plain words why it failed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

# What pip and uv write when no server answers, the disk is full, or no build fits.
NETWORK = (
    "connection",  # "NewConnectionError", "Failed to establish a new connection", …
    "name resolution",
    "name or service not known",
    "getaddrinfo failed",
    "dns error",
    "proxyerror",
    "timed out",
    "error sending request",
)
DISK = ("no space left", "errno 28", "not enough space")
NO_BUILD = ("no matching distribution", "resolutionimpossible", "no solution found")


class SetupError(Exception):
    """The course cannot be set up. The message is for the learner: what happened, what to do."""


def run_watched(command: list[str], folder: Path) -> tuple[int, str]:
    """Run ``command`` in ``folder``; return its exit code and what it wrote on standard error.

    Both streams stay visible; standard output goes straight to the terminal, because pip draws
    progress bars only there. The installer inherits the lock of `one_start`: should this process be
    killed, the next waits until the installer is done as well.
    """
    sys.stdout.flush()
    errors = []
    with subprocess.Popen(
        command,
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        close_fds=os.name == "nt",  # what else is open cannot be inherited
    ) as process:
        for line in process.stderr:
            sys.stderr.write(line)
            sys.stderr.flush()
            errors.append(line)
    return process.returncode, "".join(errors)


def explain(errors: str, where: Path) -> str:
    """What to tell the learner after an installer wrote ``errors`` and gave up on ``where``."""
    said = errors.lower()
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    if any(sign in said for sign in DISK):
        why = (
            f"the disk is full: that of {where}, or the one for temporary files (TMPDIR).\n"
            "What to do: free some space, or take the much smaller CPU wheels with --cpu"
        )
    elif any(sign in said for sign in NETWORK):
        why = (
            "no package index could be reached.\n"
            "What to do: check the network; behind a proxy set HTTPS_PROXY; with an index of your "
            "own set PIP_INDEX_URL (and UV_INDEX_URL, which --cpu uses)"
        )
    elif any(sign in said for sign in NO_BUILD):
        why = (
            f"no build of a package fits {python} on {platform.platform(terse=True)} "
            f"({platform.machine()}).\n"
            "What to do: read the installer's lines above. PyTorch has no build for 32-bit systems "
            "or Macs without Apple silicon, and none yet for a Python that has just come out; and "
            "PIP_NO_INDEX or an index of your own may lack what is asked for"
        )
    else:
        why = "the installer's own lines above say why.\nWhat to do: mend what they name"
    return f"Installing failed: {why}. Then run the same command again; it goes on where it was."


def sentence(error: OSError) -> str:
    """What to tell the learner when the system refused something outside of an installer."""
    where = f"{error.filename}: " if error.filename else ""
    return (
        f"The system refused it: {where}{error.strerror or error}.\n"
        "What to do: see that you may write there, that the disk is not full, and that no other "
        "program uses it; then the same command again."
    )
