"""The memory that a process has held at most."""

import subprocess
import sys
import types

import numpy as np
import pytest

from benchmarks import _machine


def test_peak_memory_counts_bytes():
    code = (  # a process of its own: a peak never falls, and other tests may have set a high one
        "import numpy; from benchmarks import _machine; before = _machine.peak_memory(); "
        "block = numpy.ones(50_000_000); held = _machine.peak_memory(); del block; "
        "print(before, held, _machine.peak_memory())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, held, after = map(int, ran.stdout.split())
    assert 5e6 < before < 4e9  # Python with NumPy; a wrong unit is off by 1024
    assert 300e6 < held - before < 500e6  # 400 MB
    assert after > 0.99 * held  # the kernel sums its counters inexactly


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands a peak on")
def test_peak_memory_leaves_out_the_process_that_started_this_one():
    block = np.ones(100_000_000)  # 800 MB here, none of it the child's
    code = (
        "import resource; from benchmarks import _machine; "
        "print(_machine.peak_memory(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own, handed_on = map(int, ran.stdout.split())
    assert own <= handed_on and own < block.nbytes


def test_peak_memory_without_the_line_in_proc(tmp_path):
    status = tmp_path / "status"
    assert _machine._peak_of_this_program(status) == 0
    status.write_text("Name:\tpython\nVmPeak:\t  99 kB\nVmHWM:\t    2048 kB\n")
    assert _machine._peak_of_this_program(status) == 2048 * 1024
    status.write_text("Name:\tpython\n")
    assert _machine._peak_of_this_program(status) == 0


@pytest.mark.parametrize("platform, factor", [("linux", 1024), ("darwin", 1)])
def test_peak_memory_knows_the_unit_of_each_system(monkeypatch, platform, factor):
    resource = types.SimpleNamespace(
        RUSAGE_SELF=0, getrusage=lambda who: types.SimpleNamespace(ru_maxrss=1000)
    )
    monkeypatch.setattr(_machine, "_peak_of_this_program", lambda: 0)  # as where /proc is missing
    monkeypatch.setitem(sys.modules, "resource", resource)
    monkeypatch.setattr(sys, "platform", platform)
    assert _machine.peak_memory() == 1000 * factor
