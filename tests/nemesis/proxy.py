"""A TCP proxy that misbehaves on command: one gate for each process and service, switched while it runs.

It runs on an event loop in a thread of its own. It knows as much HTTP/1.1 as it takes to find the end of a message, to
name the action, and to note who has read which shard.
"""

import asyncio
import contextlib
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Self

from tests.nemesis.message import HEAD_BYTES_MAX, LOOPBACK, Detour, Message, port_of, read_message

DRIP_BYTES, DRIP_PAUSE_SECONDS = 16, 0.25
POLL_SECONDS = 0.05
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_ITERATOR = re.compile(rb'"(?:Next)?ShardIterator"\s*:\s*"([^"]+)"')
_SHARD = re.compile(rb'"ShardId"\s*:\s*"([^"]+)"')
_HTML = b"<html><body><h1>The proxy is not well</h1></body></html>"


class Mode(Enum):
    """What a gate does to a request."""

    PASS = "pass"  # no password
    LATENCY = "latency"
    """Hold the request back for up to `seconds`."""
    DRIP = "drip"
    """Let the answer through a few bytes at a time."""
    RESET = "reset"
    """Reset the connection before the request is passed on."""
    LOST_ANSWER = "lost answer"
    """Pass the request on, then reset the connection in place of the answer."""
    HALF_OPEN = "half-open"
    """Take everything in and never answer."""
    PARTITION = "partition"
    """Reset every connection, old and new, at once."""
    UNAVAILABLE = "503"
    """Answer 503 with a page of HTML."""
    BAD_REQUEST = "400"
    """Answer 400 with a page of HTML."""
    PAGE = "200 with HTML"
    """Answer 200 with a page of HTML, as a captive proxy does."""


_STATUS = {Mode.UNAVAILABLE: "503 Service Unavailable", Mode.BAD_REQUEST: "400 Bad Request", Mode.PAGE: "200 OK"}
_NOT_PASSED_ON = frozenset({Mode.RESET, Mode.HALF_OPEN, Mode.PARTITION})


@dataclass(frozen=True)
class Fault:
    """A mode, for this share of the requests (PARTITION and HALF_OPEN: for all); `seconds` is for LATENCY."""

    mode: Mode = Mode.PASS
    share: float = 1.0
    seconds: float = 0.0


PASS = Fault()


class Read(NamedTuple):
    """A GetRecords that was answered with 200: `at` is monotonic, `gate` says for whom."""

    at: float
    gate: str
    shard: str


class Gate:
    """A loopback port in front of an upstream."""

    def __init__(self, name: str, upstream: int, chance: random.Random, note: Callable[[Read], None]) -> None:
        self.name = name
        self.upstream = upstream
        """The port on loopback that requests are passed on to; may change when a server has moved."""
        self.detour: Detour | None = None
        self.fault = PASS
        self.struck = 0
        """How many requests a fault was done to."""
        self.port = 0
        self._chance = chance
        self._note = note
        self._shards: dict[bytes, str] = {}
        self._open: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Return the URL to use in place of the upstream's."""
        return f"http://{LOOPBACK}:{self.port}"

    async def listen(self) -> asyncio.Server:
        """Begin to listen."""
        server = await asyncio.start_server(self._accept, LOOPBACK, 0, limit=HEAD_BYTES_MAX)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def sever(self) -> None:
        """Reset all connections that are open; only on the loop."""
        for writer in list(self._open):
            _reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self._open.add(writer)
        upstream: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        try:
            await self._serve(reader, writer, upstream)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            _reset(writer)  # one side is gone: the other learns it the hard way
        except asyncio.CancelledError:
            pass  # the proxy is closed; asyncio would report a handler that ends so
        finally:
            self.tasks.discard(task)
            self._open.discard(writer)
            for each in (writer, *(pair[1] for pair in upstream)):
                each.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: list[Any]) -> None:
        """Take one request after the other, and do to each what the fault of the moment says."""
        while True:
            if self.fault.mode is Mode.PARTITION:
                self.struck += 1
                _reset(writer)
                return
            request = await read_message(reader, greet=writer)
            fault = self.fault
            hit = fault.mode is not Mode.PASS and self._chance.random() < fault.share
            self.struck += hit
            mode = fault.mode if hit else Mode.PASS
            if mode in _STATUS:
                writer.write(_answer(_STATUS[mode]))
                continue
            if mode is Mode.LATENCY:
                await asyncio.sleep(self._chance.random() * fault.seconds)
            while self.fault.mode is mode is Mode.HALF_OPEN and not reader.at_eof():
                await asyncio.sleep(POLL_SECONDS)
            answer = None if mode in _NOT_PASSED_ON else await self._ask(upstream, request)
            if answer is None or mode is Mode.LOST_ANSWER:
                _reset(writer)
                return
            await _give(writer, answer, slowly=mode is Mode.DRIP)

    async def _ask(self, upstream: list[Any], request: Message) -> Message:
        if self.detour is not None and self.detour.takes(request.head, request.body):
            return await self._ask_once(self.detour.port, request)
        if upstream and upstream[0][0].at_eof():
            upstream.pop()[1].close()
        if not upstream:
            upstream.append(await asyncio.open_connection(LOOPBACK, self.upstream, limit=HEAD_BYTES_MAX))
        reader, writer = upstream[0]
        writer.write(request.head + request.body)
        answer = await read_message(reader, headless=request.action == "HEAD")
        self._learn(request, answer)
        return answer

    async def _ask_once(self, port: int, request: Message) -> Message:
        """Ask on a connection of its own: where a clock races, one that is kept is dropped before its next request."""
        reader, writer = await asyncio.open_connection(LOOPBACK, port, limit=HEAD_BYTES_MAX)
        try:
            writer.write(request.head + request.body)
            answer = await read_message(reader)
        finally:
            writer.close()
        self._learn(request, answer)
        return answer

    def _learn(self, request: Message, answer: Message) -> None:
        """Note a read; an iterator is of the shard it was given out for."""
        if request.action not in {"GetShardIterator", "GetRecords"}:
            return
        asked = _SHARD.search(request.body) if request.action == "GetShardIterator" else _ITERATOR.search(request.body)
        if asked is None or not answer.head.startswith(b"HTTP/1.1 200"):
            return
        text = asked.group(1)
        shard = text.decode() if request.action == "GetShardIterator" else self._shards.pop(text, "")
        if request.action == "GetRecords" and shard:
            self._note(Read(time.monotonic(), self.name, shard))
        new = _ITERATOR.search(answer.body)
        if new and shard:
            self._shards[new.group(1)] = shard


class Proxy:
    """Gates, and the thread they live on."""

    def __init__(self, seed: int = 0) -> None:
        self.reads: list[Read] = []
        self._seed = seed
        self._gates: list[tuple[Gate, asyncio.Server]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def gate(self, name: str, url: str, detour: Detour | None = None) -> Gate:
        """Open a gate before a server on loopback; one with a detour stands before many, and notes no reads."""
        chance = random.Random(f"{self._seed}/{name}")
        gate = Gate(name, port_of(url), chance, self.reads.append if detour is None else lambda _: None)
        gate.detour = detour
        self._gates.append((gate, self._do(gate.listen())))
        return gate

    def strike(self, gate: Gate, fault: Fault) -> None:
        """Set a gate's fault; a partition also ends what is open, and so does the end of one that hangs."""

        async def switch() -> None:
            gate.fault = fault
            if fault.mode is Mode.PARTITION:
                gate.sever()

        self._do(switch())

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10.0)

    async def _close(self) -> None:
        tasks = [task for gate, _ in self._gates for task in gate.tasks]
        for _, server in self._gates:
            server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _give(writer: asyncio.StreamWriter, answer: Message, *, slowly: bool) -> None:
    data = answer.head + answer.body
    for start in range(0, len(data), DRIP_BYTES) if slowly else ():
        writer.write(data[start : start + DRIP_BYTES])
        await writer.drain()
        await asyncio.sleep(DRIP_PAUSE_SECONDS)
    if not slowly:
        writer.write(data)
        await writer.drain()


def _answer(status: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(_HTML)}\r\n\r\n"
    return head.encode() + _HTML


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST instead of FIN."""
    with contextlib.suppress(OSError):
        sock = writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
