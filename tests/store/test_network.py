"""Is a server there? Proxies, name look-ups, and the switch that forbids all of it."""

import socket
import threading
import time

import pytest

from course_utils.store import network


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in (
        "COURSE_CACHE_DIR COURSE_DEVICE COURSE_OFFLINE COLAB_RELEASE_TAG BINDER_SERVICE_HOST "
        "BINDER_LAUNCH_HOST TQDM_DISABLE http_proxy https_proxy all_proxy no_proxy "
        "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY"
    ).split():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def listener():
    """The port of a socket on this machine that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_reachable_up_and_down(listener):
    assert network.reachable(f"http://127.0.0.1:{listener}/file")
    assert not network.reachable(f"http://127.0.0.1:{closed_port()}/file")


def test_reachable_makes_no_attempt_offline(monkeypatch, listener):
    def refuse(*arguments, **options):
        raise AssertionError("a connection was attempted")

    monkeypatch.setenv("COURSE_OFFLINE", "1")
    monkeypatch.setattr(socket, "create_connection", refuse)
    before = threading.active_count()
    assert not network.reachable(f"http://127.0.0.1:{listener}/")
    assert threading.active_count() == before


def test_reachable_does_not_wait_for_a_hanging_name_lookup(monkeypatch):
    answer = threading.Event()

    def look_up(*arguments, **options):
        answer.wait(30)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "create_connection", look_up)
    start = time.perf_counter()
    assert not network.reachable("https://example.invalid/file", seconds=0.2)
    answer.set()
    assert time.perf_counter() - start < 2


def test_reachable_asks_the_proxy(monkeypatch, listener):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listener}")
    assert network.reachable("http://weights.invalid/file")
    monkeypatch.setenv("no_proxy", "weights.invalid")
    assert not network.reachable("http://weights.invalid/file")


@pytest.mark.parametrize(
    "proxy, expected",
    [
        ("proxy.example:3128", ("proxy.example", 3128)),
        ("http://user:word@proxy.example", ("proxy.example", 80)),
        ("socks5://proxy.example", ("proxy.example", 1080)),
    ],
)
def test_proxy_addresses(monkeypatch, proxy, expected):
    monkeypatch.setenv("all_proxy", proxy)
    assert network._address("https://weights.example/file") == expected


def test_addresses_without_a_proxy():
    assert network._address("https://weights.example/file") == ("weights.example", 443)
    assert network._address("http://weights.example/file") == ("weights.example", 80)


@pytest.mark.parametrize("url", ["weights.example/file", "file:///etc/hosts", "https://"])
def test_reachable_refuses_other_addresses(url):
    with pytest.raises(ValueError, match="http or https"):
        network.reachable(url)
