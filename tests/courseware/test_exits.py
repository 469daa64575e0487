"""What would end Python while a learner's code runs raises an exception in its place."""

import os
import signal
import subprocess
import sys
import threading

import nbformat
import pytest
from nbclient import NotebookClient

from courseware.exercises.report import MIME
from courseware.exits import kept_running

# In a process of its own: without the mend the first of them is the last.
ENDS = [
    *("exit()", "quit(3)", "sys.exit()", "raise SystemExit"),
    *("os._exit(1)", "os.abort()", "os.execv('/bin/true', ['true'])", "os.execlp('true', 'true')"),
    *("os.kill(os.getpid(), 9)", "os.kill(os.getppid(), 15)", "os.kill(0, signal.SIGTERM)"),
    *("os.killpg(os.getpgrp(), 15)", "signal.raise_signal(signal.SIGABRT)"),
]
SCRIPT = """
import os, signal, sys
from courseware.limits import call_within

for body in {ends!r}:
    try:
        call_within(9, lambda: exec(body))
    except SystemExit as error:
        print(body, "|", error, flush=True)
print(sys.stdin.closed)
"""


def test_nothing_ends_the_process():
    script = SCRIPT.format(ends=ENDS)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, stdin=subprocess.PIPE
    )
    *told, closed = done.stdout.splitlines()
    assert [line.partition(" |")[0] for line in told] == ENDS, done.stderr
    assert done.returncode == 0 and closed == "False"
    for line in told:
        if "sys.exit" not in line and "raise SystemExit" not in line:
            assert " would end Python, and all variables of the notebook with it." in line


def test_what_cannot_be_stopped_any_more_is_refused():
    handler, depth = signal.getsignal(signal.SIGINT), sys.getrecursionlimit()
    with kept_running():
        with pytest.raises(RuntimeError, match="nothing could stop this code"):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        with pytest.raises(RuntimeError, match="nothing could stop this code"):
            sys.setrecursionlimit(depth + 1)
        sys.setrecursionlimit(depth)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGUSR1})
        assert signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1}) == {signal.SIGUSR1}
    assert signal.getsignal(signal.SIGINT) is handler and sys.getrecursionlimit() == depth


def test_it_ends_with_the_block_and_spares_others():
    real, done = os.kill, []
    with kept_running():
        os.kill(os.getpid(), 0)
        thread = threading.Thread(target=lambda: done.append(os.kill(os.getpid(), signal.SIGCHLD)))
        thread.start()
        thread.join()
        child = os.fork()
        if not child:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        left_over = os.kill
    assert done == [None] and os.kill is real
    assert left_over(os.getpid(), signal.SIGCHLD) is None


FORK = """
import os
from courseware.exits import kept_running

with kept_running():
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
print(os.waitstatus_to_exitcode(status))
"""


def test_a_copy_of_the_process_does_not_come_back():
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


CELLS = [
    """
from courseware.exercises import check
from courseware.stepper import step_through
import os, sys
kept = os.getpid()
""",
    *(
        f'def freeze_backbone(model):\n    {body}\n\ncheck("freeze_backbone", freeze_backbone)'
        for body in ("exit()", "quit()", "get_ipython().ask_exit()", "os._exit(1)", "sys.exit()")
    ),
    "def leave():\n    exit()\n\nstep_through(leave)",
    "def clears(model):\n    globals().clear()\n\ncheck('freeze_backbone', clears)",
    "print(kept == os.getpid())",
]


def test_a_notebook_keeps_its_kernel_and_its_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    NotebookClient(notebook, timeout=120).execute()
    _, *checks, stepped, cleared, last = [cell.outputs for cell in notebook.cells]
    for output in checks:
        assert output[0].data[MIME]["status"] == "error"
        assert "line 2 of your cell:" in output[0].data["text/plain"]
        assert "SystemExit" in output[0].data["text/plain"]
    assert "exit() would end Python" in checks[0][0].data["text/plain"]
    assert "exit() would end Python" in stepped[0].data["text/html"]
    assert cleared[0].data[MIME]["status"] == "not yet"
    assert last[0].text == "True\n"
