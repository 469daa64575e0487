"""Run a lesson from the terminal: a copy with your values, its page, and its claims.

``course.py run`` sets up the environment, then runs python -m tools.run_lesson LESSON [NAME VALUE]…
"""

from __future__ import annotations

import ast
import itertools
import sys
import time
from pathlib import Path

from course_utils.store.messages import nearest
from courseware.claims import MIME, SIGNS
from tools.lesson_names import UnknownLesson, find_lesson
from tools.setup.install_errors import sentence

ROOT = Path(__file__).resolve().parent.parent
FAILED, UNUSABLE, STOPPED = 1, 2, 130  # exit codes


class UsageError(Exception):
    """The command was given something it cannot use. The message says what, and what it takes."""


def read_parameters(notebook: Path, pairs: list[tuple[str, str]]) -> dict:
    """The values for a lesson's ``parameters`` cell, with the types its own values have.

    Raises
    ------
    UsageError : the cell has no such name, or the value is of another type.
    """
    known = _own_parameters(notebook)
    values = {}
    for name, text in pairs:
        if name not in known:
            has = ", ".join(f"{n} ({default})" for n, default in known.items())
            told = [nearest(name.upper(), known), f"It has: {has}." if has else "It has none."]
            problem = f"{notebook.stem} has no parameter {name!r}."
            raise UsageError(" ".join([problem, *filter(None, told)]))
        values[name] = _like(known[name], text, name)
    return values


def _own_parameters(notebook: Path) -> dict[str, str]:
    """The names in a lesson's ``parameters`` cell, with the source of each value."""
    import papermill

    try:
        found = papermill.inspect_notebook(_literal(notebook))
    except Exception as error:  # what a file that is no notebook raises has no common class
        raise UsageError(
            f"{notebook} cannot be read as a notebook: {str(error)[:200]}\n"
            "What to do: mend it; or move it away, and write it anew with "
            f"python3 course.py build {notebook.stem[:2]}"
        ) from error
    return {name: parameter["default"] for name, parameter in found.items()}


def _literal(path: Path) -> str:
    """``path`` for papermill, which puts parameters where a path has braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _like(source: str, text: str, name: str):
    """``text`` as a value of the type of ``source`` (a whole number may stand for a float)."""
    default, value = _value(source), _value(text)
    kind = type(default)
    if kind is str and not isinstance(value, str):
        value = text
    if kind is float and type(value) is int:
        value = float(value)
    if default is not None and type(value) is not kind:
        raise UsageError(
            f"Parameter {name} takes a value like {default!r} ({kind.__name__}), got {text!r}."
        )
    return value


def _value(source: str):
    """What ``source`` stands for: a literal of Python, or itself (resnet18 needs no quotes)."""
    try:
        return ast.literal_eval(source)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # it names these
        return source


def new_run(runs: Path, lesson: str) -> Path:
    """A new, empty file ``runs/<lesson>/<time>.ipynb``.

    Raises
    ------
    UsageError : it cannot be written.
    """
    folder, stamp = runs / lesson, time.strftime("%Y%m%d-%H%M%S")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for again in itertools.count():  # two runs of one second
            target = folder / f"{stamp}{f'-{again}' if again else ''}.ipynb"
            try:
                target.touch(exist_ok=False)
                return target
            except FileExistsError:
                continue
    except OSError as error:
        blocking = next((p for p in (folder, runs) if p.is_file() or p.is_symlink()), None)
        raise UsageError(
            f"The results cannot be written into {folder}: {error.strerror}.\nWhat to do: "
            + (f"rename {blocking}" if blocking else "see that you may write there")
            + ", then the same command again."
        ) from error


def run_lesson(notebook: Path, values: dict, runs: Path) -> int:
    """Execute a notebook into ``runs/<lesson>/<time>.ipynb`` and ``.html``, and print its claims.

    Both files stay when a cell fails or Ctrl-C stops the run. Returns the exit code: 0 when no
    cell failed and no claim is ✘.

    Raises
    ------
    UsageError : the files cannot be written.
    """
    import nbformat

    from tools.lesson_page import write_page

    target = new_run(runs, notebook.stem)
    start = time.perf_counter()
    code, problem = execute(notebook, target, values)
    seconds = time.perf_counter() - start
    if not target.stat().st_size:
        target.unlink()  # empty, and of this run
        print(problem)
        return code
    executed = nbformat.read(target, as_version=4)
    write_page(executed, target.with_suffix(".html"), notebook.stem)
    claims = read_claims(executed)
    print(summary(notebook.stem, claims, seconds, problem))
    for written in (target, target.with_suffix(".html")):
        print(f"  {written.relative_to(runs.parent)}")
    failing = any(claim["status"] == "fails" and not claim["timed"] for claim in claims)
    return code or (FAILED if failing else 0)


def execute(notebook: Path, target: Path, values: dict) -> tuple[int, str]:
    """Execute ``notebook`` into ``target``; the exit code, and what went wrong."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    try:
        papermill.execute_notebook(
            _literal(notebook),
            _literal(target),
            values,
            cwd=str(notebook.parent),
            kernel_name="python3",
            # Saved widget state would show stale sliders in a page that has no kernel.
            store_widget_state=False,
            # The kernel's own log warns of unencrypted TCP to this very machine, and tells of its
            # end by Ctrl-C: nothing to act on.
            extra_arguments=["--log-level=CRITICAL"],
        )
    except papermill.PapermillExecutionError as failure:
        return FAILED, f"Cell {failure.exec_count} failed with {failure.ename}: {failure.evalue}"
    except (DeadKernelError, CellTimeoutError) as failure:
        return FAILED, (
            f"The kernel ended before the lesson did ({type(failure).__name__}). Most often memory "
            "ran out: close other programs, or try a smaller -p PER_CLASS."
        )
    except KeyboardInterrupt:
        return STOPPED, "Stopped by Ctrl-C before the lesson's end."
    return 0, ""


def read_claims(notebook) -> list[dict]:
    """The claims a notebook showed, in order: see `claims.Claim`."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]


def summary(lesson: str, claims: list[dict], seconds: float, problem: str) -> str:
    """What the terminal shows after a run: each claim with its figure, then the counts."""
    lines = [""]
    for claim in claims:
        figure = f" — {claim['figure']}" if claim["figure"] else ""
        lines.append(f"  {SIGNS[claim['status']].mark} {claim['text']}{figure}")
    statuses = [claim["status"] for claim in claims]
    counts = "  ".join(f"{sign.mark} {statuses.count(status)}" for status, sign in SIGNS.items())
    lines.append(f"{lesson}: {counts}  of {len(claims)} claims, {seconds:.0f} s")
    return "\n".join([*lines, problem] if problem else lines)


def main(arguments: list[str]) -> int:
    """0 when all is well, 1 when a cell or a claim failed, 2 for a wrong argument."""
    asked, *rest = arguments
    sys.stdout.reconfigure(errors="replace")  # a Windows pipe may know no ✔
    lessons = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    try:
        if not lessons:
            raise UsageError("notebooks/ holds no lesson. Build them: python3 course.py build")
        notebook = find_lesson(asked, lessons)
        values = read_parameters(notebook, list(zip(rest[::2], rest[1::2], strict=True)))
        return run_lesson(notebook, values, ROOT / "runs")
    except (UsageError, UnknownLesson) as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    except OSError as error:  # such as a full disk, while the notebook is written
        print(sentence(error), file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
