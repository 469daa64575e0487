"""The figures about the quiz are what their names say."""

import importlib.util
import json

import pytest

from tools.builder.lesson import ROOT


@pytest.fixture(scope="module")
def quiz_benchmark():
    spec = importlib.util.spec_from_file_location("quiz_cost", ROOT / "benchmarks" / "quiz.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_median_and_percentile(quiz_benchmark):
    clicks = [{"laid_out": float(n), "next_frame": 16.0} for n in range(1, 100)]
    assert quiz_benchmark.summary(clicks) == {
        "clicks": 99,
        "laid_out_median_ms": 50.0,
        "laid_out_p95_ms": 95.0,
        "next_frame_median_ms": 16.0,
        "next_frame_p95_ms": 16.0,
    }


def test_the_committed_figures_cover_every_state_of_the_kernel(quiz_benchmark):
    result = json.loads(quiz_benchmark.RESULTS.read_text(encoding="utf-8"))
    assert list(result["click_to_feedback"]) == list(quiz_benchmark.KERNELS)
    assert all(told["clicks"] >= 30 for told in result["click_to_feedback"].values())
