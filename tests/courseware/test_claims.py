"""A claim shows what holds, raises only when strict, and takes nothing for true by accident."""

import numpy as np
import pytest
import torch

from courseware.claims import MIME, Claim, ClaimFailed, claim


@pytest.fixture(autouse=True)
def not_strict(monkeypatch):
    monkeypatch.delenv("COURSE_STRICT", raising=False)


def test_what_holds_is_shown_with_its_figure(capsys):
    claim("the head learns", True, figure="0.84 against 0.20")
    assert capsys.readouterr().out == "✔ the head learns — 0.84 against 0.20\n"


def test_what_fails_is_shown_and_raises_only_when_strict(capsys, monkeypatch):
    claim("cats are flowers", False, figure=0.1)
    assert capsys.readouterr().out == "✘ cats are flowers — 0.1\n"
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(ClaimFailed, match="cats are flowers — 0.1"):
        claim("cats are flowers", False, figure=0.1)
    assert "✘" in capsys.readouterr().out  # shown before it raises
    claim("flowers are flowers", True)


def test_without_ground_to_stand_on_it_is_skipped_and_not_computed(capsys, monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")
    claim("0.84", lambda: 1 / 0, when=False, otherwise="no pretrained weights here")
    claim("0.84", False, when=None)
    shown = capsys.readouterr().out.splitlines()
    assert shown == ["– 0.84 — no pretrained weights here", "– 0.84 — not checked here"]


def test_a_function_is_called_where_it_counts(capsys):
    claim("late", lambda: torch.tensor(True))
    assert capsys.readouterr().out == "✔ late\n"


@pytest.mark.parametrize(
    "truth", [True, np.bool_(True), torch.tensor(True), np.array(True), (torch.ones(2) == 1).all()]
)
def test_what_counts_as_true(truth, capsys):
    claim("yes", truth)
    claim("no", ~truth if truth is not True else False)
    assert capsys.readouterr().out == "✔ yes\n✘ no\n"


@pytest.mark.parametrize(
    "value", [None, "no", [False], 1, 0.0, torch.tensor(1), torch.tensor([True, False]), {}]
)
def test_what_is_not_a_truth_value_is_refused(value):
    with pytest.raises(TypeError, match="one True or False"):
        claim("sloppy", value)


def test_the_bundle_says_it_in_three_ways():
    bundle = Claim("a < b", "fails", "3 > 2")._repr_mimebundle_()
    assert bundle["text/plain"] == "✘ a < b — 3 > 2"
    assert "a &lt; b" in bundle["text/html"] and "3 &gt; 2" in bundle["text/html"]
    assert "a < b" not in bundle["text/html"]
    assert bundle[MIME] == {"text": "a < b", "status": "fails", "figure": "3 > 2", "timed": False}
    assert MIME == "application/vnd.course.claim+json"


def test_each_status_has_its_own_mark_and_colour():
    pages = {s: Claim("t", s)._repr_mimebundle_() for s in ("holds", "fails", "skipped")}
    assert [p["text/plain"][0] for p in pages.values()] == ["✔", "✘", "–"]
    assert len({p["text/html"].split(">")[0] for p in pages.values()}) == 3


def test_in_a_notebook_it_is_displayed(monkeypatch):
    import IPython

    displayed = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(IPython.display, "display", displayed.append)
    claim("shown", True, figure=3)
    assert displayed == [Claim("shown", "holds", "3")]


def test_a_timed_claim_is_shown_but_never_raises(capsys, monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")
    claim("twice as fast", False, timed=True)
    assert capsys.readouterr().out == "✘ twice as fast\n"
    with pytest.raises(ClaimFailed):
        claim("equal", False)
