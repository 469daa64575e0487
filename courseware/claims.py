"""A claim, checked where it is made: the sentence, the figure, and whether it holds here."""

from __future__ import annotations

import html
import os
from dataclasses import asdict, dataclass

from courseware import boxes

MIME = "application/vnd.course.claim+json"
SIGNS = {"holds": boxes.GOOD, "fails": boxes.BAD, "skipped": boxes.UNKNOWN}


class ClaimFailed(AssertionError):
    """A claim did not hold while COURSE_STRICT=1 (the tests' setting) was on."""


@dataclass(frozen=True)
class Claim:
    """What `claim` showed: ``status`` is "holds", "fails" or "skipped"."""

    text: str
    status: str
    figure: str = ""
    timed: bool = False

    def __str__(self) -> str:
        figure = f" — {self.figure}" if self.figure else ""
        return f"{SIGNS[self.status].mark} {self.text}{figure}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        figure = f" <span>— {html.escape(self.figure)}</span>" if self.figure else ""
        return {
            "text/plain": str(self),
            "text/html": boxes.marked(SIGNS[self.status], html.escape(self.text) + figure),
            MIME: asdict(self),
        }


def claim(
    text: str, holds, *, figure="", when=True, otherwise: str = "", timed: bool = False
) -> None:
    """Show whether a sentence holds, with the figure behind it.

    Parameters
    ----------
    text : the claim, one sentence
    holds : a bool (a tensor or NumPy bool without dimensions will do), or a function of no
        argument that returns one, for a check that cannot be computed unless ``when`` is true
    figure : what was measured, shown beside it (any object, formatted by ``str``)
    when : False where the claim has nothing to stand on (no pretrained weights, no photos);
        it is then shown as not checked, with ``otherwise`` as the reason
    timed : the claim is about seconds. On a machine that is busy with something else it may miss
        through no fault of the code, so it is shown as ✘ but never raises

    Raises
    ------
    ClaimFailed : it does not hold, is not ``timed``, and the environment variable COURSE_STRICT
        is "1"
    TypeError : ``holds`` is not one truth value
    """
    if not when:
        _display(Claim(text, "skipped", otherwise or "not checked here"))
        return
    outcome = _as_bool(holds() if callable(holds) else holds)
    shown = Claim(text, "holds" if outcome else "fails", str(figure), timed)
    _display(shown)
    if not outcome and not timed and os.environ.get("COURSE_STRICT") == "1":
        raise ClaimFailed(str(shown))


def _as_bool(value) -> bool:
    # A plain bool() would let claim("…", [False]) or claim("…", "no") pass.
    if isinstance(value, bool):
        return value
    if getattr(value, "dtype", None) is not None and "bool" in str(value.dtype):
        if getattr(value, "ndim", 0) == 0:
            return bool(value)
    raise TypeError(
        f"a claim needs one True or False, got {type(value).__name__} {value!r}; "
        "compare, then reduce: (a == b).all()"
    )


def _display(shown: Claim) -> None:
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(shown)
    else:
        display(shown)
