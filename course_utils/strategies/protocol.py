"""Ask the grid: which strategy for so many photos, of what kind, in how much time?"""

from __future__ import annotations

import html
from dataclasses import dataclass

from course_utils.strategies.grid import Grid

# Less accuracy than this is not worth dearer training: of strategies that tie, the least costly
# within this margin of the best mean is recommended.
MARGIN = 0.02
# A size measured this many times smaller or larger is called near enough to speak for another.
NEAR = 2.0


@dataclass(frozen=True)
class Recommendation:
    """What the grid advises, and how far that can be trusted.

    Parameters
    ----------
    strategy : the least costly of those that cannot be told apart from the best and have a mean
        accuracy within ``MARGIN`` of it
    also : the others that cannot be told apart from the best, from least to most costly
    evidence : lines of measured figures, one a strategy
    caveats : what the budget left out, and how sure the comparison is
    outside : why the question lies outside of what was measured; empty when it does not
    """

    strategy: str
    also: tuple[str, ...]
    evidence: tuple[str, ...]
    caveats: tuple[str, ...]
    outside: str = ""

    def __str__(self) -> str:
        lines = [f"Recommended: {self.strategy}"]
        if self.also:
            lines.append(f"Cannot be told from the best, either: {'; '.join(self.also)}")
        lines += [f"Outside of what was measured: {self.outside}"] if self.outside else []
        return "\n".join([*lines, "", *self.evidence, "", *self.caveats])

    def _repr_html_(self) -> str:
        def cells(lines: tuple[str, ...]) -> str:
            return "".join(f"<li>{html.escape(line)}</li>" for line in lines)

        warning = f"<p>▲ <b>Outside of what was measured:</b> {html.escape(self.outside)}</p>"
        also = f"Cannot be told from the best, either: {'; '.join(self.also)}." if self.also else ""
        return (
            f"<p><b>Recommended: {html.escape(self.strategy)}.</b> {html.escape(also)}</p>"
            f"{warning if self.outside else ''}<ul>{cells(self.evidence)}</ul>"
            f"<ul>{cells(self.caveats)}</ul>"
        )


def recommend(
    grid: Grid, photos_a_class: int, domain: str, minutes: float | None = None
) -> Recommendation:
    """The least costly strategy that is as good as the grid's best, as far as the grid can tell.

    Parameters
    ----------
    photos_a_class : training photos a class that you have; the nearest measured number answers
    domain : one of ``grid.domains``, or anything else (answered from the first, and said so)
    minutes : training time on one thread of the grid's machine; None: no limit

    Raises
    ------
    ValueError : fewer than one photo a class, or no time at all
    """
    if photos_a_class < 1 or (minutes is not None and minutes <= 0):
        raise ValueError(
            f"got {photos_a_class} photos a class and {minutes} minutes; expected at least one "
            "photo, and more than 0 minutes (or None for no limit)"
        )
    nearest = min(grid.photos, key=lambda n: max(n / photos_a_class, photos_a_class / n))
    asked = domain if domain in grid.domains else grid.domains[0]
    # Training costs grow with the number of photos; what was measured is scaled by it.
    cost = {
        name: grid.seconds(name, nearest, asked) * photos_a_class / nearest / 60
        for name in grid.strategies
    }
    by_cost = sorted(grid.strategies, key=lambda name: cost[name])
    fitting = [name for name in by_cost if minutes is None or cost[name] <= minutes]
    within = fitting or by_cost[:1]
    score = {name: grid.interval(name, nearest, asked) for name in within}
    best = max(within, key=lambda name: score[name].mean)

    def tied(name: str) -> bool:  # the paired 95 % interval of their difference holds 0
        difference = grid.difference(best, name, nearest, asked)
        return name == best or difference.low <= 0 <= difference.high

    ties = [name for name in within if tied(name)]
    strategy = next(name for name in ties if score[name].mean >= score[best].mean - MARGIN)
    evidence = [
        f"{name}: {score[name]:.3f}, {_time(cost[name])}"
        for name in sorted(within, key=lambda name: -score[name].mean)
    ]
    caveats = [
        f"Measured with {nearest} photos a class of {asked}, {len(grid.seeds)} seeds: test "
        "accuracy and its 95 % interval. Few seeds make wide intervals, so a tie means that "
        "these runs cannot tell, not that the strategies are equal."
    ]
    if left_out := [name for name in by_cost if name not in within]:
        caveats.append(f"Left out by the time you gave: {'; '.join(left_out)}.")
    if not fitting:
        caveats.append("Nothing fits into that time; this is the least costly.")
    also = tuple(name for name in ties if name != strategy)
    outside = _outside(photos_a_class, nearest, domain, asked)
    return Recommendation(strategy, also, tuple(evidence), tuple(caveats), outside)


def _outside(asked: int, nearest: int, domain: str, answered: str) -> str:
    reasons = []
    if max(asked / nearest, nearest / asked) > NEAR:
        reasons.append(f"{asked} photos a class is far from the nearest measured number, {nearest}")
    if domain != answered:
        reasons.append(
            f"{domain} was not measured; this is the answer for {answered}. Run a probe on your "
            "own validation images before you believe it"
        )
    return "; ".join(reasons)


def _time(minutes: float) -> str:
    return f"about {minutes:.0f} min" if minutes >= 2 else f"about {max(60 * minutes, 1):.0f} s"
