"""Intervals against published tables, textbook formulas and plain resampling."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from course_utils.stats import (
    Interval,
    mean_difference,
    mean_interval,
    paired_bootstrap,
    wilson,
    winner,
)


def test_interval_prints_with_two_digits_or_as_asked():
    interval = Interval(0.8412, 0.8, 0.8749, 3)
    assert str(interval) == "0.84 [0.80, 0.87]"
    assert f"{interval:.3f}" == "0.841 [0.800, 0.875]"
    assert f"{interval:.1%}" == "84.1% [80.0%, 87.5%]"


def test_mean_interval_of_three_seeds_by_hand():
    got = mean_interval([0.80, 0.84, 0.88])
    half = 4.302653 * 0.04 / math.sqrt(3)  # t(0.975, 2 degrees of freedom) from the table
    assert (got.mean, got.n) == (pytest.approx(0.84), 3)
    assert got.low == pytest.approx(0.84 - half, abs=1e-7)
    assert got.high == pytest.approx(0.84 + half, abs=1e-7)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_mean_interval_agrees_with_scipy(level):
    values = np.random.default_rng(3).normal(size=7)
    low, high = scipy_stats.ttest_1samp(values, 0).confidence_interval(level)
    got = mean_interval(values, level)
    assert (got.low, got.high) == (pytest.approx(low), pytest.approx(high))


def test_mean_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    trials = [mean_interval(rng.normal(5.0, 2.0, size=3), 0.8) for _ in range(1000)]
    covered = np.mean([i.low <= 5.0 <= i.high for i in trials])
    assert 0.76 < covered < 0.84  # three standard errors of a share of 0.8 in 1,000


@pytest.mark.parametrize(
    "values, reason",
    [
        ([0.8], "at least 2"),
        ([], "at least 2"),
        ([0.8, float("nan")], "finite"),
        ([[0.8, 0.9]], "at least 2"),
    ],
)
def test_mean_interval_refuses(values, reason):
    with pytest.raises(ValueError, match=reason):
        mean_interval(values)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_levels_outside_0_and_1_are_refused(level):
    with pytest.raises(ValueError, match="level"):
        mean_interval([0.1, 0.2], level)
    with pytest.raises(ValueError, match="level"):
        wilson(1, 2, level)
    with pytest.raises(ValueError, match="level"):
        paired_bootstrap([1, 0], [0, 0], level=level)


# R. G. Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I,
# method 3: score intervals as printed there.
@pytest.mark.parametrize(
    "correct, total, low, high",
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_published_values(correct, total, low, high):
    got = wilson(correct, total)
    assert (got.mean, got.n) == (correct / total, total)
    assert (round(got.low, 4), round(got.high, 4)) == (low, high)


def test_wilson_by_its_formula_and_by_symmetry():
    n, z = 500, 1.959964
    p = 420 / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    got = wilson(420, n)
    assert (got.low, got.high) == (pytest.approx(centre - half), pytest.approx(centre + half))
    other = wilson(80, n)
    assert (1 - other.high, 1 - other.low) == (pytest.approx(got.low), pytest.approx(got.high))
    assert wilson(10, 10).high == pytest.approx(1) and wilson(10, 10).low < 0.75


@pytest.mark.parametrize("correct, total", [(-1, 10), (11, 10), (0, 0), (3.5, 10)])
def test_wilson_refuses(correct, total):
    with pytest.raises(ValueError, match="expected"):
        wilson(correct, total)


def paired_outcomes(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Two models that mostly fail on the same, hard examples."""
    rng = np.random.default_rng(1)
    hard = rng.random(n) < 0.2
    a = ~hard | (rng.random(n) < 0.3)
    b = ~hard & (rng.random(n) < 0.96)
    return a, b


def test_paired_bootstrap_agrees_with_plain_resampling():
    a, b = paired_outcomes()
    rng = np.random.default_rng(99)
    index = rng.integers(len(a), size=(10_000, len(a)))
    draws = a[index].mean(axis=1) - b[index].mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    got = paired_bootstrap(a, b)
    assert got.mean == pytest.approx(a.mean() - b.mean()) and got.n == len(a)
    assert got.low == pytest.approx(low, abs=0.004) and got.high == pytest.approx(high, abs=0.004)


def test_pairing_narrows_the_interval():
    a, b = paired_outcomes()
    shuffled = np.random.default_rng(2).permutation(b)
    paired, unpaired = paired_bootstrap(a, b), paired_bootstrap(a, shuffled)
    assert paired.mean == pytest.approx(unpaired.mean)
    assert paired.high - paired.low < 0.8 * (unpaired.high - unpaired.low)


def test_paired_bootstrap_repeats_by_seed_and_turns_round():
    a, b = paired_outcomes()
    assert paired_bootstrap(a, b, seed=5) == paired_bootstrap(a, b, seed=5)
    assert len({paired_bootstrap(a, b, draws=30, seed=seed) for seed in range(5)}) > 1
    assert paired_bootstrap(b, a).mean == pytest.approx(-paired_bootstrap(a, b).mean)
    same = paired_bootstrap(a, a)
    assert (same.mean, same.low, same.high) == (0, 0, 0)


@pytest.mark.parametrize("a, b", [([1, 0], [1]), ([], []), ([[1]], [[0]])])
def test_paired_bootstrap_refuses(a, b):
    with pytest.raises(ValueError, match="shapes"):
        paired_bootstrap(a, b)


def test_a_difference_is_paired_seed_by_seed():
    a, b = [0.9, 0.7, 0.5], [0.8, 0.6, 0.4]
    assert mean_difference(a, b).low == pytest.approx(0.1)  # each alone has a wide interval
    assert mean_difference(a, b) == mean_interval(np.subtract(a, b))
    with pytest.raises(ValueError, match="got 3 and 2"):
        mean_difference(a, b[:2])


def test_the_winner_comes_with_its_lead_over_the_runner_up():
    scores = {"last": [0.1, 0.2], "best": [0.8, 0.9], "second": [0.7, 0.9]}
    first, second, lead = winner(scores)
    assert (first, second) == ("best", "second")
    assert lead == mean_difference(scores["best"], scores["second"]) and lead.low < 0
