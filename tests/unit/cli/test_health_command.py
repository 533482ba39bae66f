"""`fanout health` against a real server on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipeline.cli.main import main


@contextmanager
def serving(status: int, body: str) -> Iterator[int]:
    """Serve one answer at /health, on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer at the one path there is."""
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name the base class has
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_verdict(
    status: int, code: int, host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """200 is healthy, anything else is not; what the process says of itself is shown, also when it listens anywhere."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("FANOUT_WORKER_WEB_HOST", host)
    with serving(status, '{"healthy": "\x1b"}') as port:
        monkeypatch.setenv("FANOUT_WORKER_WEB_PORT", str(port))
        assert main(["health"]) == code
    assert capsys.readouterr().out == '{"healthy": "\\x1b"}\n'


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A process that does not answer is not healthy."""
    with serving(200, "") as port:
        pass
    monkeypatch.setenv("FANOUT_WORKER_WEB_PORT", str(port))
    assert main(["health", "--timeout-seconds", "1"]) == 1
    assert capsys.readouterr().err == f"no answer from 127.0.0.1:{port}: ConnectionRefusedError\n"
