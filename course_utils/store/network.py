"""Whether the network may be used, and by which way."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080, "socks5h": 1080}


def offline() -> str:
    """Why the network may not be used, as a sentence without its full stop; "" when it may.

    Any value of ``COURSE_OFFLINE`` but 0, false, no and off forbids it: a wish to stay offline is
    not missed for its spelling.
    """
    value = os.environ.get("COURSE_OFFLINE", "").strip()
    allowed = value.lower() in ("", "0", "false", "no", "off")
    return "" if allowed else f"COURSE_OFFLINE={value} forbids the network"


def first_stop(url: str) -> tuple[str, int]:
    """Host and port that are connected to for ``url``: of its server, or of the proxy before it.

    Raises
    ------
    ValueError : the address of the one or the other cannot be read
    """
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url))
    try:
        parts = urlsplit(proxy if proxy and "://" in proxy else f"http://{proxy}" if proxy else url)
        # A # or / or ? in a password ends the host there; what follows still has the @.
        if parts.hostname and not (proxy and "@" in parts.path + parts.query + parts.fragment):
            return parts.hostname, parts.port or PORTS.get(parts.scheme, 80)
    except ValueError:
        pass
    raise ValueError(
        f"{url} is no address"
        if not proxy  # which is not shown itself: it may hold a password
        else "the proxy's address cannot be read. Expected http://user:password@host:port; in a "
        "password write # as %23, / as %2F, ? as %3F, @ as %40"
    )
