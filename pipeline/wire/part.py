"""Parts of a snapshot, version 1: one object with the items of a table in a range of places.

The first line is a header; every further line is an item: its key, its last change and that one's image (none when the
item was removed), the last row a reader of the table found where that stands behind it, and its changes in quarantine.
Epochs and shards are referred to by number. Items lie in the order of `place_of`, so that parts are read, merged and
written side by side.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from pipeline.model.errors import Corrupt
from pipeline.model.point import Order, Place, Point, Row
from pipeline.wire.json import UNREADABLE
from pipeline.wire.packed import UNEXPANDABLE, damaged, expand, pack

FORMAT = "fanout-snapshot-part"
VERSION = 1
RANGES = 256
"""Into how many ranges the items of a table are parted by a digest of their keys."""


class Item(NamedTuple):
    """What a snapshot keeps of one item."""

    keys: bytes
    point: Point | None
    row: Row | None = None
    waits: tuple[tuple[Order, Place], ...] = ()
    """Changes that went into quarantine, and where they would stand."""
    through: tuple[Order, ...] = ()
    """Those that were put through from there."""

    @property
    def incomplete(self) -> bool:
        """Return True when a change of the item is still in quarantine."""
        return not {order for order, _ in self.waits} <= set(self.through)


def range_of(keys: bytes) -> int:
    """Return the range that an item's keys fall into."""
    return hashlib.blake2b(keys, digest_size=2).digest()[0] % RANGES


def place_of(keys: bytes) -> tuple[int, bytes]:
    """Return what items are sorted by."""
    return range_of(keys), keys


class _Header(msgspec.Struct):
    format: str
    version: int
    table: str
    at_ms: int
    count: int
    epochs: list[str]
    shards: list[str]


class _Line(msgspec.Struct, gc=False):
    """An item. Numbers of epochs and shards count from 1; 0 means that there is no such point."""

    k: msgspec.Raw
    """Canonical keys."""
    e: int = 0
    """Epoch of the last change."""
    q: str = ""
    """Its sequence, decimal."""
    s: int = 0
    """Shard of the archive where it stands."""
    p: int = 0
    """Its position there."""
    t: int = 0
    """Its creation time, epoch milliseconds."""
    n: msgspec.Raw = msgspec.Raw()
    """The image after it; none when it removed the item."""
    r: tuple[int, int, int] | None = None
    """Shard, position and time of a row."""
    m: msgspec.Raw = msgspec.Raw()
    """The row's image."""
    w: tuple[tuple[int, str, int, int], ...] = ()
    """Changes in quarantine: epoch, sequence, shard, position."""
    h: tuple[tuple[int, str], ...] = ()
    """Changes put through: epoch, sequence."""


_header = msgspec.json.Decoder(_Header)
_line = msgspec.json.Decoder(_Line)
_encoder = msgspec.json.Encoder()


class _Numbers:
    """Texts by number, in order of first appearance."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def of(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts) + 1)


def encode(table: str, at_ms: int, items: Sequence[Item]) -> bytes:
    """Return items as a part. Equal input gives equal bytes."""
    epochs, shards = _Numbers(), _Numbers()
    lines = [b"", *(_as_line(item, epochs, shards) for item in items)]
    header = _Header(FORMAT, VERSION, table, at_ms, len(items), list(epochs.texts), list(shards.texts))
    lines[0] = _encoder.encode(header)
    return pack(lines)


def decode(name: str, data: bytes) -> Iterator[Item]:
    """Yield the items of a part. Raises Corrupt, naming the object, for anything `encode` does not write.

    That it is the part which its snapshot names is for the caller to compare, by hash.
    """
    try:
        lines = expand(data)[:-1].split(b"\n")
        header = _header.decode(lines[0])
        if (header.format, header.version) != (FORMAT, VERSION):
            raise Corrupt(
                f"object {name} is {header.format} version {header.version}, not {FORMAT} {VERSION}",
                hint="was it written by a newer version? Upgrade first.",
            )
        if len(lines) - 1 != header.count:
            raise damaged(name, f"it has {len(lines) - 1} items instead of {header.count}")
        for raw in lines[1:]:
            yield _as_item(_line.decode(raw), ["", *header.epochs], ["", *header.shards])
    except (*UNEXPANDABLE, *UNREADABLE, IndexError) as error:
        raise damaged(name, "an item of it cannot be read") from error


def _as_line(item: Item, epochs: _Numbers, shards: _Numbers) -> bytes:
    """Return an item as JSON of `_Line`, by hand, so that images stay the bytes they are."""
    point, row = item.point, item.row
    parts = [b'{"k":', item.keys]
    if point is not None:
        numbers = epochs.of(point.order[0]), point.order[1], shards.of(point.place[0]), point.place[1], point.time_ms
        parts.append(b',"e":%d,"q":"%d","s":%d,"p":%d,"t":%d' % numbers)
        if point.image is not None:
            parts += (b',"n":', point.image)
    if row is not None:
        parts.append(b',"r":[%d,%d,%d]' % (shards.of(row.place[0]), row.place[1], row.time_ms))
        if row.image is not None:
            parts += (b',"m":', row.image)
    if item.waits:
        waits = [(epochs.of(o[0]), str(o[1]), shards.of(at[0]), at[1]) for o, at in item.waits]
        parts += (b',"w":', _encoder.encode(waits))
    if item.through:
        parts += (b',"h":', _encoder.encode([(epochs.of(o[0]), str(o[1])) for o in item.through]))
    parts.append(b"}")
    return b"".join(parts)


def _as_item(line: _Line, epochs: Sequence[str], shards: Sequence[str]) -> Item:
    point = row = None
    if line.e:
        order = (epochs[line.e], int(line.q))
        point = Point(order, (shards[line.s], line.p), line.t, bytes(line.n) or None)
    if line.r is not None:
        shard, position, time_ms = line.r
        row = Row((shards[shard], position), time_ms, bytes(line.m) or None)
    waits = tuple(((epochs[e], int(q)), (shards[s], p)) for e, q, s, p in line.w)
    return Item(bytes(line.k), point, row, waits, tuple((epochs[e], int(q)) for e, q in line.h))
