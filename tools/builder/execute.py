"""Run a lesson's notebook in a fresh kernel, the way the build and the benchmarks do."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.v4 import new_code_cell

from course_utils.store import threads
from tools.builder.lesson import ROOT, LessonError

TIMEOUT = 300  # seconds for one cell: far more than any needs, and a hung one ends the build
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# Which images the lesson ran on: a Flowers object knows, and only the kernel has it.
_PROBE = """
print(",".join(sorted({value.source for value in list(globals().values())
                       if type(value).__name__ == "Flowers"})))
"""


def kernel_env(**extra: str) -> dict[str, str]:
    """The environment of a lesson's kernel: this checkout's course_utils, strict, no bars."""
    env = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    paths = [str(ROOT), env.get("PYTHONPATH", "")]
    env["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    # Not the progress of whoever builds or tests: a file that nothing has written yet.
    progress = Path(tempfile.gettempdir(), f"course-{os.getpid()}", "progress.json")
    ours = {"COURSE_STRICT": "1", "TQDM_DISABLE": "1", "PYTHONHASHSEED": "0"}
    # All cores, unless the caller says otherwise: what a busy machine would print is not stored.
    ours |= {"COURSE_PROGRESS": str(progress)} | threads.environment()
    names = ("OMP_NUM_THREADS", *threads.WAIT)
    given = {key: env[key] for key in names if key in env}
    return env | ours | given | extra


def execute(notebook, name: str, *, probe: str = _PROBE, env: dict[str, str] | None = None) -> str:
    """Execute every cell in place, then ``probe`` in the same kernel; what the probe printed.

    The default probe tells the data source: "photos", "rendered", or "" where the lesson uses
    neither.

    Raises LessonError: a cell failed, took over TIMEOUT seconds, or the kernel died.
    """
    folder = ROOT / "notebooks"
    folder.mkdir(exist_ok=True)
    last = new_code_cell(probe)
    notebook.cells.append(last)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        # With False, nbclient loses track of Output widgets, and `interact` ends in a KeyError.
        store_widget_state=True,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=40"],  # no word about its own transport
    )
    try:
        client.execute(env=env or kernel_env())
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise LessonError(f"{name} does not run:\n{_ANSI.sub('', str(error))}") from error
    notebook.cells.remove(last)
    notebook.metadata.pop("widgets", None)  # a widget is of no use without its kernel
    return "".join(o.text for o in last.outputs if o.output_type == "stream").strip()
