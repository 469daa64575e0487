"""Is a server there? Proxies, name look-ups, and the switch that forbids all of it."""

import socket
import threading
import time

import pytest

from course_utils.store import network


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


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_server_that_listens_and_one_that_does_not(listener):
    assert network.obstacle(f"http://127.0.0.1:{listener}/file") == ""
    closed = network.obstacle(f"http://127.0.0.1:{closed_port()}/file")
    assert closed == "no connection to 127.0.0.1"


@pytest.mark.parametrize("value", ["1", "true", "TRUE", "yes", "on", " on ", "2", "please"])
def test_offline_makes_no_attempt(monkeypatch, listener, value):
    def refuse(*arguments, **options):
        raise AssertionError("a connection was attempted")

    monkeypatch.setenv("COURSE_OFFLINE", value)
    monkeypatch.setattr(socket, "create_connection", refuse)
    before = threading.active_count()
    assert f"COURSE_OFFLINE={value.strip()}" in network.obstacle(f"http://127.0.0.1:{listener}/")
    assert threading.active_count() == before


@pytest.mark.parametrize("value", ["", "0", "false", "No", "off"])
def test_what_does_not_forbid_the_network(monkeypatch, listener, value):
    monkeypatch.setenv("COURSE_OFFLINE", value)
    assert network.offline() == ""
    assert network.obstacle(f"http://127.0.0.1:{listener}/") == ""


def test_a_hanging_name_lookup_is_not_waited_for(monkeypatch):
    answer = threading.Event()

    def look_up(*arguments, **options):
        answer.wait(30)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "create_connection", look_up)
    start = time.perf_counter()
    assert network.obstacle("https://example.invalid/file", seconds=0.2)
    answer.set()
    assert time.perf_counter() - start < 2


def test_the_proxy_is_asked(monkeypatch, listener):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listener}")
    assert network.obstacle("http://weights.invalid/file") == ""
    monkeypatch.setenv("no_proxy", "weights.invalid")
    assert network.obstacle("http://weights.invalid/file") == "no connection to weights.invalid"


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
def test_a_proxy_that_cannot_be_read_is_told_without_its_password(monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    said = network.obstacle("http://weights.invalid/file")
    assert "proxy for http" in said and "%23" in said and "cret" not in said


@pytest.mark.parametrize(
    "proxy, expected",
    [
        ("proxy.example:3128", ("proxy.example", 3128)),
        ("http://user:wo%23rd@proxy.example", ("proxy.example", 80)),
        ("socks5://proxy.example", ("proxy.example", 1080)),
    ],
)
def test_proxy_addresses(monkeypatch, proxy, expected):
    asked = []
    monkeypatch.setattr(network, "_answers", lambda address, seconds: asked.append(address))
    monkeypatch.setenv("all_proxy", proxy)
    network.obstacle("https://weights.example/file")
    assert asked == [expected]


@pytest.mark.parametrize("scheme, port", [("http", 80), ("https", 443)])
def test_addresses_without_a_proxy(monkeypatch, scheme, port):
    asked = []
    monkeypatch.setattr(network, "_answers", lambda address, seconds: asked.append(address))
    network.obstacle(f"{scheme}://weights.example/file")
    assert asked == [("weights.example", port)]


@pytest.mark.parametrize("url", ["weights.example/file", "file:///etc/hosts", "https://"])
def test_other_addresses_are_refused(url):
    with pytest.raises(ValueError, match="http or https"):
        network.obstacle(url)
