"""A parked change as an object, version 1: a header line, then the change as `change_to_json` writes it.

Names tell nothing of an item: `<topology>/<pipeline>/<digest of the key>/<epoch>-<sequence>.parked`, so that the names
of a key's changes sort in the order in which they were made.
"""

import re

import msgspec

from pipeline.model.change import Change
from pipeline.model.errors import Corrupt
from pipeline.wire.json import LINE_DECODER, change_from_line, change_to_json
from pipeline.wire.packed import sha256

FORMAT = "fanout-parked"
VERSION = 1
SUFFIX = ".parked"
DIGEST_DIGITS = 24
SEQUENCE_DIGITS = 40
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]")


class Header(msgspec.Struct, frozen=True):
    """The first line: whose change this is, where it was, why it was not written, and the hash of the other line."""

    format: str
    version: int
    topology: str
    digest: str
    table: str
    epoch: str
    shard: str
    kinesis_shard: str
    position: int
    why: str
    reason: str
    """What the sink said; empty for a change that only follows another."""
    sha256: str


_header = msgspec.json.Decoder(Header)


def digest_of(pipeline: str, table: str, keys: bytes) -> str:
    """Return what stands for a key outside: nobody can find the key by trying who does not know the pipeline's name."""
    return sha256(b"\0".join((pipeline.encode(), table.encode(), keys)))[:DIGEST_DIGITS]


def place_of(epoch: str, sequence: int) -> str:
    """Return a change's place in its key's history as a text that sorts like it and may stand in an object's name."""
    return f"{_NOT_IN_A_NAME.sub('', epoch)}-{sequence:0{SEQUENCE_DIGITS}d}"


def folder_of(topology: str, pipeline: str, digest: str) -> str:
    """Return what the names of all objects of a key start with."""
    return f"{topology}/{pipeline}/{digest}/"


def encode(change: Change, *, topology: str, digest: str, at: tuple[str, int], why: str, reason: str) -> bytes:
    """Return the object of a change that was at a position of a Kinesis shard, `at`."""
    line = change_to_json(change)
    header = Header(
        FORMAT, VERSION, topology, digest, change.table, change.epoch, change.shard, *at, why, reason, sha256(line)
    )
    return b"".join((msgspec.json.encode(header), b"\n", line, b"\n"))


def decode(name: str, data: bytes) -> tuple[Header, Change]:
    """Return what an object holds. Raises Corrupt, naming it, for anything `encode` does not write."""
    head, _, rest = data.partition(b"\n")
    line = rest.removesuffix(b"\n")
    try:
        header = _header.decode(head)
        if header.format != FORMAT or header.version != VERSION:
            raise Corrupt(
                f"object {name} is {header.format} version {header.version}, not {FORMAT} {VERSION}",
                hint="was it written by a newer version? Upgrade first.",
            )
        if sha256(line) != header.sha256:
            raise _damaged(name)
        change = change_from_line(LINE_DECODER.decode(line), header.table, header.epoch, header.shard)
    except msgspec.DecodeError as error:
        raise _damaged(name) from error
    if not name.endswith(f"{header.digest}/{place_of(change.epoch, change.sequence)}{SUFFIX}"):
        raise Corrupt(f"object {name} was stored under another name", hint="was it moved by hand? Move it back.")
    return header, change


def _damaged(name: str) -> Corrupt:
    return Corrupt(f"object {name} is damaged", hint="restore it from a version or a copy of the bucket")
