"""Whether the network may be used, and answers."""

from __future__ import annotations

import os
import socket
import threading
import urllib.parse
import urllib.request

PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080, "socks5h": 1080}
NO = ("", "0", "false", "no", "off")


def offline() -> str:
    """Why the network may not be used, as a sentence without its full stop; "" when it may.

    Any value of ``COURSE_OFFLINE`` but 0, false, no and off forbids it: a wish to stay offline is
    not missed for its spelling.
    """
    value = os.environ.get("COURSE_OFFLINE", "").strip()
    return "" if value.lower() in NO else f"COURSE_OFFLINE={value} forbids the network"


def obstacle(url: str, seconds: float = 3.0) -> str:
    """Why ``url`` cannot be asked for now, as a sentence without its full stop; "" when it can.

    It can when the server, or the proxy before it, accepts a connection within ``seconds``.

    Raises
    ------
    ValueError : ``url`` is not an http or https address
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"Expected an http or https address, got {url!r}.")
    if forbidden := offline():
        return forbidden
    proxy = _proxy_of(parts)
    try:
        address = _address(proxy) if proxy else (parts.hostname, parts.port or PORTS[parts.scheme])
    except ValueError:
        return (  # without the proxy itself: it may hold a password
            f"the proxy for {parts.scheme} addresses cannot be read. Expected "
            "http://user:password@host:port; in a password write # as %23, / as %2F, ? as %3F, "
            "@ as %40"
        )
    return "" if _answers(address, seconds) else f"no connection to {address[0]}"


def _proxy_of(parts: urllib.parse.SplitResult) -> str:
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    return "" if urllib.request.proxy_bypass(parts.hostname) else proxy


def _address(proxy: str) -> tuple[str, int]:
    """Host and port of a proxy, or a ValueError."""
    parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    # A # or / or ? in a password ends the host there; what follows still has the @.
    if not parts.hostname or "@" in parts.path + parts.query + parts.fragment:
        raise ValueError
    return parts.hostname, parts.port or PORTS.get(parts.scheme, 80)


def _answers(address: tuple[str, int], seconds: float) -> bool:
    answers: list[bool] = []

    def connect() -> None:
        try:
            socket.create_connection(address, timeout=seconds).close()
            answers.append(True)
        except (OSError, UnicodeError):  # a host name can also be impossible to encode
            pass

    # Looking up a name has no timeout of its own. In a daemon thread it can be left behind.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers)
