"""How sure can we be? Means over seeds, a proportion, and the difference of two paired scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; ``n`` is how many values stand behind it.

    Printed as ``0.84 [0.80, 0.87]``; a format such as ``f"{interval:.3f}"`` sets the digits.
    """

    mean: float
    low: float
    high: float
    n: int

    def __format__(self, spec: str) -> str:
        spec = spec or ".2f"
        return f"{self.mean:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return format(self, "")


def mean_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Interval:
    """Mean over independent runs (seeds) with Student's t interval.

    With 3 seeds the factor is 4.30 standard errors, not 1.96: few seeds are paid for in width.

    Parameters
    ----------
    values : n >= 2 finite numbers, one for each seed
    level : coverage, between 0 and 1

    Raises
    ------
    ValueError : fewer than two values, a value that is not finite, or a level outside (0, 1)

    Source: Student, "The probable error of a mean", Biometrika 6 (1908).
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(f"got {array.size} value(s); an interval needs at least 2 runs: add seeds")
    _check(array, level)
    from scipy import stats  # takes half a second

    mean, error = array.mean(), stats.sem(array)
    half = float(stats.t.ppf((1 + level) / 2, len(array) - 1) * error)
    return Interval(float(mean), float(mean - half), float(mean + half), len(array))


def mean_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Interval:
    """Mean of ``a - b``, paired seed by seed: what makes a seed hard for both drops out.

    Raises
    ------
    ValueError : unequal lengths, and as `mean_interval`
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (a, b))
    if first.shape != second.shape:
        raise ValueError(
            f"got {first.size} and {second.size} values; expected one of each for every seed"
        )
    return mean_interval(first - second, level)


def winner(scores: Mapping[str, Sequence[float]]) -> tuple[str, str, Interval]:
    """The name with the best mean, the runner-up, and their paired difference.

    An interval that holds 0 means: these seeds cannot tell the two apart. (It is a little too
    sure, for the pair was picked after looking.)

    Parameters
    ----------
    scores : at least two names, each with its scores [seeds], the same seeds in the same order
    """
    means = {name: float(np.mean(np.asarray(values))) for name, values in scores.items()}
    first, second = sorted(means, key=lambda name: -means[name])[:2]
    return first, second, mean_difference(scores[first], scores[second])


def wilson(correct: int, total: int, level: float = 0.95) -> Interval:
    """Accuracy ``correct / total`` on one test set, with Wilson's score interval.

    Unlike mean ± 1.96 standard errors it stays inside [0, 1] and has a width at 0 % and 100 %.

    Raises
    ------
    ValueError : counts that are not whole, total < 1, correct outside 0…total, or a level
        outside (0, 1)

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    JASA 22 (1927), as implemented by SciPy's ``binomtest``.
    """
    if total < 1 or not 0 <= correct <= total or int(correct) != correct or int(total) != total:
        raise ValueError(
            f"got {correct} correct of {total}; expected whole numbers, 0 <= correct <= total >= 1"
        )
    _check(np.asarray([correct, total], dtype=np.float64), level)
    from scipy.stats import binomtest

    test = binomtest(int(correct), int(total))
    low, high = test.proportion_ci(confidence_level=level, method="wilson")
    return Interval(correct / total, float(low), float(high), int(total))


def paired_bootstrap(
    correct_a: Sequence[bool],
    correct_b: Sequence[bool],
    *,
    draws: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Difference in accuracy (a - b) of two models judged on the same test examples.

    The examples are resampled together, so what makes a photo hard for both models cancels out.

    Parameters
    ----------
    correct_a, correct_b : [n] 0/1 or bool, same examples in the same order
    draws : bootstrap resamples; 10,000 of 500 examples take about a tenth of a second

    Raises
    ------
    ValueError : lengths differ, or nothing was given

    Source: Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), percentile interval.
    """
    a, b = np.asarray(correct_a, dtype=np.float64), np.asarray(correct_b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0:
        raise ValueError(
            f"got shapes {a.shape} and {b.shape}; expected one 0/1 value per test example, "
            "the same examples in both"
        )
    difference = a - b
    _check(difference, level)
    # A paired 0/1 difference is -1, 0 or 1: drawing n of them is one multinomial draw, so a
    # resample costs three numbers instead of n.
    values, counts = np.unique(difference, return_counts=True)
    rng = np.random.default_rng(seed)
    resampled = rng.multinomial(len(a), counts / len(a), size=draws) @ values / len(a)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(difference.mean()), float(low), float(high), len(a))


def _check(array: np.ndarray, level: float) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"got {array.tolist()}; every value must be finite")
    if not 0 < level < 1:
        raise ValueError(f"got level={level}; expected a number between 0 and 1, such as 0.95")
