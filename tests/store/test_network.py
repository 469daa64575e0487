"""Is a server there? Proxies, name look-ups, and the switch that forbids all of it."""

import socket
import threading
import time
from pathlib import Path

import pytest

from course_utils.store import download, network
from course_utils.store.download import DownloadFailed


@pytest.fixture(autouse=True)
def network_without_settings(monkeypatch):
    for name in (
        "COURSE_OFFLINE http_proxy https_proxy all_proxy no_proxy "
        "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY"
    ).split():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def listener():
    """The port of a socket on this machine that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def failure(url: str, folder: Path) -> str:
    """What is said when a file cannot be fetched."""
    with pytest.raises(DownloadFailed) as error:
        download.download(url, folder / "file", at_most=10, timeout=0.2)
    return str(error.value)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_server_that_listens_and_one_that_does_not(listener, tmp_path):
    assert "timed out" in failure(f"http://127.0.0.1:{listener}/file", tmp_path)
    closed = failure(f"http://127.0.0.1:{closed_port()}/file", tmp_path)
    assert closed == "no connection to 127.0.0.1"


@pytest.mark.parametrize("value", ["1", "true", "TRUE", "yes", "on", " on ", "2", "please"])
def test_offline_makes_no_attempt(monkeypatch, listener, value, tmp_path):
    def refuse(*arguments, **options):
        raise AssertionError("a connection was attempted")

    monkeypatch.setenv("COURSE_OFFLINE", value)
    monkeypatch.setattr(socket, "create_connection", refuse)
    before = threading.active_count()
    said = failure(f"http://127.0.0.1:{listener}/", tmp_path)
    assert said == f"COURSE_OFFLINE={value.strip()} forbids the network"
    assert threading.active_count() == before


@pytest.mark.parametrize("value", ["", "0", "false", "No", "off"])
def test_what_does_not_forbid_the_network(monkeypatch, listener, value, tmp_path):
    monkeypatch.setenv("COURSE_OFFLINE", value)
    assert network.offline() == ""
    assert "timed out" in failure(f"http://127.0.0.1:{listener}/", tmp_path)


def test_a_hanging_name_lookup_is_not_waited_for(monkeypatch, tmp_path):
    answer = threading.Event()

    def look_up(*arguments, **options):
        answer.wait(30)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "create_connection", look_up)
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.2)
    start = time.perf_counter()
    assert "no connection" in failure("https://example.invalid/file", tmp_path)
    answer.set()
    assert time.perf_counter() - start < 2


def test_the_proxy_is_asked(monkeypatch, listener, tmp_path):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listener}")
    assert "timed out" in failure("http://weights.invalid/file", tmp_path)
    monkeypatch.setenv("no_proxy", "weights.invalid")
    assert "no connection to weights.invalid" in failure("http://weights.invalid/file", tmp_path)


@pytest.mark.parametrize(
    "proxy",
    [
        *(f"http://user:se{mark}cret@proxy.example:3128" for mark in "#?/"),
        "user:12#secret@proxy.example:3128",
        "http://proxy.example:secret",
        "http://proxy.example:99999",
        "http://[secret",
        "http://",
    ],
)
def test_a_proxy_that_cannot_be_read_is_told_without_its_password(monkeypatch, proxy, tmp_path):
    monkeypatch.setenv("http_proxy", proxy)
    said = failure("http://weights.invalid/file", tmp_path)
    assert "the proxy's address" in said and "%23" in said and "cret" not in said


@pytest.mark.parametrize(
    "proxy, expected",
    [
        ("proxy.example:3128", ("proxy.example", 3128)),
        ("http://user:wo%23rd@proxy.example", ("proxy.example", 80)),
        ("socks5://proxy.example", ("proxy.example", 1080)),
    ],
)
def test_proxy_addresses(monkeypatch, proxy, expected):
    monkeypatch.setenv("all_proxy", proxy)
    assert network.first_stop("https://weights.example/file") == expected


@pytest.mark.parametrize("scheme, port", [("http", 80), ("https", 443)])
def test_addresses_without_a_proxy(scheme, port):
    assert network.first_stop(f"{scheme}://weights.example/file") == ("weights.example", port)


@pytest.mark.parametrize("url", ["weights.example/file", "file:///etc/hosts", "https://"])
def test_other_addresses_are_refused(url, tmp_path):
    assert f"{url} is no address" in failure(url, tmp_path)
