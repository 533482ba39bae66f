"""A door in front of an emulator: it counts calls by action and shard, holds some back for a while, refuses others."""

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

UPSTREAM_SECONDS = 30.0
_KEPT_BACK = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive", "expect"})


class Door:
    """A loopback HTTP server that passes everything on to one upstream."""

    def __init__(self, upstream: str, delay: Callable[[str], float] = lambda _: 0.0) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.delay = delay
        """How many seconds a call is held back before it is passed on, by action; of S3 the action is the method. What
        its sender does meanwhile, dying included, does not stop it: it takes effect late."""
        self.refused: dict[str, str] = {}
        """Error codes by action, for calls that are answered here with status 400."""
        self._calls: Counter[tuple[str, str]] = Counter()
        self._shards: dict[str, str] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.door = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Return the URL to use instead of the upstream's."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def calls(self, action: str) -> dict[str, int]:
        """Return how often an action was asked for, by shard; under "" what names none."""
        with self._lock:
            return {shard: count for (name, shard), count in self._calls.items() if name == action}

    def count(self, action: str, request: Mapping[str, Any]) -> None:
        """Count a call: an iterator is of the shard it was given out for."""
        with self._lock:
            shard = request.get("ShardId") or self._shards.get(request.get("ShardIterator", ""), "")
            self._calls[action, shard] += 1

    def learn(self, request: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Remember which shard a new iterator is of."""
        with self._lock:
            shard = request.get("ShardId") or self._shards.pop(request.get("ShardIterator", ""), "")
            new = answer.get("ShardIterator") or answer.get("NextShardIterator")
            if new and shard:
                self._shards[new] = shard


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    door: Door

    def handle_error(self, *_: object) -> None:
        """Say nothing of senders that died in the middle of a call."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    _upstream: http.client.HTTPConnection | None = None

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Count, hold back, refuse or pass on."""
        door = self.server.door
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        action = self.headers.get("X-Amz-Target", "").rpartition(".")[2] or self.command
        request = _json(body)
        door.count(action, request)
        time.sleep(door.delay(action))
        if action in door.refused:
            refusal = json.dumps({"__type": door.refused[action], "message": "refused by the test"}).encode()
            self._answer(400, {"Content-Type": "application/x-amz-json-1.1"}, refusal)
            return
        status, headers, data = self._pass_on(door, body)
        if action in {"GetShardIterator", "GetRecords"}:
            door.learn(request, _json(data))
        self._answer(status, headers, data)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST  # noqa: N815  # the names http.server looks for

    def _pass_on(self, door: Door, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._upstream is None:
            self._upstream = http.client.HTTPConnection(door.upstream, timeout=UPSTREAM_SECONDS)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _KEPT_BACK}
        self._upstream.request(self.command, self.path, body, headers)
        answer = self._upstream.getresponse()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _KEPT_BACK}
        return answer.status, kept, answer.read()

    def _answer(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        with contextlib.suppress(OSError):  # the sender may be dead by now
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def finish(self) -> None:
        """Let go of the connection."""
        if self._upstream is not None:
            self._upstream.close()
        super().finish()


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
