"""Servers that answer in AWS's place: what a test tells them to, whatever they are asked."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

GENUINE = {"x-amzn-RequestId": "r", "x-amz-request-id": "r", "Content-Type": "application/x-amz-json-1.0"}
"""What every answer of AWS carries, and no page of a proxy."""


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """An answer; `cut` bytes of the body are announced and not sent."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = GENUINE
    cut: int = 0


WEB_PAGE = Reply(200, b"<html><body>Welcome, guest. Please log in.</body></html>", {"Content-Type": "text/html"})


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = self.server.answer(Asked(self.command, self.path, dict(self.headers.items()), body))
        with contextlib.suppress(OSError):
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body[: len(reply.body) - reply.cut])

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST  # noqa: N815  # the names http.server looks for


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answer: Callable[[Asked], Reply]

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up."""


@contextlib.contextmanager
def serving(answer: Callable[[Asked], Reply], certificate: Path | None = None) -> Iterator[int]:
    """Answer on a port of this machine, by TLS when there is a certificate with its key."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.answer = answer
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
