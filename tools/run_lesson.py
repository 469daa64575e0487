"""Run a lesson from the terminal: a copy with your values, its page, and its claims.

``course.py run`` sets up the environment, then hands over: tools/run_lesson.py LESSON [NAME VALUE]…
"""

from __future__ import annotations

import ast
import difflib
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLAIM = "application/vnd.course.claim+json"
MARKS = {"holds": "✔", "fails": "✘", "skipped": "–"}


class UsageError(Exception):
    """The command was given something it cannot use. The message says what, and what it takes."""


def find_lesson(asked: str, folder: Path) -> Path:
    """The notebook in ``folder`` that ``asked`` names: 4, 04, feature_extraction, a file name.

    Raises:
        UsageError: none does, or several do. The message names the near ones.
    """
    notebooks = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not notebooks:
        raise UsageError("notebooks/ holds no lesson. Build them: python3 course.py build")
    name = Path(asked).name.removesuffix(".ipynb").removesuffix(".py").lower().replace("-", "_")
    if name.isdigit():
        name = f"{int(name):02d}"
    found = [n for n in notebooks if name in (n, n[:2], n[3:])]
    found = found or [n for n in notebooks if name and n[3:].startswith(name)]
    found = found or [n for n in notebooks if name and n.startswith(name)]
    if len(found) == 1:
        return notebooks[found[0]]
    topics = {key: n for n in notebooks for key in (n, n[3:])}
    near = found or [topics[key] for key in difflib.get_close_matches(name, topics, 4, 0.5)]
    raise UsageError(
        f"{'Several lessons are' if found else 'There is no lesson'} called {asked!r}. "
        + ("Did you mean " if near else "There are ")
        + ", ".join(dict.fromkeys(near or notebooks))
        + ("?" if near else ".")
    )


def read_parameters(notebook: Path, pairs: list[tuple[str, str]]) -> dict:
    """The values for a lesson's ``parameters`` cell, with the types its own values have.

    Raises:
        UsageError: the cell has no such name, or the value is of another type.
    """
    import papermill

    known = papermill.inspect_notebook(str(notebook))
    values = {}
    for name, text in pairs:
        if name not in known:
            has = ", ".join(f"{n} ({p['default']})" for n, p in known.items())
            near = difflib.get_close_matches(name.upper(), known, 1)
            raise UsageError(
                f"{notebook.stem} has no parameter {name!r}. "
                + (f"Did you mean {near[0]}? " if near else "")
                + (f"It has: {has}." if has else "It has none.")
            )
        values[name] = _like(ast.literal_eval(known[name]["default"]), text, name)
    return values


def _like(default, text: str, name: str):
    """``text`` as a value of ``default``'s type (a whole number may stand for a float)."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text  # resnet18 needs no quotes
    kind = type(default)
    if kind is str:
        return value if isinstance(value, str) else text
    if kind is float and type(value) is int:
        value = float(value)
    if default is not None and type(value) is not kind:
        raise UsageError(
            f"Parameter {name} takes a value like {default!r} ({kind.__name__}), got {text!r}."
        )
    return value


def run_lesson(notebook: Path, values: dict, runs: Path) -> bool:
    """Execute a notebook into ``runs/<lesson>/<time>.ipynb`` and ``.html``, and print its claims.

    Both files stay when a cell fails. Returns whether no cell failed and no claim is ✘.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    folder = runs / notebook.stem
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{time.strftime('%Y%m%d-%H%M%S')}.ipynb"
    start, error = time.perf_counter(), ""
    try:
        papermill.execute_notebook(
            str(notebook),
            str(target),
            values,
            cwd=str(notebook.parent),
            kernel_name="python3",
            # Saved widget state would show stale sliders in a page that has no kernel.
            store_widget_state=False,
            # The kernel warns of unencrypted TCP to this very machine: nothing to act on.
            extra_arguments=["--log-level=ERROR"],
        )
    except papermill.PapermillExecutionError as failure:
        error = f"Cell {failure.exec_count} failed with {failure.ename}: {failure.evalue}"
    except (DeadKernelError, CellTimeoutError) as failure:
        error = (
            f"The kernel ended before the lesson did ({type(failure).__name__}). Most often memory "
            "ran out: close other programs, or try a smaller -p PER_CLASS."
        )
    seconds = time.perf_counter() - start
    executed = nbformat.read(target, as_version=4)
    write_html(executed, target.with_suffix(".html"))
    claims = read_claims(executed)
    print(summary(notebook.stem, claims, seconds, error))
    for written in (target, target.with_suffix(".html")):
        print(f"  {written.relative_to(runs.parent)}")
    return not error and all(claim["status"] != "fails" or claim["timed"] for claim in claims)


def write_html(notebook, target: Path) -> None:
    """Write an executed notebook as a page of its own."""
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_notebook_node(notebook)
    target.write_text(page, encoding="utf-8")


def read_claims(notebook) -> list[dict]:
    """The claims a notebook showed, in order: see `claims.Claim`."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"][CLAIM] for output in outputs if CLAIM in output.get("data", {})]


def summary(lesson: str, claims: list[dict], seconds: float, error: str) -> str:
    """What the terminal shows after a run: each claim with its figure, then the counts."""
    lines = [""]
    for claim in claims:
        figure = f" — {claim['figure']}" if claim["figure"] else ""
        lines.append(f"  {MARKS[claim['status']]} {claim['text']}{figure}")
    statuses = [claim["status"] for claim in claims]
    counts = "  ".join(f"{mark} {statuses.count(status)}" for status, mark in MARKS.items())
    lines.append(f"{lesson}: {counts}  of {len(claims)} claims, {seconds:.0f} s")
    if error:
        lines.append(error)
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """0 when all is well, 1 when a cell or a claim failed, 2 for a wrong argument."""
    lesson, *rest = arguments
    sys.stdout.reconfigure(errors="replace")  # a Windows pipe may know no ✔
    try:
        notebook = find_lesson(lesson, ROOT / "notebooks")
        values = read_parameters(notebook, list(zip(rest[::2], rest[1::2], strict=True)))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if run_lesson(notebook, values, ROOT / "runs") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
