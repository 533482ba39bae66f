"""HTTP/1.1 messages as a proxy must know them: where they end, what they ask for, and of which table."""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import NamedTuple

LOOPBACK = "127.0.0.1"
HEAD_BYTES_MAX = 64 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REGION = re.compile(rb"Credential=[^/]+/[0-9]+/([^/]+)/")


class Message(NamedTuple):
    """A request or an answer, whole."""

    head: bytes
    body: bytes

    @property
    def action(self) -> str:
        """Return what a request asks for: the operation, or for S3 the method."""
        target = header(self.head, b"x-amz-target")
        return target.rpartition(b".")[2].decode() if target else self.head.split(b" ", 1)[0].decode()


@dataclass(frozen=True)
class Detour:
    """Requests that name one of these tables, in this region, go to another port; every request when there are none."""

    port: int
    region: str = ""
    tables: frozenset[str] = frozenset()

    def takes(self, head: bytes, body: bytes) -> bool:
        """Return True for a request that goes there: its region is that of its signature."""
        if not self.tables:
            return True
        signed = _REGION.search(header(head, b"authorization"))
        if signed is None or signed.group(1).decode() != self.region or not body:
            return False
        asked = json.loads(body)
        return bool(self.tables & {asked.get("TableName"), *asked.get("RequestItems", ())})


def port_of(url: str) -> int:
    """Return the port of a server's URL."""
    return int(url.rpartition(":")[2])


async def read_message(
    reader: asyncio.StreamReader, *, greet: asyncio.StreamWriter | None = None, headless: bool = False
) -> Message:
    """Read a request (with the writer to greet) or an answer; the head comes back without what concerns one hop."""
    head = await reader.readuntil(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head = await reader.readuntil(b"\r\n\r\n")
    if greet is not None and header(head, b"expect"):
        greet.write(CONTINUE)
        head = re.sub(rb"(?i)\r\nexpect:[^\r]*", b"", head)
    if headless or head.startswith((b"HTTP/1.1 204", b"HTTP/1.1 304")):
        return Message(head, b"")
    if b"chunked" in header(head, b"transfer-encoding").lower():
        body = await _chunks(reader)
        return Message(re.sub(rb"(?i)transfer-encoding:[^\r]*", b"Content-Length: %d" % len(body), head), body)
    return Message(head, await reader.readexactly(int(header(head, b"content-length") or 0)))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """Return a chunked body in one piece."""
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:size]
    await reader.readuntil(b"\r\n")
    return body


def header(head: bytes, name: bytes) -> bytes:
    """Return a header's value, b"" when there is none."""
    found = re.search(rb"(?i)\r\n" + name + rb":[ \t]*([^\r]*)", head)
    return found.group(1) if found else b""
