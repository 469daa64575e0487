"""The committed figures about the stepper are of what it is, and within what was promised."""

import importlib.util
import json

import pytest

from tools.builder.lesson import ROOT


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location(
        "stepper_cost", ROOT / "benchmarks" / "stepper.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_snippet_is_a_training_step_of_twenty_lines(benchmark):
    result = json.loads(benchmark.RESULTS.read_text(encoding="utf-8"))
    for name in benchmark.NETWORKS:
        assert result[name]["lines"] == 20
        assert max(result[name][key] for key in ("recording_bytes", "widget_bytes")) <= 60_000
        assert result[name]["overhead_seconds"] <= 1


def test_it_measures_both_ways(benchmark, monkeypatch):
    calls = []
    monkeypatch.setattr(benchmark, "inputs", lambda name: (name,))
    monkeypatch.setattr(benchmark, "training_step", lambda name: calls.append(name))
    monkeypatch.setattr(benchmark, "_record", lambda given: _recorded(calls, *given))
    told = benchmark.measure("a network", 3)
    assert calls.count("a network") == 3 and calls.count("recorded") == 5  # one before, one after
    assert told["lines"] == 2 and told["steps"] == 2
    assert told["overhead_seconds"] <= told["largest_overhead_seconds"]


def _recorded(calls: list, name: str):
    from courseware.stepper.record import record

    def work():
        calls.append("recorded")

    return record(work)
