"""The commands that need the packages: run a lesson, see the progress, look at the machine, fetch.

``course.py`` sets up the environment and hands over to ``python -m course_utils.cli``.
"""

from __future__ import annotations

import argparse
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


def read_parameters(notebook: Path, pairs: list[list[str]]) -> dict:
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


def fetch() -> None:
    """Fetch the backbone's weights and the photos; say so where they cannot be had now."""
    from course_utils import photos, weights

    try:
        weights.obtain(weights.course_weights("mobilenet_v2"))
        print("Weights: there, and verified.")
    except weights.WeightsUnavailable as error:
        print(f"Weights: not now. {error}")
    try:
        if photos.find_photos() is None:
            photos.download_photos()
        print("Photos: there, and verified.")
    except photos.PhotosUnavailable as error:
        print(f"Photos: not now, because {error}. The lessons draw flowers in their place.")


def progress(options: argparse.Namespace) -> str:
    """What the terminal shows of the learner's progress, after an export, an import or a reset.

    Raises:
        ProgressError: a file cannot be read or written.
    """
    from course_utils.quiz import panel
    from course_utils.quiz.progress import Progress

    store = Progress()
    if options.export is not None:
        return panel.exported(store, options.export)
    if options.take_in is not None:
        return panel.imported(store, options.take_in)
    if options.reset:
        backup = store.reset()
        return f"Begun anew. What there was is in {backup}" if backup else "Nothing to reset yet."
    copies = "A copy: python3 course.py progress --export FILE. Take one in: --import FILE."
    return str(panel.panel_of(store, f"Kept in {store.path}\n{copies}"))


def show_progress(options: argparse.Namespace) -> int:
    """Print `progress`, or why not."""
    from course_utils.quiz.bank import BankError
    from course_utils.quiz.records import ProgressError

    try:
        print(progress(options))
    except (ProgressError, BankError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def main(arguments: list[str] | None = None) -> int:
    """0 when all is well, 1 when a lesson failed or a check is red, 2 for a wrong argument."""
    parser = argparse.ArgumentParser(prog="course_utils.cli", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("lesson")
    run.add_argument("-p", dest="parameter", nargs=2, action="append", default=[])
    kept = commands.add_parser("progress").add_mutually_exclusive_group()
    kept.add_argument("--export", metavar="FILE")
    kept.add_argument("--import", metavar="FILE", dest="take_in")
    kept.add_argument("--reset", action="store_true")
    commands.add_parser("doctor")
    commands.add_parser("fetch")
    options = parser.parse_args(arguments)
    sys.stdout.reconfigure(errors="replace")  # a Windows pipe may know no ✔
    if options.command == "run":
        try:
            notebook = find_lesson(options.lesson, ROOT / "notebooks")
            values = read_parameters(notebook, options.parameter)
        except UsageError as error:
            print(error, file=sys.stderr)
            return 2
        return 0 if run_lesson(notebook, values, ROOT / "runs") else 1
    if options.command == "progress":
        return show_progress(options)
    if options.command == "doctor":
        from course_utils.doctor import panel  # imports torch: seconds that `run` need not wait

        shown = panel()
        print(shown)
        return 1 if any(check.status == "bad" for check in shown.checks) else 0
    fetch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
