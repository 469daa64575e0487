"""Whether the network may be used, and answers."""

from __future__ import annotations

import os
import socket
import threading
import urllib.parse
import urllib.request

PROXY_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080, "socks5h": 1080}


def offline() -> bool:
    """Whether ``COURSE_OFFLINE=1`` forbids every attempt to use the network."""
    return os.environ.get("COURSE_OFFLINE") == "1"


def _address(url: str) -> tuple[str, int]:
    """Host and port that a request for ``url`` would connect to: its proxy's, if it has one."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"Expected an http or https address, got {url!r}.")
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(parts.hostname):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or PROXY_PORTS.get(parts.scheme, 80)


def reachable(url: str, seconds: float = 3.0) -> bool:
    """Whether the server (or proxy) behind ``url`` accepts a connection within ``seconds``.

    Always False when ``COURSE_OFFLINE=1``.

    Raises:
        ValueError: ``url`` is not an http or https address.
    """
    address = _address(url)
    if offline():
        return False
    answers: list[bool] = []

    def connect() -> None:
        try:
            socket.create_connection(address, timeout=seconds).close()
            answers.append(True)
        except (OSError, UnicodeError):  # a host name can also be impossible to encode
            answers.append(False)

    # Looking up a name has no timeout of its own. In a daemon thread it can be left behind.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers) and answers[0]
