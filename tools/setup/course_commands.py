"""The commands of ``course.py``: set up the environment, then hand over to what does the work.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from tools.setup.cleaning import clean_up
from tools.setup.course_setup import ROOT, Place, SetupError, find_place, set_up
from tools.setup.install_errors import sentence
from tools.setup.one_start import one_start

GUARD = ("-m", "tools.setup.until_stopped")  # Ctrl-C ends what it runs without a traceback
FIRST_LESSON = "notebooks/00_start_here.ipynb"


def lab(options: argparse.Namespace) -> int:
    """Open JupyterLab at the first lesson."""
    if options.port is not None:
        check_port(options.port)
    if find_place().kind == "colab":
        raise SetupError("Colab is a notebook already: open a lesson by its Colab badge.")
    place = _ready(options)
    command = ["jupyterlab", f"--ServerApp.root_dir={ROOT}"]
    command.append(f"--LabApp.default_url=/lab/tree/{FIRST_LESSON}")
    if options.port is not None:
        command += [f"--ServerApp.port={options.port}", "--ServerApp.port_retries=0"]
    if options.no_browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # a container's usual user; the token still guards it
    return hand_over(place, *command)


def run(options: argparse.Namespace) -> int:
    """Execute a lesson into runs/."""
    pairs = [part for pair in options.parameter for part in pair]
    return hand_over(_ready(options), "tools.run_lesson", options.lesson, *pairs)


def doctor(options: argparse.Namespace) -> int:
    """Look at this machine and say what is missing."""
    return hand_over(_ready(options), "courseware.cli", "doctor")


def progress(options: argparse.Namespace) -> int:
    """Show your progress, by lesson and concept; export it, import it, or begin anew."""
    wanted = ["reset"] if options.reset else []
    for action, file in (("export", options.export), ("import", options.take_in)):
        if file is not None:
            wanted = [action, _from_here(file)]
    return hand_over(_ready(options), "courseware.cli", "progress", *wanted)


def test(options: argparse.Namespace) -> int:
    """Run the whole test suite."""
    return hand_over(_ready(options), "tools.check")


def build(options: argparse.Namespace) -> int:
    """Build notebooks/ from lessons/."""
    flags = [flag for flag in ("--check", "--force") if getattr(options, flag[2:])]
    return hand_over(_ready(options), "tools.builder.build", *flags, *options.lessons)


def bench(options: argparse.Namespace) -> int:
    """Measure again what README and lessons quote, such as the grid of lesson 8."""
    known = sorted(path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py"))
    if options.name not in known:
        raise SetupError(f"No benchmark {options.name!r}; there are {', '.join(known)}.")
    return hand_over(_ready(options), f"benchmarks.{options.name}", *options.arguments)


def badges(options: argparse.Namespace) -> int:
    """Write the repository's name into every badge."""
    ref = ["--ref", options.ref] if options.ref else []
    return hand_over(_ready(options), "tools.badges", options.repository, *ref)


def clean(options: argparse.Namespace) -> int:
    """Remove .venv, runs and Python's caches, as the course made them; what is yours stays."""
    with one_start(ROOT / ".venv.lock"):
        return 0 if clean_up(ROOT) else 1


def _ready(options: argparse.Namespace) -> Place:
    place = set_up(options.cpu)
    fetch_once(place)
    return place


def fetch_once(place: Place) -> None:
    """Fetch weights and photos after an install. Where that fails, the lessons try again."""
    marker = place.prefix / "course-fetched"
    if marker.exists():
        return
    print("Fetching the pretrained weights and the photos, where they can be had …", flush=True)
    command = [place.python, *GUARD, "courseware.cli", "fetch"]
    if subprocess.run(command, cwd=ROOT, env=_environment(place)).returncode == 0:
        with suppress(OSError):  # an environment of the system's: ask again next time
            marker.touch()


def check_port(port: int) -> None:
    """Raise a SetupError when JupyterLab could not listen on ``port`` of this machine."""
    if not 1 <= port <= 65535:
        raise SetupError(f"--port {port}: expected a number from 1 to 65535, such as 8888.")
    with socket.socket() as probe:
        if os.name == "posix":  # as JupyterLab does: a port that was just left is free again
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SetupError(
                f"Port {port} cannot be used ({error.strerror}); another program may have it.\n"
                "What to do: name another, or leave --port out: JupyterLab finds a free one."
            ) from error


def hand_over(place: Place, module: str, *arguments: str) -> int:
    """Run a module in the environment's Python, and return its exit code.

    On Linux and macOS it takes this process's place, so that signals and terminal are its own.
    """
    command = [str(place.python), *GUARD, module, *arguments]
    environment = _environment(place)  # before the move: a path in it may start from here
    os.chdir(ROOT)
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(command[0], command, environment)
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is the child's to answer
    return subprocess.run(command, env=environment).returncode


def _environment(place: Place) -> dict[str, str]:
    """This process's variables, with the environment's programs first: `!pip` in a cell is its."""
    path = f"{place.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # A thread that spins while it waits takes the core another program needs: see store/threads.py.
    added = {"PATH": path, "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")}
    if place.kind == "own":
        added["VIRTUAL_ENV"] = str(place.prefix)
    if kept := os.environ.get("COURSE_PROGRESS", "").strip():
        added["COURSE_PROGRESS"] = _from_here(kept)  # one file for notebooks and for the terminal
    return {**os.environ, **added}


def _from_here(path: str) -> str:
    """The learner's path, for a command that runs in the course's folder."""
    path = os.path.expanduser(path)
    # With ~ for somebody who has no home it stays as it is: the course tells the learner.
    return path if path.startswith("~") else os.path.abspath(path)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="course.py", description="Transfer Learning, Measured")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def add(action) -> argparse.ArgumentParser:
        what = action.__doc__.splitlines()[0]
        command = commands.add_parser(action.__name__, help=what, description=what)
        command.set_defaults(action=action)
        if action is not clean:
            command.add_argument("--cpu", action="store_true", help="PyTorch's CPU wheels")
        return command

    command = add(lab)
    command.add_argument("--no-browser", action="store_true", help="only print the address")
    command.add_argument("--port", type=int, help="default: the first free one from 8888")
    add(test)
    command = add(run)
    command.add_argument("lesson", metavar="LESSON", help="such as 04, or 04_feature_extraction")
    command.add_argument(
        "-p", dest="parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE")
    )
    kept = add(progress).add_mutually_exclusive_group()
    kept.add_argument("--export", metavar="FILE", help="write it to a file, to take along")
    kept.add_argument("--import", metavar="FILE", dest="take_in", help="merge such a file into it")
    kept.add_argument("--reset", action="store_true", help="begin anew, keeping a dated backup")
    add(doctor)
    command = add(build)
    command.add_argument("lessons", nargs="*", metavar="LESSON", help="all if none is named")
    command.add_argument("--check", action="store_true", help="change nothing, say what is stale")
    command.add_argument("--force", action="store_true", help="execute even what did not change")
    command = add(bench)
    command.add_argument("name", metavar="NAME", help="such as grid")
    command.add_argument("arguments", nargs=argparse.REMAINDER, help="handed on; --help lists them")
    command = add(badges)
    command.add_argument("repository", metavar="OWNER/NAME")
    command.add_argument("--ref", help="branch or tag (default: as it is)")
    add(clean)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = parser().parse_args(arguments)
    try:
        return options.action(options)
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\n{sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on where it was.", file=sys.stderr)
        return 130
