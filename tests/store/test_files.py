"""Whole files: what replacing one keeps, what is no file, locks where there are none."""

import errno
import os
import stat
import threading

import pytest
from filelock import Timeout

from course_utils.store import files
from course_utils.store.files import beside, locked, read, reason, write

needs_modes = pytest.mark.skipif(os.name == "nt", reason="modes and owners are those of POSIX")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "kept.json"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@needs_modes
@pytest.mark.parametrize("given", [0o600, 0o640, 0o644, 0o660])
def test_a_file_keeps_its_mode(file, given):
    file.touch()
    file.chmod(given)
    write(file, b"new")
    assert file.read_bytes() == b"new" and mode(file) == given


@needs_modes
def test_what_only_the_owner_may_read_is_never_open_to_others(file, monkeypatch):
    file.touch()
    file.chmod(0o600)
    seen = []

    def fsync(handle):
        seen.append(stat.S_IMODE(os.fstat(handle).st_mode))

    monkeypatch.setattr(os, "fsync", fsync)
    write(file, b"new")
    assert seen == [0o600]


@needs_modes
def test_a_new_file_has_the_mode_of_any_new_file(file, tmp_path):
    write(file, b"new")
    (tmp_path / "other").touch()
    assert mode(file) == mode(tmp_path / "other")


@pytest.mark.skipif(not hasattr(os, "chown") or os.getuid() != 0, reason="needs root")
def test_a_file_keeps_its_owner(file):
    file.touch()
    os.chown(file, 12345, 54321)
    write(file, b"new")
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 54321)


def test_links_stay_and_their_target_is_replaced(file, tmp_path):
    link, chain = tmp_path / "link", tmp_path / "chain"
    link.symlink_to(file)
    chain.symlink_to("link")
    for content in (b"made", b"replaced"):
        write(chain, content)
        assert chain.is_symlink() and link.is_symlink() and file.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chain", "kept.json", "link"]


def test_a_link_to_itself_is_refused(file):
    file.symlink_to(file)
    with pytest.raises(OSError, match="symbolic link"):
        write(file, b"new")
    assert file.is_symlink()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["a folder", "a named pipe"])
def test_what_is_no_file_is_refused_at_once(file, make, request):
    make(file)
    for attempt in (lambda: write(file, b"new"), lambda: read(file, 100)):
        with pytest.raises(OSError) as error:
            attempt()
        assert reason(error.value) == f"it is {request.node.callspec.id}, not a file"
    assert [path.name for path in file.parent.iterdir()] == ["kept.json"]


def test_no_more_is_read_than_allowed(file):
    file.write_bytes(b"12345")
    assert read(file, 5) == b"12345"
    with pytest.raises(OSError, match="over 4 bytes"):
        read(file, 4)
    os.truncate(file, 2**42)  # more than any memory holds
    with pytest.raises(OSError, match="over 4 bytes"):
        read(file, 4)


def test_strays_are_removed_when_nobody_can_be_writing_them(file):
    old, young, other = (
        file.with_name(f".{name}.00112233.tmp") for name in ("kept.json", "kept.json2", "x")
    )
    young = file.with_name(".kept.json.8899aabb.tmp")
    for path in (old, young, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (0, 0))
    write(file, b"new")
    assert not old.exists() and young.exists() and other.exists()


def test_two_links_to_a_file_share_its_lock(file, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LOCK_SECONDS", 0.05)
    link = tmp_path / "link"
    link.symlink_to(file)
    with locked(file), pytest.raises(Timeout) as error:
        locked(link)
    assert reason(error.value) == "another program keeps its lock"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_the_drive_knows_no_locks_a_file_stands_for_one(file, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")

    def flock(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(files, "LOCK_SECONDS", 0.05)
    caught = []

    def second():
        try:
            locked(file)
        except OSError as error:
            caught.append(error)

    for _ in range(2):  # and it is free again afterwards
        with locked(file):
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
    assert [type(error) for error in caught] == [Timeout, Timeout]


def test_a_dated_name_is_one_that_nothing_has(file, monkeypatch):
    monkeypatch.setattr(files.time, "strftime", lambda form: "20250131-175959")
    names = []
    for _ in range(3):
        names.append(beside(file, "backup"))
        names[-1].symlink_to("nowhere")
    assert [path.name for path in names] == [
        f"kept.backup-20250131-175959{ending}.json" for ending in ("", "-2", "-3")
    ]
