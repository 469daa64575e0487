import hashlib
import io
import os
import signal
import socket
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from course_utils.datasets import photos
from course_utils.datasets.photos import (
    PhotosUnavailable,
    download_photos,
    find_photos,
    read_list,
    verified,
)
from course_utils.store import folders
from tests.store.web import serving

LABELS = ("daisy", "tulips")


def jpeg(tone: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (tone, 90, 255 - tone)).save(buffer, "JPEG")
    return buffer.getvalue()


# Path inside flower_photos -> content; 12 files, so that one bad file is more than 1 %.
FILES = {
    f"{label}/{split}.jpg" if n == 0 else f"{label}/{split}{n}.jpg": jpeg(20 * i + 5 * n + 100 * j)
    for i, split in enumerate(("train", "val", "test"))
    for j, label in enumerate(LABELS)
    for n in range(2)
}


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def whole_archive(**changed: bytes) -> bytes:
    return archive({f"flower_photos/{name}": c for name, c in (FILES | changed).items()})


@pytest.fixture
def server(monkeypatch):
    """A web server on this machine in the place of the photos' own."""
    with serving(whole_archive()) as web:
        monkeypatch.setattr(photos, "FLOWERS_URL", f"{web.address}/flower_photos.tgz")
        expect(monkeypatch, web.content)
        yield web


def expect(monkeypatch, content: bytes) -> None:
    monkeypatch.setattr(photos, "FLOWERS_SHA256", hashlib.sha256(content).hexdigest())


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, a list of 12 tiny photos, no photos anywhere, no proxy."""
    data = tmp_path / "data"
    data.mkdir()
    rows = ["split,label,file,sha256"]
    for name, content in FILES.items():
        label, file = name.split("/")
        split = file.removesuffix(".jpg").rstrip("1")
        rows.append(f"{split},{label},{file},{hashlib.sha256(content).hexdigest()}")
    (data / "flower_photos.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.setattr(folders, "data_dir", lambda: data)
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("COURSE_DATA_DIR", "COURSE_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def place(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    for name, content in files.items():
        path = folder / "flower_photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "flower_photos"


def left_behind(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {"flower_photos.lock"}


def test_the_real_list(monkeypatch):
    monkeypatch.setattr(folders, "data_dir", lambda: Path(__file__).parents[2] / "data")
    listed = read_list()
    counts = {}
    for photo in listed:
        counts[photo.split, photo.label] = counts.get((photo.split, photo.label), 0) + 1
    assert len(counts) == 15
    assert all(n == (40 if split == "val" else 100) for (split, _), n in counts.items())
    assert len({photo.sha256 for photo in listed}) == len(listed) == 1200, "a photo is there twice"


def test_folders_are_found_in_order(cache, tmp_path, monkeypatch):
    assert find_photos() is None
    downloaded = place(cache)
    assert find_photos() == downloaded
    beside_the_list = place(tmp_path / "data")
    assert find_photos() == beside_the_list
    named = place(tmp_path / "mine")
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "mine"))
    assert find_photos() == named


def test_a_damaged_folder_is_named_and_passed_over(cache, tmp_path, capsys):
    place(tmp_path / "data", FILES | {"daisy/val.jpg": b"something else"})
    downloaded = place(cache)
    assert find_photos() == downloaded
    told = capsys.readouterr().out
    assert "1 of the 12" in told and str(tmp_path / "data") in told


@pytest.mark.parametrize("given", ["{}/missing", "~nobody-of-that-name/photos", "{}/file"])
def test_a_wrong_data_folder_is_named_and_passed_over(cache, tmp_path, monkeypatch, capsys, given):
    (tmp_path / "file").touch()
    downloaded = place(cache)
    given = given.format(tmp_path)
    monkeypatch.setenv("COURSE_DATA_DIR", given)
    assert find_photos() == downloaded
    assert f"COURSE_DATA_DIR is {given}" in capsys.readouterr().out


def test_a_cache_folder_of_nobody(cache, server, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE_DIR", "~nobody-of-that-name/cache")
    assert find_photos() is None
    with pytest.raises(PhotosUnavailable, match="COURSE_CACHE_DIR is ~nobody"):
        download_photos()
    assert server.requests == 0


def test_download_keeps_the_listed_photos_and_nothing_else(server, cache, monkeypatch):
    server.content = whole_archive(**{"daisy/unlisted.jpg": jpeg(0), "LICENSE.txt": b"..."})
    expect(monkeypatch, server.content)
    folder = download_photos()
    assert {str(p.relative_to(folder)) for p in folder.rglob("*.*")} == {
        str(Path(name)) for name in FILES
    }
    assert len(verified(folder)) == 12
    assert left_behind(cache) == {"flower_photos"}
    assert download_photos() == folder and server.requests == 1, "downloaded twice"


def test_a_damaged_download_of_earlier_is_replaced(server, cache):
    place(cache, {"daisy/val.jpg": b"damaged since"})
    (cache / ".fetching-flower_photos").mkdir()  # of a process that was killed
    assert len(verified(download_photos())) == 12
    assert left_behind(cache) == {"flower_photos"}


def test_no_server(cache, monkeypatch):
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(photos, "FLOWERS_URL", f"http://127.0.0.1:{port}/f.tgz")
        with pytest.raises(PhotosUnavailable, match="no connection to 127.0.0.1"):
            download_photos()
    assert left_behind(cache) == set()


def test_offline_asks_nobody(server, monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    with pytest.raises(PhotosUnavailable, match="COURSE_OFFLINE"):
        download_photos()
    assert server.requests == 0


@pytest.mark.parametrize("manner", ["cuts off", "missing"])
def test_a_server_in_trouble_leaves_nothing_behind(server, cache, manner):
    server.manner = manner
    start = time.monotonic()
    with pytest.raises(PhotosUnavailable, match="download failed"):
        download_photos()
    assert time.monotonic() - start < 5
    assert left_behind(cache) == set()
    server.manner = "well"
    assert len(verified(download_photos())) == 12, "the next attempt must not suffer"


@pytest.mark.parametrize("content", [b"<html>log in first</html>", whole_archive()[:-300], b""])
def test_another_archive_is_not_even_opened(server, cache, content, monkeypatch):
    monkeypatch.setattr(photos.tarfile, "open", None)  # calling it would fail
    server.content = content
    with pytest.raises(PhotosUnavailable, match="download failed: wrong bytes"):
        download_photos()
    assert left_behind(cache) == set()


def test_an_archive_that_does_not_end_is_given_up(server, cache, monkeypatch):
    monkeypatch.setattr(photos, "FLOWERS_BYTES", 10**6)
    server.manner = "never ends"
    with pytest.raises(PhotosUnavailable, match="more than 1,000,000 bytes"):
        download_photos()
    assert left_behind(cache) == set()


def test_stop_stops_and_leaves_nothing_behind(server, cache):
    """Stop while bytes arrive: the cell ends, in place of going on with drawn flowers."""
    server.manner = "stalls"
    threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        download_photos()
    assert server.requests == 1
    assert left_behind(cache) == set()


def test_a_disk_that_fills_while_photos_are_written(server, cache, monkeypatch):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    server.content = whole_archive(**{"daisy/train.jpg": bytes(50_000)})  # small when packed
    expect(monkeypatch, server.content)
    rows = (cache.parent / "data" / "flower_photos.csv").read_text()
    was, now = (hashlib.sha256(c).hexdigest() for c in (FILES["daisy/train.jpg"], bytes(50_000)))
    (cache.parent / "data" / "flower_photos.csv").write_text(rows.replace(was, now))
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(PhotosUnavailable, match="cannot be stored.*File too large"):
            download_photos()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left_behind(cache) == set()


def test_too_little_space_is_said_before_anything_is_fetched(server, monkeypatch):
    monkeypatch.setattr(photos, "SPACE_NEEDED", 10**18)
    with pytest.raises(PhotosUnavailable, match="400 MB"):
        download_photos()
    assert server.requests == 0


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(PhotosUnavailable, match="cannot be stored"):
        download_photos()
    assert find_photos() is None
    assert server.requests == 0


def test_two_at_once_download_once(server, cache):
    """Two threads stand for two processes: each has its own lock object and its own open file,
    and that is what the system's lock tells apart."""
    server.manner = "unhurried"
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: download_photos(), range(2)))
    assert folders == [cache / "flower_photos"] * 2
    assert len(verified(folders[0])) == 12
    assert server.requests == 1
    assert left_behind(cache) == {"flower_photos"}
