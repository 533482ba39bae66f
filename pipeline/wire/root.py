"""Signed roots of an audit log, version 1: statements about all chains of a stream, each committing to the one before.

An object is two lines of JSON: the statement, and the signature over the bytes of that line. The statement tells where
every chain ends, and of every object that was added since the root before: its hash, the hash that closes it, and four
bytes of the hash of every entry's content. Those find the entry that was changed when all hashes were computed anew.
"""

import base64
import re
from collections.abc import Mapping

import msgspec

from pipeline.model.errors import Corrupt
from pipeline.wire.chain import KIND as CHAIN
from pipeline.wire.chain import Block
from pipeline.wire.json import UNREADABLE
from pipeline.wire.packed import Link, damaged, sha256

FORMAT = "fanout-root"
VERSION = 1
FOLDER = "roots"
MARK_BYTES = 4
ROOT_BYTES_MAX = 64 * 1024 * 1024
_PREVIOUS = re.compile(rb'"previous":"[0-9a-f]{64}"')
_NAME = re.compile(rf"{FOLDER}/[A-Za-z0-9_.-]+/([0-9]{{20}})\.root")


class Vouched(msgspec.Struct, frozen=True, gc=False):
    """An object of a chain as it was when the root was signed."""

    shard: str
    first: int
    last: int
    seal: str
    digest: str
    """SHA-256 of the object as it is stored."""
    marks: str
    """Four bytes for each entry, one after the other, in base64; see `mark`."""

    @property
    def count(self) -> int:
        """Return the number of entries."""
        return len(self.each_mark())

    def each_mark(self) -> list[bytes]:
        """Return the mark of each entry, in order."""
        marks = base64.b64decode(self.marks)
        return [marks[at : at + MARK_BYTES] for at in range(0, len(marks), MARK_BYTES)]

    def name(self, stream: str) -> str:
        """Return the object's name."""
        return CHAIN.name(stream, self.shard, self.first)

    def link(self, stream: str) -> Link:
        """Return the object as its successor sees it."""
        return Link(self.last, self.name(stream), self.seal)


class End(msgspec.Struct, frozen=True, gc=False):
    """Where a chain ends: its last object's first and last position, and the hash that closes it."""

    first: int
    last: int
    seal: str

    def link(self, stream: str, shard: str) -> Link:
        """Return the end as the next object sees it."""
        return Link(self.last, CHAIN.name(stream, shard, self.first), self.seal)


class Root(msgspec.Struct, frozen=True):
    """A statement about all chains of one stream."""

    format: str
    version: int
    stream: str
    number: int
    time_ms: int
    """When it was signed, by the clock of the machine that did."""
    previous: str
    """SHA-256 of the root before, as it is stored."""
    key: str
    """Id of the key that signed it."""
    heads: dict[str, End]
    """By shard."""
    objects: list[Vouched]
    """What was added since the root before; each chain's in order."""


class Stored(msgspec.Struct, frozen=True):
    """A root as it is stored."""

    root: Root
    statement: bytes
    """The bytes that were signed."""
    signature: bytes
    digest: str
    """SHA-256 of the whole object."""
    data: bytes


class _Signature(msgspec.Struct):
    signature: str


_root = msgspec.json.Decoder(Root)
_signature = msgspec.json.Decoder(_Signature)


def root_name(stream: str, number: int) -> str:
    """Return the name of a root; names sort like numbers."""
    return f"{FOLDER}/{stream}/{number:020d}.root"


def number_of(name: str) -> int | None:
    """Return the number in the name of a root, None when it is no such name."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def genesis(stream: str) -> str:
    """Return what the first root of a stream follows."""
    return sha256(f"{FORMAT}\0{stream}".encode())


def statement(
    stream: str, before: Stored | None, time_ms: int, key: str, heads: Mapping[str, End], objects: list[Vouched]
) -> bytes:
    """Return the bytes to sign for the root that follows `before`."""
    number, previous = (before.root.number + 1, before.digest) if before else (1, genesis(stream))
    ordered = {shard: heads[shard] for shard in sorted(heads)}
    return msgspec.json.encode(Root(FORMAT, VERSION, stream, number, time_ms, previous, key, ordered, objects))


def signed(words: bytes, signature: bytes) -> bytes:
    """Return the object of a signed statement."""
    return b'%b\n{"signature":"%b"}\n' % (words, base64.b64encode(signature))


def decode(name: str, data: bytes) -> Stored:
    """Return a stored root, whose signature was not checked. Raises Corrupt when it is none, or belongs elsewhere."""
    if len(data) > ROOT_BYTES_MAX:
        raise damaged(name, "it is too large")
    try:
        words, rest, nothing = data.split(b"\n")
        root, signature = _root.decode(words), base64.b64decode(_signature.decode(rest).signature, validate=True)
        for each in root.objects:
            base64.b64decode(each.marks, validate=True)
    except (ValueError, *UNREADABLE) as error:
        raise damaged(name, "it is no signed root") from error
    if nothing or root.format != FORMAT or signed(words, signature) != data:
        raise damaged(name, "it is no signed root")
    if root.version != VERSION:
        reason = f"object {name} is {FORMAT} version {root.version}, not {VERSION}"
        raise Corrupt(reason, hint="was it written by a newer version? Upgrade first.")
    if root_name(root.stream, root.number) != name:
        raise damaged(name, "it was stored under another name")
    return Stored(root, words, signature, sha256(data), data)


def vouched(block: Block, data: bytes) -> Vouched:
    """Return what a root says of an object."""
    header = block.header
    marks = base64.b64encode(b"".join(map(mark, block.lines[1:]))).decode()
    return Vouched(header.shard, header.first, header.last, block.seal, sha256(data), marks)


def mark(line: bytes) -> bytes:
    """Return the four bytes that stand for an entry, wherever it hangs in a chain: without the hash before it."""
    return bytes.fromhex(sha256(_PREVIOUS.sub(b"", line, 1))[: 2 * MARK_BYTES])
