"""A web server on this machine for the tests of downloads; ``manner`` says how it behaves."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

ANY_PORT = ("127.0.0.1", 0)
# Headers that a server may send, by mistake or on purpose; whether the file arrives all the same.
ODD_HEADERS = {
    "Content-Length: {n}\r\nContent-Length: {n}": True,
    "Content-Length: {n}, {n}": True,
    "Content-Length: {n}, 7": False,
    "Content-Length:": True,
    "Content-Length: many": True,
    "Content-Length: -1": True,
    "Content-Length: 9999999999999999999999": False,
    "Content-Encoding: gzip": False,
    "Transfer-Encoding: chunked": False,
    "Set-Cookie: \xff=[; expires=never": True,
}
REDIRECTS = [
    "http://127.0.0.1:1/caf\xe9",
    "http://[",
    "http://[::1",
    "//",
    "ftp://x/y",
    "http://:x/",
]


class Web:
    def __init__(self, content: bytes) -> None:
        self.content, self.manner, self.requests = content, "well", 0
        self.end = threading.Event()  # lets go of whoever waits
        self.address = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests += 1
        send, half = request.wfile.write, len(self.content) // 2
        good = f"HTTP/1.0 200 OK\r\nContent-Length: {len(self.content)}\r\n\r\n".encode()
        match self.manner.split(" | "):
            case ["well"]:
                send(good + self.content)
            case ["missing"]:
                request.send_error(404)
            case ["silent"]:
                self.end.wait(30)
            case ["stalls"]:
                send(good + self.content[:half])
                self.end.wait(30)
            case ["cuts off"]:
                send(good + self.content[:half])
            case ["unhurried"]:
                send(good + self.content[:half])
                self.end.wait(0.3)
                send(self.content[half:])
            case ["drips in the header"]:
                send(b"HTTP/1.0 200 OK\r\nX-Drop: ")
                self.drip(send)
            case ["drips in the body"]:
                send(good)
                self.drip(send)
            case ["never ends"]:
                send(b"HTTP/1.0 200 OK\r\n\r\n")
                while not self.end.is_set():
                    send(bytes(2**16))
            case ["header", header]:
                header = header.format(n=len(self.content))
                send(f"HTTP/1.0 200 OK\r\n{header}\r\n\r\n".encode("latin-1") + self.content)
            case ["redirect", place]:
                send(f"HTTP/1.0 302 Found\r\nLocation: {place}\r\n\r\n".encode("latin-1"))

    def drip(self, send) -> None:
        while not self.end.wait(0.05):
            send(b".")


@contextmanager
def serving(content: bytes) -> Iterator[Web]:
    """A server of ``content``, reached without a proxy and without being forbidden."""
    web = Web(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            with suppress(OSError):  # whoever asked has gone
                web.answer(self)

        def log_message(self, *arguments):
            pass

    with pytest.MonkeyPatch.context() as patch, ThreadingHTTPServer(ANY_PORT, Handler) as server:
        for name in os.environ:
            if name.lower().endswith("_proxy") or name == "COURSE_OFFLINE":
                patch.delenv(name)
        web.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield web
        web.end.set()
        server.shutdown()
