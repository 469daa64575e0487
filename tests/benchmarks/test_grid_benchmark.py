"""The grid's worker processes end with it on Ctrl-C, without a word of their own."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tools.builder.lesson import ROOT

SLOW = """
import pathlib, time
def train_once(job):
    pathlib.Path(job["file"]).touch()
    time.sleep(60)
"""
GRID = """
import sys
import benchmarks.grid, slow
benchmarks.grid.train_once = slow.train_once
try:
    list(benchmarks.grid.run_jobs([{"file": name} for name in sys.argv[1:]], 2, "trained"))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a group of processes")
def test_ctrl_c_ends_the_workers_without_a_traceback(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    files = [tmp_path / "first", tmp_path / "second", tmp_path / "third"]
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-c", GRID, *map(str, files)]
    with subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as grid:
        while not (files[0].exists() and files[1].exists()) and grid.poll() is None:
            time.sleep(0.1)
        os.killpg(grid.pid, signal.SIGINT)
        said = grid.communicate(timeout=30)[1]
    assert grid.returncode == 130 and "Traceback" not in said
    assert not files[2].exists()
