"""A file arrives whole, or a sentence says why not, soon; and one process at a time fetches it.
The network is a server on this machine."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from course_utils.store import download as module
from course_utils.store.download import DownloadFailed, alone, download
from tests.store.web import ODD_HEADERS, REDIRECTS, serving

# requests leaves its socket to the garbage collector where it cannot read a header.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ROOT = Path(__file__).resolve().parents[2]
CONTENT = bytes(range(256)) * 800
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source():
    with serving(CONTENT) as web:
        yield web


def fetch(source, path, **options):
    options = {"at_most": 10**6, "timeout": 0.5, "sha256": SHA256} | options
    start = time.monotonic()
    try:
        download(f"{source.address}/file", path, **options)
    finally:
        assert time.monotonic() - start < 5


def test_a_file_arrives(source, tmp_path):
    fetch(source, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    fetch(source, tmp_path / "again", sha256=SHA256[:8])
    assert source.requests == 2


@pytest.mark.parametrize(
    "manner, says",
    [
        ("silent", "timed out"),
        ("stalls", "timed out"),
        ("cuts off", "IncompleteRead"),
        ("missing", "404"),
        ("never ends", "more than 1,000,000 bytes"),
        ("drips in the header", "too slow: 0 bytes"),
        ("drips in the body", "too slow"),
    ],
)
def test_a_bad_server_is_given_up_soon(source, tmp_path, manner, says, monkeypatch):
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.6)
    source.manner = manner
    with pytest.raises(DownloadFailed, match=says):
        fetch(source, tmp_path / "file")


@pytest.mark.parametrize("manner", ["drips in the header", "drips in the body"])
def test_there_is_an_end_whatever_arrives(source, tmp_path, manner, monkeypatch):
    monkeypatch.setattr(module, "MOST_SECONDS", 0.5)
    monkeypatch.setattr(module, "SLOW_BYTES", 0)
    source.manner = manner
    with pytest.raises(DownloadFailed, match="given up after"):
        fetch(source, tmp_path / "file")


@pytest.mark.parametrize("header", ODD_HEADERS)
def test_odd_headers(source, tmp_path, header):
    source.manner = f"header | {header}"
    try:
        fetch(source, tmp_path / "file")
        arrived = True
    except DownloadFailed:
        arrived = False
    assert arrived == ODD_HEADERS[header]


@pytest.mark.parametrize("place", REDIRECTS)
def test_odd_redirects(source, tmp_path, place):
    source.manner = f"redirect | {place}"
    with pytest.raises(DownloadFailed):
        fetch(source, tmp_path / "file")


def test_other_bytes_than_promised(source, tmp_path):
    source.content = CONTENT[:-1] + b"!"
    with pytest.raises(DownloadFailed, match=f"wrong bytes in file .{len(CONTENT):,} of them"):
        fetch(source, tmp_path / "file")


@pytest.mark.parametrize("manner", ["silent", "stalls", "drips in the header"])
def test_stop_stops_at_once(source, tmp_path, manner):
    source.manner, before = manner, set(threading.enumerate())
    threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch(source, tmp_path / "file", timeout=20)
    assert time.monotonic() - start < 3
    if manner == "stalls":  # the thread does not wait for more bytes either
        begun = set(threading.enumerate()) - before
        assert all(thread.done.is_set() for thread in begun if isinstance(thread, module._Transfer))


def test_a_full_disk(source, tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(DownloadFailed, match="File too large"):
            fetch(source, tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_nobody_is_asked_offline_or_by_a_proxy_that_cannot_be_read(source, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://me:se#cret@proxy:3128")
    with pytest.raises(DownloadFailed, match="proxy's address"):
        fetch(source, tmp_path / "file")
    monkeypatch.setenv("COURSE_OFFLINE", "yes")
    with pytest.raises(DownloadFailed, match="COURSE_OFFLINE=yes"):
        fetch(source, tmp_path / "file")
    assert source.requests == 0


# ---- one at a time ----------------------------------------------------------------------------


def once(source, target):
    """What a notebook does: look, and fetch what is not there."""
    with alone(target) as scratch:
        if not target.exists():
            fetch(source, scratch / "part")
            os.replace(scratch / "part", target)
    return target.read_bytes()


def test_two_at_once_fetch_once(source, tmp_path):
    """Threads stand for processes: each has its own lock object and its own open file, and that is
    what the system's lock tells apart."""
    source.manner = "unhurried"
    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(lambda _: once(source, tmp_path / "file"), range(2)))
    assert got == [CONTENT] * 2 and source.requests == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"file", "file.lock"}


def test_who_waits_is_told_why_and_gives_up(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.3)
    target = tmp_path / "file"
    with alone(target), pytest.raises(DownloadFailed, match="shut that notebook down") as error:
        with alone(target):
            pass
    assert f"{target}.lock" in str(error.value)
    assert "Another notebook is fetching file" in capsys.readouterr().out
    with alone(target):  # and now it is free
        pass


def test_a_lock_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadFailed, match="cannot be had"), alone(tmp_path / "file" / "target"):
        pass


WORKER = """
import sys, time
from pathlib import Path
from course_utils.store.download import alone
with alone(Path(sys.argv[1])) as scratch:
    (scratch / "part").write_bytes(b"half")
    print("there", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_leaves_neither_lock_nor_half_a_file(source, tmp_path):
    target = tmp_path / "file"
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, target], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert worker.stdout.readline() == b"there\n"
    worker.kill()
    worker.communicate()
    assert (tmp_path / ".fetching-file" / "part").exists() and not target.exists()
    assert once(source, target) == CONTENT
    assert not (tmp_path / ".fetching-file").exists()


def test_only_our_own_and_only_old_leftovers_are_cleared(tmp_path):
    old, young, other = (tmp_path / name for name in (".fetching-a", ".fetching-b", "fetching-c"))
    for folder in (old, young, other):
        folder.mkdir()
        (folder / "part").touch()
    for folder in (old, other):
        os.utime(folder, (0, 0))
    with alone(tmp_path / "file"):
        pass
    assert not old.exists() and young.exists() and other.exists()
