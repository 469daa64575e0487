"""Results on disk: read back only when they are whole, within a bound, and a bad disk costs only
time."""

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


# ---- whole or missing -------------------------------------------------------------------------

NAME = "sums/0f3a.kept"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path))
    return tmp_path / "sums"


def test_what_is_written_is_read(folder):
    cache.write(NAME, {"a": torch.arange(5), "b": [1, "two"]})
    found = cache.read(NAME)
    assert torch.equal(found["a"], torch.arange(5)) and found["b"] == [1, "two"]
    assert [path.name for path in folder.iterdir()] == ["0f3a.kept"]


@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b[:40], lambda b: b"", "one bit"])
def test_what_is_damaged_counts_as_missing(folder, spoil):
    cache.write(NAME, torch.arange(1000))
    whole = (folder / "0f3a.kept").read_bytes()
    middle = len(whole) // 2
    spoiled = spoil(whole) if callable(spoil) else bytearray(whole)
    if not callable(spoil):
        spoiled[middle] ^= 1
    (folder / "0f3a.kept").write_bytes(spoiled)
    assert cache.read(NAME) is None
    assert cache.kept(NAME, lambda: "again", lambda found: True) == "again"
    assert cache.read(NAME) == "again"


def test_what_is_of_no_use_is_made_again(folder):
    cache.write(NAME, "old")
    assert cache.kept(NAME, lambda: "new", lambda found: found.shape == ()) == "new"
    assert cache.kept(NAME, None, lambda found: found == "new") == "new"


def test_a_full_disk_leaves_nothing_and_the_result_all_the_same(folder, capsys):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        result = cache.kept(NAME, lambda: torch.zeros(10_000), lambda found: True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(result) == 10_000 and list(folder.iterdir()) == []
    assert "could not be kept" in capsys.readouterr().out


def test_what_killed_writers_left_is_cleared_when_it_is_old(folder):
    folder.mkdir()
    old, young, other = (
        folder / name for name in (".a.kept.00112233.tmp", ".b.kept.8899aabb.tmp", "c.tmp")
    )
    for path in (old, young, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (0, 0))
    cache.write(NAME, 1)
    assert not old.exists() and young.exists() and other.exists()


def test_no_folder_at_all(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_CACHE_DIR", "~nobody-of-that-name/cache")
    assert cache.kept(NAME, lambda: 7, lambda found: True) == 7
    assert "COURSE_CACHE_DIR is ~nobody" in capsys.readouterr().out
    with pytest.raises(OSError, match="COURSE_CACHE_DIR"):
        cache_dir()
