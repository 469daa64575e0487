"""The trials of lesson 07's exercises on scores: `choose_and_report` and `paired_interval`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from numbers import Real

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from courseware.exercises.attempt import Attempt
from courseware.exercises.trial import Mistake, Trial, apart, need, shown

MOST = 1000  # numbers that are read of what was returned
TABLES = {
    "7 rates, 3 seeds": (7, 3),
    "8 rates, 5 seeds": (8, 5),
    "9 rates, 9 seeds": (9, 9),
    "8 rates, 12 seeds": (8, 12),
}


def _choices(val: Tensor, test: Tensor) -> dict[str, int]:
    """Which row is reported by who chooses rightly (""), and by who makes a mistake."""
    return {
        "": int(val.mean(1).argmax()),
        "chosen-on-test": int(test.mean(1).argmax()),
        "luckiest-run": int(val.max(1).values.argmax()),
        "worst-chosen": int(val.mean(1).argmin()),
        "wrong-axis": int(val.mean(0).argmax()),
        "other-rate": int(val[:, 0].argmax()),
    }


def _tables(case: str) -> tuple[Tensor, Tensor]:
    """Scores (val, test), [rates, seeds] each, on which every choice gives another row."""
    generator = torch.Generator().manual_seed(0)
    while True:
        val, test = (0.5 + 0.5 * torch.rand(TABLES[case], generator=generator) for _ in range(2))
        rows = set(_choices(val, test).values())
        if len(rows) == 6 and max(rows) < len(val) - 1:  # the last row is nobody's
            return val, test


def _choose_and_report(attempt: Attempt, case: str) -> Iterator[None]:
    val, test = _tables(case)

    def blame(error: BaseException) -> str | None:
        return "wrong-axis" if isinstance(error, IndexError) else None

    given = attempt(val.clone(), test.clone(), blame=blame)
    need(given is not None, "nothing-returned")
    numbers = attempt.read(lambda: _numbers(given, "other-numbers"))
    seen = f"It returned {_few(numbers)}."
    if numbers.ndim == 0 or (len(numbers) == 1 and numbers.ndim == 1):
        whole = all(float(number).is_integer() for number in numbers.flatten())
        need(not whole, "index-returned", seen)
        raise Mistake("only-the-mean", seen)
    _need_scores(numbers, seen, val, test)
    yield


def _need_scores(numbers: Tensor, seen: str, val: Tensor, test: Tensor) -> None:
    """The scores are those of the right row of the test table."""
    choices = _choices(val, test)
    wrong = {
        "validation-reported": val[choices[""]],
        "best-of-test": test.max(0).values,
        "rate-for-each-seed": test.gather(0, val.argmax(0)[None])[0],
        **{mistake: test[row] for mistake, row in choices.items() if mistake},
    }
    for mistake, scores in wrong.items():
        need(not _same(numbers, scores), mistake, seen)
    columns = any(_same(numbers, column) for table in (val, test) for column in table.T)
    need(not columns, "wrong-axis", seen)
    need(not any(_same(numbers, row) for row in test[-1:]), "other-rate", seen)
    rows = any(_same(numbers, row) for row in test)
    need(rows, "other-numbers", seen)
    right = test[choices[""]]
    told = "It returned {}; it should be {}.".format(*apart(numbers.tolist(), right.tolist()))
    need(_same(numbers, right), "other-rate", told)


def _numbers(given, mistake: str) -> Tensor:
    """What was returned, as a tensor of floats."""
    try:
        if isinstance(given, Sequence):
            given = [float(value) for value in islice(given, MOST + 1)]
            need(len(given) <= MOST, mistake, f"It returned more than {MOST} numbers.")
        elif not isinstance(given, Tensor | Real):
            given = np.asarray(given.__array__())
        return torch.as_tensor(given).detach().to(torch.float64)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        raise Mistake(mistake, f"It returned {shown(given)}.") from None


def _same(numbers: Tensor, scores: Tensor) -> bool:
    return numbers.shape == scores.shape and torch.allclose(numbers, scores.double(), atol=1e-5)


def _few(numbers: Tensor) -> str:
    values = numbers.flatten().tolist()
    more = " …" if len(values) > 4 else ""
    return ", ".join(f"{value:.3f}" for value in values[:4]) + more


CHOOSE_AND_REPORT = Trial(
    families=tuple(TABLES),
    aspects=("the test scores of the rate that validation prefers",),
    examine=_choose_and_report,
)

# Number of seeds, how much of the scores' spread is common to both, and by how much a is ahead.
PAIRS = {
    "3 seeds": (3, 0.5, 0.01),
    "5 seeds, good and bad for both alike": (5, 0.95, 0.002),
    "8 seeds, b is ahead": (8, 0.8, -0.01),
    "20 seeds": (20, 0.7, 0.005),
}


def _scores(case: str) -> tuple[Tensor, Tensor]:
    """Scores [seeds] of two strategies; their differences have both signs."""
    seeds, common, ahead = PAIRS[case]
    generator = torch.Generator().manual_seed(10 + seeds)
    while True:
        both, own, other = 0.06 * torch.randn(3, seeds, generator=generator)
        a = 0.8 + common * both + (1 - common) * own + ahead
        b = 0.8 + common * both + (1 - common) * other
        if (a > b).any() and (a < b).any() and abs((a - b).mean()) > 1e-3:
            return a, b


def _paired_interval(attempt: Attempt, case: str) -> Iterator[None]:
    a, b = _scores(case)
    given = attempt(a.clone(), b.clone())
    need(given is not None, "nothing-returned")
    numbers = attempt.read(lambda: _numbers(given, "no-triple"))
    need(numbers.shape == (3,), "no-triple", f"It returned {_few(numbers)}.")
    interval = stats.ttest_rel(a.double().numpy(), b.double().numpy()).confidence_interval()
    mean = float((a - b).double().mean())
    right = torch.tensor([mean, interval.low, interval.high], dtype=torch.float64)
    seen = "It returned {}, and it should be {}.".format(*apart(numbers.tolist(), right.tolist()))
    _need_mean(numbers, right, (a - b).double().abs().mean(), seen)
    yield
    _need_half((numbers[2] - numbers[1]) / 2, a.double(), b.double(), seen)
    need(_close(numbers, right), "other-interval", seen)
    yield


def _need_mean(numbers: Tensor, right: Tensor, unsigned: Tensor, seen: str) -> None:
    """First the mean of a - b, then the two ends."""
    half = (right[2] - right[0]).abs()
    need(not _close(numbers[1:].abs(), half.expand(2)), "half-width", seen)
    need(not _close(numbers, -right[[0, 2, 1]]), "other-way-round", seen)
    in_order = _close(numbers, right)
    need(in_order or not _close(numbers.sort().values, right.sort().values), "other-order", seen)
    need(not _close(numbers[0], unsigned), "signs-lost", seen)
    need(_close(numbers[0], right[0]), "other-mean", seen)


def _need_half(half: Tensor, a: Tensor, b: Tensor, seen: str) -> None:
    """Half of the width is not that of a known mistake."""
    n, d = len(a), a - b
    error, t = d.std() / n**0.5, stats.t.ppf
    apart = ((a.var() + b.var()) / n) ** 0.5
    welch = stats.ttest_ind(a.numpy(), b.numpy(), equal_var=False).df
    wrong = {
        "unpaired": [apart * t(0.975, df) for df in (n - 1, 2 * n - 2, welch)] + [1.96 * apart],
        "normal-factor": [1.96 * error, 2 * error],
        "n-in-the-spread": [d.std(correction=0) / n**0.5 * t(0.975, n - 1)],
        "degrees-of-freedom": [error * t(0.975, n)],
        "one-sided": [error * t(0.95, n - 1)],
        "spread-not-error": [d.std() * factor for factor in (t(0.975, n - 1), 1.96, 2, 1)],
    }
    for mistake, halves in wrong.items():
        need(not any(_close(half, other) for other in halves), mistake, seen)


def _close(numbers: Tensor, others: Tensor) -> bool:
    return torch.allclose(numbers, others, rtol=5e-4, atol=1e-6)


PAIRED_INTERVAL = Trial(
    families=tuple(PAIRS),
    aspects=("the mean of the paired differences", "Student's 95 % interval around it"),
    examine=_paired_interval,
)
