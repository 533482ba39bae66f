"""What the archive says of one item at some moments, joined from pieces in any order."""

from collections.abc import Iterable, Sequence

import msgspec
import orjson

from pipeline.model.point import Order, Place, Point, Row, later, later_row
from pipeline.wire.attributes import Image
from pipeline.wire.diff import canonical_item

TRACE_BYTES = 700
"""What a trace weighs without its images."""
FOREVER_MS = 1 << 62
"""The moment after all others: what is known now."""
NOW = -1
"""Its number: it is the last moment of every trace."""


class Trace:
    """What is known of one item. `points` and `rows` have, for each moment, the last one before it, or None."""

    __slots__ = ("before", "first", "found", "keys", "points", "rows", "through", "waits")

    def __init__(self, keys: bytes, moments: int) -> None:
        self.keys = keys
        self.first: Order | None = None
        """Order of the first change; None while there is none."""
        self.before: bytes | None = None
        """The item before its first change."""
        self.points: list[Point | None] = [None] * moments
        self.rows: list[Row | None] | None = None
        """None while no reader of the table has told of the item."""
        self.found: Row | None = None
        """The first row."""
        self.waits: dict[Order, Place] | None = None
        """Changes that went into quarantine, and where they would stand."""
        self.through: set[Order] | None = None
        """Changes that were put through from there."""

    def add(self, point: Point, before: bytes | None, moments_ms: Sequence[int]) -> int:
        """Take in a change; return about how many bytes heavier the trace is."""
        grown, points = 0, self.points
        if self.first is None or point.order < self.first:
            grown += len(before or b"") - len(self.before or b"")
            self.first, self.before = point.order, before
        for index, moment_ms in enumerate(moments_ms):
            if point.time_ms < moment_ms:
                known = points[index]
                if later(known, point) is point:
                    grown += len(point.image or b"") - len((known and known.image) or b"")
                    points[index] = point
        return grown

    def add_row(self, row: Row, moments_ms: Sequence[int]) -> int:
        """Take in a row; return about how many bytes heavier the trace is."""
        rows = self.rows = self.rows or [None] * len(moments_ms)
        if self.found is None or row.place < self.found.place:
            self.found = row
        for index, moment_ms in enumerate(moments_ms):
            if row.time_ms < moment_ms:
                rows[index] = later_row(rows[index], row)
        return len(row.image or b"")

    def park(self, order: Order, place: Place) -> None:
        """Take in that a change went into quarantine."""
        waits = self.waits = self.waits or {}
        waits[order] = min(place, waits.get(order, place))

    def put_through(self, order: Order) -> None:
        """Take in that a change came out of quarantine."""
        self.through = {*(self.through or ()), order}

    @property
    def incomplete(self) -> bool:
        """Return True when a change of the item is still in quarantine."""
        return self.waits is not None and not self.waits.keys() <= (self.through or set())

    def state(self, moment: int) -> bytes | None:
        """Return the item as it was at moment number `moment`, None when it was not there.

        Before its first change in the archive an item was what that change says was before it; without any change it
        was all the time what a row says.
        """
        point, row = self._last(moment)
        if row is not None:
            return row.image
        if point is not None:
            return point.image
        return self.before if self.first is not None else self.found and self.found.image

    def changed_between(self, earlier: int, later_: int) -> bool:
        """Return True when something happened to the item after the one moment and not after the other."""
        was, is_ = self._last(earlier), self._last(later_)
        if was == is_:
            return False
        return is_[1] is None or not equal(self.state(earlier), self.state(later_))

    def merge(self, other: "Trace") -> None:
        """Take over what another trace of the item knows."""
        if other.first is not None and (self.first is None or other.first < self.first):
            self.first, self.before = other.first, other.before
        if other.found is not None and (self.found is None or other.found.place < self.found.place):
            self.found = other.found
        self.points = [later(mine, theirs) for mine, theirs in zip(self.points, other.points, strict=True)]
        if other.rows is not None:
            rows = self.rows or [None] * len(other.rows)
            self.rows = [later_row(mine, theirs) for mine, theirs in zip(rows, other.rows, strict=True)]
        for order, place in (other.waits or {}).items():
            self.park(order, place)
        for order in other.through or ():
            self.put_through(order)

    def turn(self, turned: Image) -> None:
        """Put every image in another form."""
        self.before = self.before and turned(self.before)
        self.points = [p and p._replace(image=p.image and turned(p.image)) for p in self.points]
        if self.rows is not None:
            self.rows = [r and r._replace(image=r.image and turned(r.image)) for r in self.rows]
        self.found = self.found and self.found._replace(image=self.found.image and turned(self.found.image))

    def row(self, moment: int) -> Row | None:
        """Return the row that decides what the item was at a moment, None when a change does."""
        return self._last(moment)[1]

    def _last(self, moment: int) -> tuple[Point | None, Row | None]:
        """Return what decides: the row when it stands behind the last change, else the change."""
        point = self.points[moment]
        row = None if self.rows is None else self.rows[moment]
        if row is not None and (point is None or self._place(point) < row.place):
            return None, row
        return point, None

    def _place(self, point: Point) -> Place:
        """Return where a change stands: one out of quarantine where it would have stood."""
        return point.place if self.waits is None else self.waits.get(point.order, point.place)


def equal(a: bytes | None, b: bytes | None) -> bool:
    """Return True for equal items: bytes first, then values as DynamoDB compares them."""
    if a == b:
        return True
    if a is None or b is None:
        return False
    same: bool = canonical_item(orjson.loads(a)) == canonical_item(orjson.loads(b))
    return same


class _Stored(msgspec.Struct, array_like=True):
    """A trace laid aside; sequences are text, for they are longer than any integer of the format."""

    keys: bytes
    first: tuple[str, str] | None
    before: bytes | None
    points: list[tuple[str, str, str, int, int, bytes | None] | None]
    rows: list[tuple[str, int, int, bytes | None] | None] | None
    found: tuple[str, int, int, bytes | None] | None
    waits: list[tuple[str, str, str, int]]
    through: list[tuple[str, str]]


_stored = msgspec.msgpack.Decoder(list[_Stored])


def encode(traces: Iterable[Trace]) -> bytes:
    """Return traces as one object."""
    return msgspec.msgpack.encode([_packed(trace) for trace in traces])


def decode(data: bytes) -> Iterable[Trace]:
    """Yield the traces of an object that `encode` made."""
    for each in _stored.decode(data):
        trace = Trace(each.keys, 0)
        trace.first = each.first and (each.first[0], int(each.first[1]))
        trace.before = each.before
        trace.points = [p and Point((p[0], int(p[1])), (p[2], p[3]), p[4], p[5]) for p in each.points]
        trace.rows = None if each.rows is None else [r and _row(r) for r in each.rows]
        trace.found = each.found and _row(each.found)
        trace.waits = {(epoch, int(q)): (shard, at) for epoch, q, shard, at in each.waits} or None
        trace.through = {(epoch, int(q)) for epoch, q in each.through} or None
        yield trace


def _packed(trace: Trace) -> _Stored:
    return _Stored(
        trace.keys,
        trace.first and (trace.first[0], str(trace.first[1])),
        trace.before,
        [p and (p.order[0], str(p.order[1]), *p.place, p.time_ms, p.image) for p in trace.points],
        None if trace.rows is None else [r and (*r.place, r.time_ms, r.image) for r in trace.rows],
        trace.found and (*trace.found.place, trace.found.time_ms, trace.found.image),
        [(order[0], str(order[1]), *place) for order, place in (trace.waits or {}).items()],
        [(epoch, str(q)) for epoch, q in trace.through or ()],
    )


def _row(stored: tuple[str, int, int, bytes | None]) -> Row:
    return Row((stored[0], stored[1]), stored[2], stored[3])
