"""The committed grid of real runs behind lesson 8: strategy × photos a class × domain × seed.

``python3 course.py bench grid`` makes it (benchmarks/grid.py); this module only reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.stats import Interval, mean_difference, mean_interval, winner
from course_utils.store.folders import data_dir

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("head only", "last stage", "all", "probe, then all", "from scratch")
PHOTOS = (5, 20, 50, 100)
DOMAINS = ("photos", "shifted photos", "drawn flowers")
SEEDS = (0, 1, 2)


class GridError(ValueError):
    """The file of the grid is missing, damaged or incomplete; the message says what to do."""


@dataclass(frozen=True)
class Run:
    """One trained network: what it was, and what was measured.

    ``accuracy`` on the test photos, ``val_accuracy`` of the best epoch and ``train_accuracy`` lie
    in [0, 1]; ``seconds`` is the training, validation after each epoch included, one thread.
    """

    strategy: str
    photos: int
    domain: str
    seed: int
    rate: float
    accuracy: float
    val_accuracy: float
    train_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Grid:
    """All runs, and the conditions they were made under."""

    runs: tuple[Run, ...]
    conditions: dict = field(default_factory=dict)
    strategies: tuple[str, ...] = NAMES
    photos: tuple[int, ...] = PHOTOS
    domains: tuple[str, ...] = DOMAINS
    seeds: tuple[int, ...] = SEEDS

    def cell(self, strategy: str, photos: int, domain: str) -> list[Run]:
        """The runs of one cell, by seed. Raises GridError: nothing was measured there."""
        asked = (strategy, photos, domain)
        found = [run for run in self.runs if (run.strategy, run.photos, run.domain) == asked]
        if not found:
            raise GridError(
                f"got {strategy!r}, {photos} photos a class, {domain!r}; measured were "
                f"{self.strategies}, {self.photos} photos a class, {self.domains}"
            )
        return sorted(found, key=lambda run: run.seed)

    def accuracy(self, strategy: str, photos: int, domain: str) -> list[float]:
        """Test accuracies of one cell, by seed."""
        return [run.accuracy for run in self.cell(strategy, photos, domain)]

    def interval(self, strategy: str, photos: int, domain: str) -> Interval:
        """Mean test accuracy over the seeds, with its 95 % interval."""
        return mean_interval(self.accuracy(strategy, photos, domain))

    def seconds(self, strategy: str, photos: int, domain: str) -> float:
        """Mean seconds of training, on one thread of the machine that made the grid."""
        runs = self.cell(strategy, photos, domain)
        return sum(run.seconds for run in runs) / len(runs)

    def difference(self, a: str, b: str, photos: int, domain: str) -> Interval:
        """Accuracy of ``a`` minus that of ``b``, paired: same seed, same photos, same test set."""
        return mean_difference(self.accuracy(a, photos, domain), self.accuracy(b, photos, domain))

    def winner(self, photos: int, domain: str) -> tuple[str, str, Interval]:
        """The best mean, the runner-up, and their paired difference: see `stats.winner`."""
        return winner({n: self.accuracy(n, photos, domain) for n in self.strategies})

    def frame(self) -> pd.DataFrame:
        """One row a run: strategy, photos, domain, seed, rate, accuracies, seconds."""
        import pandas as pd

        return pd.DataFrame([vars(run) for run in self.runs])


def missing(runs: Iterable[Run]) -> list[tuple[str, int, str, int]]:
    """The (strategy, photos, domain, seed) that no run has, in the order of the grid."""
    done = {(run.strategy, run.photos, run.domain, run.seed) for run in runs}
    every = ((s, n, d, seed) for seed in SEEDS for d in DOMAINS for n in PHOTOS for s in NAMES)
    return [cell for cell in every if cell not in done]


def grid_path() -> Path:
    """Where the committed results lie."""
    return data_dir() / "results" / "grid.json"


def load_runs(path: Path) -> tuple[list[Run], dict]:
    """Runs and conditions of a file, complete or not; nothing where there is no file.

    Raises GridError: the file is there and cannot be understood.
    """
    if not path.exists():
        return [], {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        runs = [Run(**row) for row in content.pop("runs")]
    except (ValueError, TypeError, KeyError) as error:
        raise GridError(
            f"{path.name} is damaged ({error}): restore it from the repository, or remove it and "
            "make it anew with: python3 course.py bench grid"
        ) from error
    return runs, content


def read_grid(path: Path | None = None) -> Grid:
    """The committed grid, complete. Raises GridError: no file, a damaged or an incomplete one."""
    runs, conditions = load_runs(path or grid_path())
    if holes := missing(runs):
        raise GridError(
            f"{len(holes)} of the grid's runs are missing, the first is {holes[0]}: finish it with "
            "python3 course.py bench grid (it goes on where it stopped)"
        )
    return Grid(tuple(runs), conditions)
