"""What a warm standby keeps beside it, version 1: whose it is, and up to where of the archive it has everything.

It is one item of the positions table, moved in the same transactions as the standby's items.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import orjson
import zstandard

from pipeline.model.errors import Corrupt
from pipeline.wire.json import UNREADABLE
from pipeline.wire.packed import Link

VERSION = 1
_BYTES_MAX = 16 * 1024 * 1024


class Place(NamedTuple):
    """How far a standby is."""

    archive: str
    """Which archive it follows."""
    table: str
    """Which table of it."""
    overlap: Mapping[str, Link]
    """What was there before the last round began to read: the next one reads on from there."""
    reached: Mapping[str, Link] | None
    """Up to where every segment is in the standby; None while it was never filled."""


class _Stored(msgspec.Struct, array_like=True):
    overlap: dict[str, Link]
    reached: dict[str, Link] | None


_decoder = msgspec.msgpack.Decoder(_Stored)


def keys_of(row: str) -> bytes:
    """Return the canonical keys of the item."""
    return orjson.dumps({"row": {"S": f"{row}#place"}})


def encode(row: str, place: Place) -> bytes:
    """Return the item as DynamoDB JSON."""
    reached = None if place.reached is None else dict(place.reached)
    packed = zstandard.compress(msgspec.msgpack.encode(_Stored(dict(place.overlap), reached)))
    item = {
        "row": {"S": f"{row}#place"},
        "format": {"N": str(VERSION)},
        "archive": {"S": place.archive},
        "table": {"S": place.table},
        "ends": {"B": b64encode(packed).decode()},
    }
    return orjson.dumps(item)


def decode(row: str, item: bytes) -> Place:
    """Return what the item says. Raises Corrupt, naming the row, for anything `encode` does not write."""
    try:
        found = orjson.loads(item)
        if found["format"] != {"N": str(VERSION)}:
            raise ValueError("another version")
        packed = zstandard.decompress(b64decode(found["ends"]["B"]), max_output_size=_BYTES_MAX)
        stored = _decoder.decode(packed)
        return Place(found["archive"]["S"], found["table"]["S"], stored.overlap, stored.reached)
    except (*UNREADABLE, KeyError, TypeError, zstandard.ZstdError) as error:
        raise Corrupt(
            f"the row {row}#place does not tell how far the standby is",
            hint="was it edited, or written by a newer version? Follow into a new table",
        ) from error
