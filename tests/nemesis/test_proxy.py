"""The fault proxy does what it is told, to what it is told, while it runs."""

import http.client
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.nemesis.proxy import PASS, Fault, Gate, Mode, Proxy

ANSWER_SECONDS = 0.5
BODY = b'{"NextShardIterator": "next"}' + b" " * 71


class _Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Note the call and answer."""
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        calls.append(data)
        self.send_response(200)
        if self.headers.get("X-Chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
        else:
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)


calls: list[bytes] = []
"""The bodies of the requests that reached the server."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """A server that answers every POST."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy."""
    calls.clear()
    with Proxy(seed=1) as found:
        yield found


@pytest.fixture
def gate(proxy: Proxy, upstream: str) -> Gate:
    """A gate of it."""
    return proxy.gate("one", upstream)


def post(gate: Gate, action: str = "Put", body: bytes = b"{}", **headers: str) -> tuple[int, bytes]:
    """Ask once, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("POST", "/", body, {"X-Amz-Target": f"Service.{action}", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_it_passes_on_what_it_is_given(gate: Gate) -> None:
    """Bodies arrive as they were sent, with a length or in chunks; several calls share a connection."""
    assert post(gate, body=b"hello") == (200, BODY)
    assert post(gate, body=b"again", **{"X-Chunked": "1"}) == (200, BODY)
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=ANSWER_SECONDS)
    for _ in range(3):
        connection.request("POST", "/", b"x")
        assert connection.getresponse().read() == BODY
    connection.close()
    assert calls == [b"hello", b"again", b"x", b"x", b"x"]


@pytest.mark.parametrize("mode", [Mode.RESET, Mode.PARTITION, Mode.LOST_ANSWER])
def test_a_connection_is_reset(proxy: Proxy, gate: Gate, mode: Mode) -> None:
    """The caller gets no answer at once; only with a lost answer has the call taken effect."""
    proxy.strike(gate, Fault(mode))
    with pytest.raises(ConnectionResetError):
        post(gate)
    assert len(calls) == (mode is Mode.LOST_ANSWER)
    proxy.strike(gate, PASS)
    assert post(gate)[0] == 200


def test_a_partition_ends_open_connections(proxy: Proxy, gate: Gate) -> None:
    """A connection that was there before it is gone as well."""
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=ANSWER_SECONDS)
    connection.request("POST", "/", b"x")
    connection.getresponse().read()
    proxy.strike(gate, Fault(Mode.PARTITION))
    assert connection.sock is not None
    with pytest.raises(ConnectionResetError):
        connection.sock.recv(1)
    connection.close()


@pytest.mark.parametrize("mode", [Mode.HALF_OPEN, Mode.LATENCY])
def test_an_answer_is_waited_for_in_vain(proxy: Proxy, gate: Gate, mode: Mode) -> None:
    """It takes the request in and does not answer in time; nor has it asked the server."""
    proxy.strike(gate, Fault(mode, seconds=1000.0))
    with pytest.raises(TimeoutError):
        post(gate)
    assert calls == []


def test_an_answer_drips(proxy: Proxy, gate: Gate) -> None:
    """It comes whole, a few bytes at a time: no single wait is long, all of them are."""
    proxy.strike(gate, Fault(Mode.DRIP))
    began = time.monotonic()
    assert post(gate) == (200, BODY)
    assert time.monotonic() - began > ANSWER_SECONDS


@pytest.mark.parametrize(("mode", "status"), [(Mode.UNAVAILABLE, 503), (Mode.BAD_REQUEST, 400), (Mode.PAGE, 200)])
def test_a_page_comes_in_place_of_an_answer(proxy: Proxy, gate: Gate, mode: Mode, status: int) -> None:
    """The body is HTML, and the server was not asked."""
    proxy.strike(gate, Fault(mode))
    found = post(gate)
    assert found[0] == status
    assert found[1].startswith(b"<html>")
    assert calls == []


def test_a_share_of_the_calls_is_hit(proxy: Proxy, gate: Gate) -> None:
    """With a share of a half some pass and some do not."""
    proxy.strike(gate, Fault(Mode.UNAVAILABLE, 0.5))
    found = {post(gate)[0] for _ in range(20)}
    assert found == {200, 503}
    assert 0 < gate.struck < 20


def test_it_knows_who_read_which_shard(proxy: Proxy, gate: Gate, upstream: str) -> None:
    """A read is of the shard its iterator was given out for, through this gate, and counts when it was answered."""
    other = proxy.gate("two", upstream)
    for each, shard in ((gate, b"s1"), (other, b"s2")):
        post(each, "GetShardIterator", b'{"ShardId": "%s"}' % shard)
    post(gate, "GetRecords", b'{"ShardIterator": "next"}')
    proxy.strike(other, Fault(Mode.UNAVAILABLE))
    post(other, "GetRecords", b'{"ShardIterator": "next"}')
    assert [(read.gate, read.shard) for read in proxy.reads] == [("one", "s1")]
