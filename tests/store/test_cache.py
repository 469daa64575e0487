"""What is kept on disk stays within its bound; what was used last stays longest."""

import os

import pytest
import torch

from course_utils.store import cache
from course_utils.store.cache import kept
from course_utils.store.folders import cache_dir


@pytest.fixture
def entry(monkeypatch):
    """Makes or reads an entry of about 10 kB; the cache holds three."""
    monkeypatch.setattr(cache, "BOUND", 36_000)
    made = []

    def ask(name: str, kind: str = "passes") -> bool:
        """Whether it had to be made."""
        before = len(made)
        kept(f"{kind}/{name}.kept", lambda: made.append(name) or torch.zeros(2_000), lambda f: True)
        for age, path in enumerate(sorted(files(kind), key=os.path.getmtime, reverse=True)):
            os.utime(path, (1e9 - age, 1e9 - age))  # a clock in whole seconds, in the same order
        return len(made) > before

    return ask


def files(kind: str = "passes") -> list:
    return list((cache_dir() / kind).glob("*.kept"))


def test_the_oldest_goes_when_there_is_no_room(entry):
    for name in "abcd":
        assert entry(name)
    assert {path.stem for path in files()} == {"b", "c", "d"}
    assert entry("a") and not entry("d")


def test_what_is_read_again_stays(entry):
    for name in "abc":
        entry(name)
    assert not entry("a")
    entry("d")
    assert {path.stem for path in files()} == {"a", "c", "d"}


def test_one_kind_does_not_drive_out_another(entry):
    entry("a", "other")
    for name in "abcd":
        entry(name)
    assert len(files("other")) == 1 and len(files()) == 3


def test_an_entry_larger_than_the_bound_is_kept_alone(entry, monkeypatch):
    entry("a")
    monkeypatch.setattr(cache, "BOUND", 100)
    entry("b")
    assert {path.stem for path in files()} == {"b"} and not entry("b")
