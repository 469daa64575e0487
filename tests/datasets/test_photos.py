import _thread
import errno
import hashlib
import http.server
import io
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


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.content``, and behaves as ``server.manner`` says."""

    def do_GET(self) -> None:
        content, manner = self.server.content, self.server.manner
        self.server.requests += 1
        self.send_response(404 if manner == "missing" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        if manner == "stalls":
            self.server.stop.wait(20)
        if manner == "unhurried":
            time.sleep(0.7)
        if manner != "cuts off":
            self.wfile.write(content[len(content) // 2 :])

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    """A web server on this machine in the place of the photos' own."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        web.content, web.manner, web.requests = whole_archive(), "well", 0
        web.stop = threading.Event()
        threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://127.0.0.1:{web.server_port}/flower_photos.tgz"
        monkeypatch.setattr(photos, "FLOWERS_URL", address)
        yield web
        web.stop.set()
        web.shutdown()


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


def test_download_keeps_the_listed_photos_and_nothing_else(server, cache):
    server.content = whole_archive(**{"daisy/unlisted.jpg": jpeg(0), "LICENSE.txt": b"..."})
    folder = download_photos()
    assert {str(p.relative_to(folder)) for p in folder.rglob("*.*")} == {
        str(Path(name)) for name in FILES
    }
    assert len(verified(folder)) == 12
    assert left_behind(cache) == {"flower_photos"}
    assert download_photos() == folder and server.requests == 1, "downloaded twice"


def test_a_damaged_download_of_earlier_is_replaced(server, cache):
    place(cache, {"daisy/val.jpg": b"damaged since"})
    (cache / "flower_photos-killed.part").mkdir()
    assert len(verified(download_photos())) == 12
    assert left_behind(cache) == {"flower_photos"}


def test_no_server(cache, monkeypatch):
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(photos, "FLOWERS_URL", f"http://127.0.0.1:{port}/f.tgz")
        with pytest.raises(PhotosUnavailable, match="cannot be reached"):
            download_photos()
    assert left_behind(cache) == set()


def test_offline_asks_nobody(server, monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    with pytest.raises(PhotosUnavailable, match="COURSE_OFFLINE"):
        download_photos()
    assert server.requests == 0


@pytest.mark.parametrize(
    ("manner", "says"),
    [
        ("stalls", "download failed"),
        ("cuts off", "download failed"),
        ("missing", "download failed"),
    ],
)
def test_a_server_in_trouble_leaves_nothing_behind(server, cache, manner, says, monkeypatch):
    monkeypatch.setattr(photos, "READ_TIMEOUT", 0.3)
    server.manner = manner
    start = time.monotonic()
    with pytest.raises(PhotosUnavailable, match=says):
        download_photos()
    assert time.monotonic() - start < 5
    assert left_behind(cache) == set()
    server.manner = "well"
    assert len(verified(download_photos())) == 12, "the next attempt must not suffer"


@pytest.mark.parametrize("content", [b"<html>log in first</html>", whole_archive()[:-300], b""])
def test_wrong_bytes_are_no_archive(server, cache, content):
    server.content = content
    with pytest.raises(PhotosUnavailable, match="archive is damaged|SHA-256"):
        download_photos()
    assert left_behind(cache) == set()


def test_other_photos_under_the_right_names(server, cache):
    server.content = whole_archive(**{"daisy/val.jpg": jpeg(255), "tulips/val.jpg": jpeg(254)})
    with pytest.raises(PhotosUnavailable, match="2 of the 12"):
        download_photos()
    assert left_behind(cache) == set()


def test_up_to_the_tolerated_share_is_left_out(server, monkeypatch):
    monkeypatch.setattr(photos, "TOLERATED", 0.1)
    server.content = whole_archive(**{"daisy/val.jpg": jpeg(255)})
    folder = download_photos()
    assert not (folder / "daisy/val.jpg").exists()
    assert len(verified(folder)) == 11


def test_an_archive_cannot_write_elsewhere(server, cache, tmp_path):
    evil = {"../evil.jpg": jpeg(1), "flower_photos/../../evil.jpg": jpeg(2)}
    evil[str(tmp_path / "evil.jpg")] = jpeg(3)
    listed = {f"flower_photos/{name}": content for name, content in FILES.items()}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in (evil | listed).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("flower_photos/daisy/train.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hosts"
        tar.addfile(link)
    server.content = buffer.getvalue()
    folder = download_photos()
    assert not list(tmp_path.rglob("evil*"))
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert len(verified(folder)) == 12


def test_stop_stops_and_leaves_nothing_behind(server, cache, monkeypatch):
    """Stop while bytes arrive: the cell ends, in place of going on with drawn flowers."""
    server.manner = "stalls"
    threading.Timer(0.5, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        download_photos()
    assert server.requests == 1
    assert left_behind(cache) == set()


def test_full_disk(server, cache, monkeypatch):
    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PhotosUnavailable, match="cannot be stored.*No space left"):
        download_photos()
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
