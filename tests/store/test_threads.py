"""How many threads compute, and how they wait."""

import os
import subprocess
import sys

import pytest
import torch

from course_utils.store import threads


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    for name in ("COURSE_THREADS", "OMP_NUM_THREADS", *threads.WAIT):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")  # so that what the code sets is taken back afterwards
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.fixture
def machine(monkeypatch):
    def made(cores: int, busy: float, host: int | None = None) -> None:
        monkeypatch.setattr(threads.joblib, "cpu_count", lambda: cores)
        monkeypatch.setattr(os, "cpu_count", lambda: host or cores)
        percent = 100 * busy / (host or cores)
        monkeypatch.setattr(threads.psutil, "cpu_percent", lambda seconds: percent)

    return made


@pytest.mark.parametrize(
    "cores, busy, expected",
    [(2, 0.05, 2), (2, 0.45, 2), (2, 1.0, 1), (2, 2.0, 1), (8, 1.1, 7), (1, 1.0, 1)],
)
def test_threads_are_the_free_cores(machine, cores, busy, expected, capsys):
    machine(cores, busy)
    threads.share_processor()
    assert os.environ["OMP_NUM_THREADS"] == str(expected)
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    # Measured: at once passive, a step on a small batch takes 150 ms instead of 90.
    assert 1000 <= int(os.environ["GOMP_SPINCOUNT"]) <= 4000
    said = capsys.readouterr().out
    assert (f"{expected} of {cores} cores" in said) == (expected < cores)
    assert said.count("\n") <= 1


def test_a_container_with_two_cores_of_a_large_host(machine):
    machine(2, busy=0.5, host=64)
    threads.share_processor()
    assert os.environ["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize("name", ["COURSE_THREADS", "OMP_NUM_THREADS"])
def test_the_learners_own_number_wins(machine, monkeypatch, name, capsys):
    machine(4, busy=3.0)
    monkeypatch.setenv(name, "3")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    threads.share_processor()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE" and capsys.readouterr().out == ""


@pytest.mark.parametrize("value", ["0", "two", "-1", "1.5"])
def test_a_number_that_is_none_is_told(monkeypatch, value):
    monkeypatch.setenv("COURSE_THREADS", value)
    with pytest.raises(ValueError, match=f"COURSE_THREADS={value}.*as 2"):
        threads.share_processor()


def test_a_number_for_each_level_and_nonsense_of_others(machine, monkeypatch):
    machine(4, busy=0)
    for given, expected in (("2,1", "2"), ("many", "4")):
        monkeypatch.setenv("OMP_NUM_THREADS", given)
        threads.share_processor()
        assert os.environ["OMP_NUM_THREADS"] == expected


def test_programs_side_by_side_share_the_cores(machine):
    machine(4, busy=4.0)
    assert threads.environment(2) == threads.WAIT | {"OMP_NUM_THREADS": "2"}
    assert threads.environment(9)["OMP_NUM_THREADS"] == "1"


CHECK = """
import sys
from course_utils.store.threads import share_processor
assert "torch" not in sys.modules, "the wait is settled before torch is loaded"
share_processor()
import torch
print(torch.get_num_threads())
"""


def test_torch_computes_with_as_many():
    env = os.environ | {"COURSE_THREADS": "1"}
    ran = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, env=env)
    assert ran.stdout.split() == ["1"], ran.stderr


def test_a_kernel_that_has_loaded_torch_gets_the_number(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", torch)
    before = torch.get_num_threads()
    machine(2, busy=1.0)
    try:
        threads.share_processor()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
